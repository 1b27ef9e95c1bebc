"""How a command ends: the one place that turns an expected error into a line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from paretune.errors import ParetuneError

__all__ = ["run_stage"]


def run_stage(main: Callable[[], object]) -> None:
    """Run ``main``; print an expected error as ``error: <message>`` and exit 1; Ctrl-C exits 130.

    Any other exception is a bug and keeps its traceback.
    """
    try:
        main()
    except ParetuneError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
