"""How a command ends: the one place that turns an expected error into a line and an exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path

from paretune.errors import ParetuneError
from paretune.schemas.faults import shown
from paretune.terminal import plain
from paretune.wording import shortened

__all__ = ["run_stage"]

#: What the machine refuses, whatever the program does, and what can be done about it.
_REFUSED = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free disk space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "make it readable and writable"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a file is where a folder must be: move it away"),
    errno.EISDIR: "a folder is where a file must be: move it away",
    errno.ENAMETOOLONG: "name a shorter one",
    errno.ELOOP: "the link leads to itself: name another one",
}


_LONGEST = 2_000  # characters of a line: what is wrong stands at its beginning


def run_stage(main: Callable[[], object], interrupted: str = "interrupted; go on with: dvc repro") -> None:
    """Run ``main``; print an expected error as ``error: <message>`` and exit 1, for Ctrl-C ``interrupted`` and 130.

    A full disk, a file that may not be read or written, and a path that cannot be are expected. Any other exception is
    a bug and keeps its traceback.
    """
    sys.path.append(str(Path("src").resolve()))  # code of the project's own, beside that in its folder
    try:
        main()
    except ParetuneError as error:
        _end(str(error))
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        name = error.filename2 or error.filename  # where a finished file replaces another, the second is the user's
        place = "" if name is None else f"{shown(str(name), 200)}: "
        _end(f"{place}{error.strerror}; {_REFUSED[error.errno]}, then run again")
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        sys.exit(130)


def _end(message: str) -> None:
    lines = (shortened(line, _LONGEST) for line in message.split("\n"))
    print("error:", plain("\n".join(lines), lines=True), file=sys.stderr)
    sys.exit(1)
