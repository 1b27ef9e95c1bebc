"""Rows of local files: read in order, or by position, with little of them in memory.

Text files are read here, not through Hugging Face's builders: those take a file's name for a pattern, turn text that
looks like a number or a date into one, and fill short rows. Here text survives as it is.
"""

from __future__ import annotations

import contextlib
import gzip
import lzma
import shutil
import zlib
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from paretune.errors import DataError
from paretune.wording import shortened

__all__ = [
    "BOM",
    "PACKED",
    "FileRows",
    "Row",
    "decoded",
    "lines_of",
    "not_utf8",
    "opened",
    "place_of",
    "twice",
]

Row = dict[str, Any]
BOM = b"\xef\xbb\xbf"
#: The endings of packed text files, and what opens them.
PACKED: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open}
#: What a file that is no UTF-8 text begins with, and what it then is.
_FORMATS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip, as Excel's are",
}


class FileRows(ABC):
    """The rows of files of one kind. Iterating keeps one row in memory, an index takes eight bytes a row.

    ``folder`` is a temporary one, for files that must be unpacked to be read by position. Raises DataError that names
    the file and the line (counted from 1), and when there is no row at all.
    """

    def __init__(self, files: Sequence[Path], folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._unpacked: dict[Path, Path] = {}

    @abstractmethod
    def _read(self, file: Path) -> Iterator[Row]:
        """The rows of one file, in order."""

    @abstractmethod
    def _places(self, file: Path) -> Iterable[int]:
        """Where each row of one file is (a byte, or a number), as ``_row_at`` takes it."""

    @abstractmethod
    def _row_at(self, file: Path, place: int) -> Row:
        """The row at a place."""

    def _nothing(self) -> str:
        """What is wrong with files without a row."""
        return "has no rows"

    def __iter__(self) -> Iterator[Row]:
        empty = True
        for file in self._files:
            for row in self._read(file):
                empty = False
                yield row
        if empty:
            raise self._empty()

    def __len__(self) -> int:
        count = sum(len(places) for places in self._index)
        if not count:
            raise self._empty()
        return count

    def __getitem__(self, position: int) -> Row:
        for file, places in zip(self._files, self._index, strict=True):
            if position < len(places):
                return self._row_at(file, places[position])
            position -= len(places)
        raise IndexError(position)

    @cached_property
    def _index(self) -> list[array[int]]:
        return [array("Q", self._places(file)) for file in self._files]

    def _empty(self) -> DataError:
        return DataError(f"{', '.join(repr(str(file)) for file in self._files)} {self._nothing()}")

    def _lines_from(self, file: Path, place: int) -> Iterator[bytes]:
        """The lines of a text file from a byte of its (unpacked) content on."""
        if _ending(file) in PACKED and file not in self._unpacked:
            target = self._folder / f"unpacked-{len(self._unpacked)}"
            with opened(file) as source, target.open("wb") as handle:
                shutil.copyfileobj(source, handle)
            self._unpacked[file] = target
        with opened(self._unpacked.get(file, file)) as handle:
            handle.seek(place)
            yield from handle


def _ending(file: Path) -> str:
    return file.suffix.lower()


@contextlib.contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked where its name ends in ``.gz`` or ``.xz``; what fails is a DataError."""
    unpack = PACKED.get(_ending(file))
    try:
        with file.open("rb") if unpack is None else unpack(file) as handle:
            yield handle
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{str(file)!r} cannot be read: {error}") from error


def lines_of(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """``(line number from 1, byte offset, line)`` of each line, which a line feed ends; a mark of UTF-8 is left out."""
    with opened(file) as handle:
        offset = len(BOM) if handle.read(len(BOM)) == BOM else handle.seek(0)
        for number, line in enumerate(handle, start=1):
            yield number, offset, line
            offset += len(line)


def place_of(file: Path, line: int | None = None) -> str:
    """How errors name a line of a file; a line that is not known is left out."""
    return f"{str(file)!r}" + (f", line {line}" if line else "")


def decoded(content: bytes, file: Path, where: str) -> str:
    """Bytes as text. Raises DataError that begins with ``where``, and tells the cure."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        with file.open("rb") as handle:
            start = handle.read(4)
        kind = next((name for magic, name in _FORMATS.items() if start.startswith(magic)), None)
        raise not_utf8(f"{where}: byte {content[error.start]:#04x} is not UTF-8", kind) from None


def not_utf8(where: str, kind: str | None) -> DataError:
    """The error of a file in another encoding (``kind``, where it is known), with the cure."""
    if kind in (None, "UTF-16"):
        cure = f"save the file as UTF-8, for example: iconv -f {kind or 'WINDOWS-1252'} -t UTF-8 FILE > NEW"
        return DataError(f"{where}; it looks like {kind or 'Windows-1252 or Latin-1'}: {cure}")
    return DataError(f"{where}: the file is {kind}; unpack it, or give it the ending of what it is")


def twice(names: Sequence[str]) -> str:
    """The names that stand more than once, as an error lists them."""
    return shortened(", ".join(repr(name) for name in sorted(set(names)) if names.count(name) > 1))
