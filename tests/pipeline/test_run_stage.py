"""How commands end."""

from __future__ import annotations

import errno
import os

import pytest

from paretune.errors import DataError
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
    """130, as shells know it."""

    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_stage(main)
    assert (ended.value.code, capsys.readouterr().err) == (130, "interrupted\n")
