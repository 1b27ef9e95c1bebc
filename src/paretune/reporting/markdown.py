"""Text that others wrote, in Markdown, where it stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from paretune.terminal import plain
from paretune.wording import shortened

__all__ = ["code", "escaped", "table"]

_LONGEST = 200
_MARKUP = re.compile(r"[\\`*\[\]<>&~#$@]|(?<!\w)_|_(?!\w)")


def code(value: object) -> str:
    """A value as a code span, at most 200 characters of it: no markup, no link and no mention in it comes alive."""
    text = plain(str(value))
    text = shortened(text, _LONGEST)
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if not text.strip() or "`" in (text[0], text[-1]) else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def escaped(text: str) -> str:
    """A sentence in which nothing is markup."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", plain(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> list[str]:
    """The lines of a table of Markdown cells; the first ``texts`` columns are set left, the others right."""
    marks = ["---" if place < texts else "--:" for place in range(len(head))]
    lines = [head, marks, *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
