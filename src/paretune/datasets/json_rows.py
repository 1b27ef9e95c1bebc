"""Rows of JSON files: one object a line, or one list of objects a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from paretune.datasets.rows import BOM, FileRows, Row, decoded, lines_of, not_utf8, opened, place_of
from paretune.errors import DataError
from paretune.wording import shortened

__all__ = ["JsonRows"]

_DEEPEST = 100  # levels of lists and objects in a row; far below what any later step can walk through


class JsonRows(FileRows):
    """The rows of JSON files, read line by line; a file that is one list is read whole.

    A name that stands twice in one object is an error: parsers keep one of the two values in silence.
    """

    def _read(self, file: Path) -> Iterator[Row]:
        if file in self._lists:
            yield from self._lists[file]
        else:
            for number, _, line in lines_of(file):
                if line.strip():
                    yield _row(line, file, number)

    def _places(self, file: Path) -> Iterable[int]:
        if file in self._lists:
            return range(len(self._lists[file]))
        return (offset for _, offset, line in lines_of(file) if line.strip())

    def _row_at(self, file: Path, place: int) -> Row:
        if file in self._lists:
            return self._lists[file][place]
        line = next(self._lines_from(file, place))
        try:
            return _row(line, file, None)
        except DataError:  # once more, with the number of the line
            number = next(number for number, offset, _ in lines_of(file) if offset == place)
            return _row(line, file, number)

    @cached_property
    def _lists(self) -> dict[Path, list[Row]]:
        return {file: _read_list(file) for file in self._files if _is_list(file)}


def _is_list(file: Path) -> bool:
    with opened(file) as handle:
        return handle.read(64).removeprefix(BOM).lstrip().startswith(b"[")


def _row(line: bytes, file: Path, number: int | None) -> Row:
    where = place_of(file, number)
    row = _parsed(line, file, f"{where}: not valid JSON (one object a line is expected)")
    if not isinstance(row, dict):
        raise DataError(f"{where}: a row must be a JSON object (got {shortened(repr(row))})")
    return row


def _read_list(file: Path) -> list[Row]:
    where = place_of(file)
    with opened(file) as handle:
        rows: list[Row] = _parsed(handle.read(), file, f"{where}: not valid JSON")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"{where}, item {number} (counted from 0): a row must be a JSON object")
    return rows


def _parsed(content: bytes, file: Path, where: str) -> Any:
    if b"\0" in content:
        raise not_utf8(f"{where}: a zero byte stands in it", "UTF-16")
    text = decoded(content.removeprefix(BOM), file, where)
    try:
        value = json.loads(text, object_pairs_hook=_distinct)
        if text.count("[") + text.count("{") > _DEEPEST and _is_deep(value):
            raise RecursionError
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise DataError(f"{where}: {half} is half a character; give both halves, or leave it out") from None
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
    except RecursionError:
        raise DataError(f"{where}: nested too deeply (at most {_DEEPEST} levels)") from None
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST + isinstance(value, list)):  # a file's list of rows is not a level of a row
        items = (child for item in level for child in (item.values() if isinstance(item, dict) else item))
        level = [item for item in items if isinstance(item, dict | list)]
    return bool(level)


def _distinct(pairs: list[tuple[str, Any]]) -> Row:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        values = " and ".join(shortened(repr(item)) for name, item in pairs if name == twice)
        raise ValueError(f"the name {twice!r} stands more than once in one object, with {values}; keep one")
    return value
