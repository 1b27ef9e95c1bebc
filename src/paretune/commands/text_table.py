"""Columns of text on a terminal: cut or left out where they are too wide for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paretune.terminal import plain

__all__ = ["Column", "cut", "fits", "table_lines", "width"]


@dataclass(frozen=True)
class Column:
    """A column; ``right``: set right, as numbers are. ``least``: its cells are cut to no fewer columns of the terminal
    (None: never cut). ``rank``: a narrow terminal does without the columns of the highest rank first, never of 0."""

    name: str
    right: bool = False
    least: int | None = None
    rank: int = 0


def width() -> int:
    """The columns of the terminal; as many as are needed where the output goes elsewhere."""
    return shutil.get_terminal_size((10_000, 24)).columns


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], limit: int) -> Iterator[str]:
    """A head and a line a row, at most ``limit`` columns wide where that can be; below them what was left out.

    Text is shown as text: nothing in a cell steers the terminal, and each cell is one line.
    """
    cells, sizes = _measured(columns, rows)
    kept = list(range(len(columns)))
    while _total(columns, sizes, kept) > limit and (free := [place for place in kept if columns[place].rank]):
        kept.remove(max(free, key=lambda place: (columns[place].rank, place)))
    most = max((size for size in range(1, 400) if _total(columns, sizes, kept, size) <= limit), default=0)
    for row in cells:
        yield "  ".join(
            _set(row[place], _size(columns[place], sizes[place], most), columns[place].right) for place in kept
        ).rstrip()
    if left_out := [column.name for place, column in enumerate(columns) if place not in kept]:
        yield f"(no room for: {', '.join(map(plain, left_out))})"


def fits(columns: Sequence[Column], rows: Sequence[Sequence[str]], limit: int) -> bool:
    """Whether no column has to be left out."""
    return _total(columns, _measured(columns, rows)[1], range(len(columns))) <= limit


def cut(text: str, size: int) -> str:
    """Text in at most so many columns of the terminal."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= size else f"{set_cell_size(text, size - 1).rstrip()}…"


def _measured(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[int]]:
    """The cells, the head's first, as they are shown, and the width of each column."""
    from rich.cells import cell_len

    cells = [[plain(cell) for cell in row] for row in ([column.name for column in columns], *rows)]
    return cells, [max(map(cell_len, column)) for column in zip(*cells, strict=True)]


def _total(columns: Sequence[Column], sizes: Sequence[int], kept: Sequence[int], most: int = 0) -> int:
    """How wide the lines are with what can be cut cut to ``most``."""
    return sum(_size(columns[place], sizes[place], most) for place in kept) + 2 * (len(kept) - 1)


def _size(column: Column, size: int, most: int) -> int:
    return size if column.least is None else min(size, max(most, column.least))


def _set(text: str, size: int, right: bool) -> str:
    from rich.cells import cell_len

    shown = cut(text, size)
    space = " " * (size - cell_len(shown))
    return f"{space}{shown}" if right else f"{shown}{space}"
