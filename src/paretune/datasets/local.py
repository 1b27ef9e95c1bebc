"""Local data files: which reader fits an ending, and JSON rows read exactly as they stand.

JSON is read here, not through Hugging Face's builder: that one turns text which looks like a date into a
timestamp, and a column of mixed types into one type. Here text survives as it is.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from paretune.errors import DataError

__all__ = ["JsonRows", "LocalFiles", "find_files", "is_local"]

# Hugging Face's builder and its options for each ending. In CSV, "NA" or "null" is text like any other.
_CSV = {"keep_default_na": False}
_READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".json": ("json", {}),
    ".jsonl": ("json", {}),
    ".csv": ("csv", _CSV),
    ".tsv": ("csv", _CSV | {"sep": "\t"}),
    ".parquet": ("parquet", {}),
}
_SPLIT_NAMES = ("train", "test", "validation", "val", "dev")


class LocalFiles(NamedTuple):
    """Files of one kind, in order, with the builder that reads them and its options."""

    builder: str
    files: list[Path]
    options: Mapping[str, Any]


def is_local(path: str) -> bool:
    """Whether a path means local files: it exists, or it could not be a name on the hub."""
    if "://" in path:
        return False
    looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1 or Path(path).suffix in _READERS
    return looks_local or Path(path).exists()


def find_files(path: str, split: str) -> LocalFiles:
    """The files behind a local path: the file itself, or those of a folder.

    In a folder whose files are named after splits (``train.jsonl``, ``emotion_test.csv``), those of
    ``split``; in any other folder all files, which then are the split ``"train"``, as a single file is.
    Raises DataError for a missing file or folder, an unknown ending, a split that is not there, or files of
    several kinds.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        files = sorted(item for item in place.iterdir() if item.suffix in _READERS)
        if not files:
            raise DataError(f"no data files in the folder {path!r} (known endings: {', '.join(_READERS)})")
    elif not place.is_file():
        raise DataError(f"data file not found: {path!r} (looked in {str(Path.cwd())!r})")
    elif place.suffix not in _READERS:
        raise DataError(f"data file {path!r}: unknown ending {place.suffix!r} (known: {', '.join(_READERS)})")
    else:
        files = [place]
    names = {name for item in files for name in _splits_named(item)} if place.is_dir() else set()
    if names:
        files = [item for item in files if split in _splits_named(item)]
    if not files or (not names and split != "train"):
        known = ", ".join(sorted(names)) or "train: a file, or a folder whose files name no split, is that one"
        raise DataError(f"{path!r} has no split {split!r} (it has {known})")
    kinds = {item.suffix for item in files}
    if len(kinds) > 1:
        raise DataError(f"the folder {path!r} mixes {', '.join(sorted(kinds))} files; keep one kind, or name one file")
    builder, options = _READERS[kinds.pop()]
    return LocalFiles(builder, files, options)


def _splits_named(file: Path) -> list[str]:
    words = re.split(r"[-_.]", file.stem)
    return [name for name in _SPLIT_NAMES if name in words]


class JsonRows:
    """The rows of JSON files: one object a line, or one list of objects a file. Reads line by line.

    Iterating keeps one row in memory (a file that is one list is read whole). An index costs eight bytes a
    row. Raises DataError that names the file and the line (counted from 1).
    """

    def __init__(self, files: list[Path]) -> None:
        self._files = files

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for file in self._files:
            if self._is_list(file):
                yield from self._lists[file]
            else:
                for number, _, line in _lines(file):
                    yield _row(line, file, number)

    def __len__(self) -> int:
        return sum(len(index) for index in self._index.values())

    def __getitem__(self, position: int) -> dict[str, Any]:
        for file, index in self._index.items():
            if position < len(index):
                if file in self._lists:
                    return self._lists[file][position]
                with file.open("rb") as handle:
                    handle.seek(index[position])
                    return _row(handle.readline(), file, None)
            position -= len(index)
        raise IndexError(position)

    @cached_property
    def _index(self) -> dict[Path, array[int]]:
        """For each file, where each of its rows begins (in a list: the row's number)."""
        return {
            file: array("Q", range(len(self._lists[file])))
            if self._is_list(file)
            else array("Q", (offset for _, offset, _ in _lines(file)))
            for file in self._files
        }

    @cached_property
    def _lists(self) -> dict[Path, list[dict[str, Any]]]:
        return {file: _read_list(file) for file in self._files if self._is_list(file)}

    @staticmethod
    def _is_list(file: Path) -> bool:
        with file.open("rb") as handle:
            return handle.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _lines(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """``(line number from 1, byte offset, line)`` of every line that is not blank."""
    offset = 0
    with file.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                yield number, offset, line
            offset += len(line)


def _row(line: bytes, file: Path, number: int | None) -> dict[str, Any]:
    where = f"{str(file)!r}" + (f", line {number}" if number else "")
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except ValueError as error:
        raise DataError(f"{where}: not valid JSON (one object a line is expected): {error}") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: a row must be a JSON object (got {line.decode()[:60].strip()})")
    return row


def _read_list(file: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise DataError(f"{str(file)!r}: not valid JSON: {error}") from None
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"{str(file)!r}, item {number} (counted from 0): a row must be a JSON object")
    return list(rows)
