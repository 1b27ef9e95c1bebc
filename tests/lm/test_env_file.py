"""Keys from a .env file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paretune.errors import ConfigError
from paretune.lm.env_file import load_env_file


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that is put back, with HAVE in it, in the project's folder."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.pop("DVC_ROOT", None)
    os.environ["HAVE"] = "mine"
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_the_environment_has_not_is_set(project: Path) -> None:
    """Names that are set stay, also empty ones; comments, quotes, export and an editor's byte order mark are known."""
    os.environ["EMPTY"] = ""
    text = """# keys
A=sk-test-1   # the first
export B='two words'
C="sk-${A}"

HAVE=theirs
EMPTY=theirs
"""
    (project / ".env").write_text("\ufeff" + text, encoding="utf-8")
    assert load_env_file(".env") == ["A", "B", "C"]
    names = ("A", "B", "C", "HAVE", "EMPTY")
    assert [os.environ[name] for name in names] == ["sk-test-1", "two words", "sk-${A}", "mine", ""]
    assert load_env_file(".env") == []


def test_the_path_begins_in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC's temporary folders hold no ignored file: the parent's is read there. An absolute path is one."""
    (project / "keys.env").write_text("A=1\n")
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    with pytest.raises(ConfigError, match=r"no such file: 'keys\.env'"):
        load_env_file("keys.env")
    os.environ["DVC_ROOT"] = str(project)
    assert load_env_file("keys.env") == ["A"]
    del os.environ["A"]
    assert load_env_file(project / "keys.env") == ["A"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"A=1\nsk-test-secret\n", "line 2: not of the form NAME=value"),
        (b"A=1\n\n= sk-test-secret\n", "line [23]: not of the form NAME=value"),
        (b"A='sk-test-secret\n", "line 1: not of the form NAME=value"),
        (b"A=sk-test-\0secret\n", "line 1: not of the form NAME=value"),
        (b"A=1\nB=\xff\xfe\n", r"not UTF-8 text \(byte 6\)"),
    ],
)
def test_a_file_that_cannot_be_understood(project: Path, content: bytes, reason: str) -> None:
    """The error names the line and never shows it; nothing is set."""
    (project / ".env").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^env_file: '\.env'.*{reason}") as caught:
        load_env_file(".env")
    assert "secret" not in str(caught.value)
    assert "A" not in os.environ


def test_a_file_that_is_not_there_or_none(project: Path) -> None:
    """A missing file tells the cure; a folder is no file."""
    with pytest.raises(ConfigError, match=r"no such file: '\.env'; write it .*null"):
        load_env_file(".env")
    (project / ".env").mkdir()
    with pytest.raises(ConfigError, match=r"'\.env' cannot be read: Is a directory"):
        load_env_file(".env")


def test_the_projects_own_file_is_ignored_by_git() -> None:
    """So that nobody commits the keys."""
    ignored = (Path(__file__).resolve().parents[2] / ".gitignore").read_text().splitlines()
    assert "/.env" in ignored


@pytest.mark.slow
def test_no_other_file_is_read() -> None:
    """litellm would look for one by itself."""
    code = (
        "import dotenv, dotenv.main, sys\n"
        "dotenv.load_dotenv = dotenv.main.load_dotenv = lambda *a, **k: sys.exit('a file was looked for')\n"
        "from paretune.lm.backends.litellm_errors import load_litellm\n"
        "load_litellm()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(name for name in sys.path if name)}
    environment.pop("LITELLM_MODE", None)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
