"""What every command does with its output."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator

__all__ = ["add_limit", "printing"]


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


def add_limit(parser: argparse.ArgumentParser, what: str, default: int) -> None:
    """The option ``--limit`` of a command that shows rows or examples: None for all."""
    text = f"so many {what} (default: {default}; 0: all)"
    parser.add_argument("--limit", type=_limit, default=default, metavar="N", help=text)


def _limit(text: str) -> int | None:
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text) if int(text) > 0 else None
