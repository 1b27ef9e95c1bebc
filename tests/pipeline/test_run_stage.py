"""How commands end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from paretune.errors import ConfigError, DataError
from paretune.files import state_root
from paretune.pipeline.run_stage import run_stage


def refused(number: int, name: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), *([] if name is None else [name]))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DataError("no such row"), "error: no such row\n"),
        (refused(errno.ENOSPC), "error: No space left on device; free disk space, then run again\n"),
        (
            refused(errno.EROFS, "a/b.lock"),
            "error: 'a/b.lock': Read-only file system; make it readable and writable, then run again\n",
        ),
        (
            refused(errno.ENAMETOOLONG, "a" * 5000),
            f"error: '{'a' * 198}… (5002 characters): File name too long; name a shorter one, then run again\n",
        ),
        (
            refused(errno.ENOTDIR, "data/x"),
            "error: 'data/x': Not a directory; a file is where a folder must be: move it away, then run again\n",
        ),
        (DataError("x" * 9000), f"error: {'x' * 1999}…\n"),
        (
            OSError(errno.EISDIR, os.strerror(errno.EISDIR), ".a.part", None, "a.csv"),
            "error: 'a.csv': Is a directory; a folder is where a file must be: move it away, then run again\n",
        ),
    ],
)
def test_an_expected_error_is_one_line(error: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, with exit code 1: errors of ours, and what the machine refuses."""

    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_stage(main)
    assert (ended.value.code, capsys.readouterr().err) == (1, said)


@pytest.mark.parametrize("error", [ValueError("x"), refused(errno.EBADF), OSError("x")])
def test_a_bug_keeps_its_traceback(error: Exception) -> None:
    """Anything else goes through."""

    def main() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        run_stage(main)
    assert caught.value is error


def test_ctrl_c_has_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    """130, as shells know it, and the last line says how to go on."""

    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_stage(main)
    assert (ended.value.code, capsys.readouterr().err) == (130, "interrupted; go on with: dvc repro\n")


def test_something_else_where_the_state_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.paretune` or PARETUNE_HOME as a file, or as a link to nowhere, is told with the cure."""
    monkeypatch.delenv("PARETUNE_HOME", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / ".paretune").touch()
    with pytest.raises(
        ConfigError, match=r"\.paretune' is no folder, .* move it away, or name a folder in PARETUNE_HOME"
    ):
        state_root()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "link"))
    with pytest.raises(ConfigError, match="let PARETUNE_HOME name a folder"):
        state_root()
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "new"))
    assert state_root() == tmp_path / "new"
