"""Tables in CSV that spreadsheets open: text in them is never a formula, and steers no terminal."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import TYPE_CHECKING, Any

from paretune.errors import DataError
from paretune.terminal import plain

if TYPE_CHECKING:
    import pandas

__all__ = ["guarded", "read_table", "without_formulas"]

#: What makes a spreadsheet take text for a formula, by OWASP's list; and the mark itself, so that it can be taken off.
_RISKY = ("=", "+", "-", "@", "\t", "'")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "True": True, "False": False}


def without_formulas(table: pandas.DataFrame) -> pandas.DataFrame:
    """The table with an apostrophe before each text (names of columns too) that a spreadsheet would compute, and
    without what could steer a terminal (see ``plain``)."""
    return table.map(guarded).rename(columns=guarded)


def read_table(text: str, name: str, texts: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """The rows of such a text: numbers, yes and no, and texts, None where a cell is empty; columns in ``texts`` hold
    text alone. Raises DataError, with the file's ``name``, for what is no table."""
    try:
        head, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise DataError(f"{name} is no table ({error}); run dvc repro") from None
    columns = [_bare(cell) for cell in head]
    if any(len(row) != len(columns) for row in rows):
        raise DataError(f"{name}: not every row has the {len(columns)} columns of the first; run dvc repro")
    return [
        {
            column: (_bare(cell) or None) if column in texts else _value(cell)
            for column, cell in zip(columns, row, strict=True)
        }
        for row in rows
    ]


def guarded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = plain(value, lines=True)
    return f"'{text}" if text.startswith(_RISKY) else text


def _bare(cell: str) -> str:
    return cell.removeprefix("'")


def _value(cell: str) -> Any:
    if cell in _WORDS:
        return _WORDS[cell]
    if _NUMBER.fullmatch(cell):
        number = float(cell)
        return int(cell) if cell.lstrip("-").isdigit() else number if math.isfinite(number) else cell
    return _bare(cell)
