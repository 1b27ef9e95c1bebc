"""What may be shown on a terminal of text that others wrote."""

from __future__ import annotations

import sys

__all__ = ["note", "plain"]


def plain(text: str, lines: bool = False) -> str:
    """Text without what could steer a terminal (ESC, BEL, C1, changes of direction): written as Python escapes it.

    ``lines``: line ends and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or (lines and letter in "\n\t") else repr(letter)[1:-1] for letter in text
    )


def note(text: str) -> None:
    """A line on stderr about what is done otherwise than declared."""
    print("note:", plain(text), file=sys.stderr, flush=True)
