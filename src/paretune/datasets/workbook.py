"""Rows of Excel workbooks (.xlsx), with openpyxl: the extra ``paretune[xlsx]``."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from paretune.datasets.rows import place_of
from paretune.datasets.table_rows import TableRows
from paretune.errors import DataError, UsageError

__all__ = ["WorkbookRows"]


class WorkbookRows(TableRows):
    """The rows of a sheet: the one that is named as the split, else (for the split ``"train"``) the first one.

    A cell is the text of its value, as Excel stores it and not as it is displayed: ``7`` and ``1.5`` for numbers,
    ``true`` and ``false``, ``2024-05-01`` or ``2024-05-01T10:30:00`` for dates, nothing for an empty cell. A formula
    is its last result; one without a result and one with an error (``#N/A``) are refused. Empty rows are skipped.
    Raises UsageError where openpyxl is not installed.
    """

    def __init__(self, files: Sequence[Path], folder: Path, split: str) -> None:
        super().__init__(files, folder)
        self._split = split

    def _row_at(self, file: Path, place: int) -> dict[str, Any]:
        return self._kept[file][place]

    def _places(self, file: Path) -> Iterable[int]:
        return range(len(self._kept[file]))

    @cached_property
    def _kept(self) -> dict[Path, list[dict[str, Any]]]:
        """All rows: a sheet can only be read in order."""
        return {file: list(self._read(file)) for file in self._files}

    def _records(self, file: Path) -> Iterator[tuple[str, int, list[str]]]:
        width = 0
        for number, row in enumerate(self._sheet_rows(file), start=1):
            where = f"{place_of(file)}, row {number} of the sheet"
            cells = [_text(value, formula, where) for value, formula in row]
            while len(cells) > width and not cells[-1]:
                cells.pop()
            if any(cells):
                width = width or len(cells)  # that of the header
                yield where, number, cells + [""] * (width - len(cells))

    def _sheet_rows(self, file: Path) -> Iterator[Iterator[tuple[Any, Any]]]:
        """For each row its cells: as the last results of formulas, and as what was entered."""
        openpyxl = _openpyxl()
        try:
            with ExitStack() as stack:
                sheets = []
                for results in (True, False):
                    with warnings.catch_warnings():  # they are about styles and extensions
                        warnings.simplefilter("ignore")
                        book = openpyxl.load_workbook(file, read_only=True, data_only=results)
                    stack.callback(book.close)
                    sheets.append(self._sheet(file, book))
                    sheets[-1].reset_dimensions()  # what the file says about its size may be wrong
                for row in zip(*(sheet.iter_rows() for sheet in sheets), strict=True):
                    yield zip_longest(*row)
        except DataError:
            raise
        except Exception as error:  # what is broken in a file breaks openpyxl anywhere
            reason = f"{type(error).__name__}: {error}"
            raise DataError(f"{place_of(file)} cannot be read as a workbook: {reason}") from error

    def _sheet(self, file: Path, book: Any) -> Any:
        sheets = {sheet.title: sheet for sheet in book.worksheets}
        if self._split in sheets:
            return sheets[self._split]
        if self._split == "train" and sheets:
            return book.worksheets[0]
        raise DataError(f"{place_of(file)} has no sheet {self._split!r} (it has {', '.join(map(repr, sheets))})")


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError:
        raise UsageError("Excel workbooks need openpyxl: pip install 'paretune[xlsx]', or save as .csv") from None
    return openpyxl


def _text(result: Any, entered: Any, where: str) -> str:
    value = None if result is None else result.value
    if result is not None and result.data_type == "e":
        raise DataError(f"{where}: a cell holds the error {value}; mend it or leave it empty")
    if value is None:
        if entered is not None and entered.data_type == "f":
            raise DataError(f"{where}: the formula {entered.value!r} has no result; save the file in Excel once")
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.datetime):
        return value.isoformat() if value.time() != datetime.time() else value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
