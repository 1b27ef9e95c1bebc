"""What every command does with its output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["printing"]


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Letters that the terminal cannot show are written as escapes; a reader that has seen enough ends no command."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
