"""What the columns of a table hold: the kind of their values, how many differ, what is missing."""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretune.datasets.conversions import as_bool, as_float, as_int
from paretune.errors import DataError
from paretune.wording import shortened

__all__ = ["Column", "is_missing", "measured", "tidy_rows"]

Row = dict[str, Any]

_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_CODE = re.compile(r"[+-]?0\d")
#: What the values of a column are, the first that all of them are.
KINDS = ("yes or no", "whole number", "number", "date", "list", "record", "text")


@dataclass(frozen=True)
class Column:
    """One column: ``counts`` has each distinct value (as text, see ``shown``) with the number of its rows, ``length``
    the mean length of its values in characters, ``missing`` the number of rows without one."""

    name: str
    kind: str
    rows: int
    missing: int
    length: float
    counts: Mapping[str, int]

    @property
    def filled(self) -> int:
        """How many rows have a value."""
        return self.rows - self.missing

    @property
    def unique(self) -> bool:
        """Whether hardly any value stands twice, as in an identifier or a free text."""
        return self.filled > 1 and len(self.counts) > 0.9 * self.filled

    @property
    def examples(self) -> list[str]:
        """The three most frequent values, shortened."""
        return [shortened(" ".join(value.split())) for value, _ in Counter(self.counts).most_common(3)]


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: nothing, blank text, or not a number."""
    return value is None or (isinstance(value, str) and not value.strip()) or (value != value)


def _tidy(value: Any) -> Any:
    """A cell as JSON can hold it: text without blanks around it, dates as ISO text, empty cells as None.

    Raises DataError for what has no JSON, such as bytes.
    """
    if is_missing(value):
        return None
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Mapping):
        return {str(name): _tidy(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tidy(item) for item in value]
    if isinstance(value, bool | int | float):
        if isinstance(value, float) and not math.isfinite(value):
            raise DataError(f"{value} is no number that can be written as JSON")
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "as_tuple"):  # a decimal
        return float(value)
    raise DataError(f"a value of type {type(value).__name__} ({shortened(repr(value))}) has no place in JSON")


def _parsed(text: Any) -> Any:
    """The list or record that a text writes; anything else as it is."""
    if not isinstance(text, str) or text[0] + text[-1] not in ("[]", "{}"):
        return text
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list | dict):
            return _tidy(value)
    return text


def tidy_rows(rows: Sequence[Mapping[str, Any]], where: str) -> list[Row]:
    """Rows with tidy cells, each with every column that any of them has.

    A column whose texts all are lists or records (as JSON, or as Python, which pandas writes) has those in their place.
    Raises DataError with the row's number.
    """
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    done: list[Row] = []
    for number, row in enumerate(rows):
        try:
            done.append({name: _tidy(row.get(name)) for name in names})
        except DataError as error:
            raise DataError(f"{where}, row {number} (counted from 0): {error}") from None
    for name in names:
        parsed = [_parsed(row[name]) for row in done]
        if all(isinstance(value, list | dict | None) for value in parsed):
            for row, value in zip(done, parsed, strict=True):
                row[name] = value
    return done


def shown(value: Any) -> str:
    """A value as text: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def measured(rows: Sequence[Row]) -> list[Column]:
    """The columns of rows that ``tidy_rows`` made, in their order."""
    return [_measured(name, [row[name] for row in rows]) for name in (rows[0] if rows else ())]


def _measured(name: str, values: Sequence[Any]) -> Column:
    held = [value for value in values if value is not None]
    texts = [shown(value) for value in held]
    return Column(
        name=name,
        kind=kind_of(held),
        rows=len(values),
        missing=len(values) - len(held),
        length=sum(map(len, texts)) / len(texts) if texts else 0.0,
        counts=dict(Counter(texts)),
    )


def kind_of(values: Sequence[Any]) -> str:
    """The first of ``KINDS`` that all values are; ``"empty"`` without any."""
    if not values:
        return "empty"
    return next(kind for kind in KINDS if all(_TESTS[kind](value) for value in values))


def _reads(convert: Callable[[Any], Any]) -> Callable[[Any], bool]:
    def test(value: Any) -> bool:
        if isinstance(value, list | dict):
            return False
        try:
            convert(value)
        except ValueError:
            return False
        return True

    return test


def _is_boolean(value: Any) -> bool:
    """True, false, yes, no, 0, 1; not y, t, on, which are rather labels."""
    return isinstance(value, bool) or (
        str(value).lower() not in ("y", "t", "n", "f", "on", "off") and _reads(as_bool)(value)
    )


def _is_number(value: Any) -> bool:
    """Not true and false, nor what has zeros before it, as 007 or a postal code."""
    return not isinstance(value, bool) and not (isinstance(value, str) and _CODE.match(value))


_TESTS: dict[str, Callable[[Any], bool]] = {
    "yes or no": _is_boolean,
    "whole number": lambda value: _is_number(value) and _reads(as_int)(value),
    "number": lambda value: _is_number(value) and _reads(as_float)(value),
    "date": lambda value: isinstance(value, str) and _DATE.fullmatch(value) is not None,
    "list": lambda value: isinstance(value, list),
    "record": lambda value: isinstance(value, dict),
    "text": lambda value: True,
}
