"""Rows of tables, with CSV and TSV files as one kind of them. Every cell is text, also what looks like a number."""

from __future__ import annotations

import csv
import itertools
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from paretune.datasets.rows import FileRows, Row, decoded, lines_of, not_utf8, place_of, twice
from paretune.errors import DataError
from paretune.wording import shortened

__all__ = ["CsvRows", "TableRows"]

_DELIMITERS = ",;\t|"
#: The longest cell in characters. Python's limit of 131,072 is less than a long document; without any, a quote that is
#: never closed would read a whole file into memory.
_LONGEST_CELL = 2**26


class TableRows(FileRows):
    """The rows of tables whose first row names the columns. A row without one cell a column is an error."""

    def __init__(self, files: Sequence[Path], folder: Path) -> None:
        super().__init__(files, folder)
        self._columns: dict[Path, list[str]] = {}

    @abstractmethod
    def _records(self, file: Path) -> Iterator[tuple[str, int, list[str]]]:
        """``(place for errors, place for _row_at, cells)`` of each row that is not empty, the header first."""

    def _cure(self, cells: list[str], columns: list[str]) -> str:
        """What to do about a row with too many or too few cells."""
        return "write one cell a column"

    def _below_header(self, file: Path) -> Iterator[tuple[str, int, list[str]]]:
        records = self._records(file)
        for where, _, names in itertools.islice(records, 1):
            if same := twice(names):
                unnamed = "; name each column, or delete those without a name" if names.count("") > 1 else ""
                raise DataError(f"{where}: columns must have different names (more than once: {same}){unnamed}")
            self._columns[file] = names
        return records

    def _read(self, file: Path) -> Iterator[Row]:
        for where, _, cells in self._below_header(file):
            yield self._row(file, cells, where)

    def _places(self, file: Path) -> Iterable[int]:
        for where, place, cells in self._below_header(file):
            self._row(file, cells, where)  # an error names its line here, and could not later
            yield place

    def _row(self, file: Path, cells: list[str], where: str) -> Row:
        columns = self._columns[file]
        if len(cells) != len(columns):
            raise DataError(
                f"{where} cannot be read: a row of {len(cells)} below a header of {len(columns)} "
                f"({_listed(columns)}): {_listed(cells)}\n  {self._cure(cells, columns)}"
            )
        return dict(zip(columns, cells, strict=True))

    def _nothing(self) -> str:
        columns = next(iter(self._columns.values()), None)
        return f"has a header ({_listed(columns)}) and no rows" if columns else "has no rows"


class CsvRows(TableRows):
    """The rows of CSV files as in RFC 4180: a cell that holds a delimiter, a line break or a quote stands in double
    quotes, with its own quotes written twice. Any line break ends a row; empty lines are skipped.

    ``delimiter`` is one character; one that is not given outright (``default``) is doubted where it finds one column.
    """

    def __init__(self, files: Sequence[Path], folder: Path, delimiter: str, *, default: bool) -> None:
        super().__init__(files, folder)
        self._delimiter, self._default = delimiter, default
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))

    def _row_at(self, file: Path, place: int) -> Row:
        parts = (part for line in self._lines_from(file, place) for part in _parts(line))
        text = (decoded(part, file, place_of(file)) for part in parts)
        return self._row(file, next(self._reader(text)), place_of(file))

    def _records(self, file: Path) -> Iterator[tuple[str, int, list[str]]]:
        lines = _Lines(file)
        reader = self._reader(lines)
        header = True
        while True:
            number, offset = lines.number, lines.offset
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise _broken(file, number, lines.number - 1, error) from None
            if cells is None:
                return
            if cells:
                if header:
                    self._check_header(file, cells, number)
                    header = False
                yield place_of(file, number), offset, cells

    def _check_header(self, file: Path, names: list[str], number: int) -> None:
        """Refuse what no header of this encoding and delimiter looks like."""
        where = place_of(file, number)
        if any("\0" in name for name in names):
            raise not_utf8(f"{where}: a zero byte stands in it", "UTF-16")
        other = next((each for each in _DELIMITERS if each != self._delimiter and each in names[0]), None)
        if self._default and len(names) == 1 and other:
            raise DataError(
                f"{where}: one column, {shortened(names[0])!r}: {self._delimiter!r} does not part its names; "
                f"give the delimiter that does, perhaps {other!r} (in the pipeline: data.splits.….delimiter)"
            )

    def _cure(self, cells: list[str], columns: list[str]) -> str:
        if len(cells) > len(columns):
            shown = repr(self._delimiter)[1:-1]  # it may be a control character
            return f'put a cell that holds the delimiter in quotes: "one{shown} two"'
        return f"write one cell a column, also where it is empty (the delimiter is {self._delimiter!r})"

    def _reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self._delimiter, strict=True)


class _Lines:
    """The lines of a CSV file as text, and where the next one begins: its number (from 1) and its byte."""

    def __init__(self, file: Path) -> None:
        self.number, self.offset = 1, 0
        self._file = file
        self._rest = self._all()

    def __iter__(self) -> Iterator[str]:
        return self._rest

    def _all(self) -> Iterator[str]:
        for _, offset, line in lines_of(self._file):
            self.offset = offset
            for part in _parts(line):
                text = decoded(part, self._file, place_of(self._file, self.number))
                self.number += 1
                self.offset += len(part)
                yield text


def _parts(line: bytes) -> Sequence[bytes]:
    """A line cut at the carriage returns that end lines as well."""
    return line.splitlines(keepends=True) if b"\r" in line else (line,)


def _broken(file: Path, first: int, last: int, error: csv.Error) -> DataError:
    if "field larger" in str(error) or "unexpected end" in str(error):
        reason = "a quoted cell that begins in this row is never closed"
    else:
        reason = f"a quote within a cell ({error})"
    lines = f"{first} to {last}" if last > first else f"{first}"
    cure = 'a cell with quotes stands in quotes, and its own are written twice: "say ""hi"""'
    return DataError(f"{str(file)!r}, line {lines} cannot be read: {reason}\n  {cure}")


def _listed(names: Iterable[str]) -> str:
    return shortened(", ".join(map(repr, names)))
