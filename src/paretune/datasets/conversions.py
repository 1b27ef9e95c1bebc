"""Filters of templates that turn text into numbers and booleans, and refuse what is none (Jinja's own would give 0)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from paretune.errors import DataError
from paretune.schemas.faults import did_you_mean
from paretune.wording import shortened

__all__ = ["FILTERS", "as_bool", "as_float", "as_int", "split", "where_true"]

T = TypeVar("T")

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "y", "t", "on", "1"), True),
    **dict.fromkeys(("false", "no", "n", "f", "off", "0"), False),
}


def as_int(value: Any) -> int:
    """A whole number: ``"7"``, ``" 7 "``, ``"-7.0"``, 7.0 or True; raises ValueError for anything else."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    raise _refused(value, "a whole number")


def as_float(value: Any) -> float:
    """A number: ``"1.10"``, ``"1e-3"``, 1 or True; raises ValueError for anything else, as ``"1,5"`` or ``"nan"``."""
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value.strip())):
        return float(value)
    raise _refused(value, "a number, with a decimal point")


def as_bool(value: Any) -> bool:
    """true, yes, y, t, on, 1 and false, no, n, f, off, 0, in any case; raises ValueError for anything else."""
    meant = _BOOLEANS.get(str(value).strip().lower())
    if meant is None:
        raise _refused(value, f"one of {', '.join(_BOOLEANS)}")
    return meant


def _refused(value: Any, rule: str) -> ValueError:
    str(value)  # a strict undefined value raises its own error here, which names it
    return ValueError(f"{shortened(repr(value))} is not {rule}")


def _filter(name: str, convert: Callable[[Any], T]) -> Callable[[Any], T]:
    def converted(value: Any) -> T:
        try:
            return convert(value)
        except ValueError as error:
            raise DataError(f"{error} (filter {name!r})") from None

    return converted


def split(text: Any, separator: str) -> list[str]:
    """The parts of a text without the space around them; empty ones are left out, and None has none.

    Raises DataError for what is no text.
    """
    if text is not None and not isinstance(text, str):
        raise DataError(f"{_refused(text, 'text')} (filter 'split')")
    return [part.strip() for part in (text or "").split(separator) if part.strip()]


def where_true(row: Any, names: Sequence[str]) -> list[str]:
    """Those of some columns that say yes in a row (see ``as_bool``; an empty cell says no).

    Raises DataError for a column that is not there, or says something else.
    """
    if not isinstance(row, Mapping):
        raise DataError("write `row | where_true(labels)` (filter 'where_true')")
    found = []
    for name in names:
        if name not in row:
            raise DataError(f"no column {name!r} (filter 'where_true'){did_you_mean(name, map(str, row))}")
        try:
            if row[name] not in (None, "") and as_bool(row[name]):
                found.append(name)
        except ValueError as error:
            raise DataError(f"column {name!r}: {error} (filter 'where_true')") from None
    return found


#: Under the names that Jinja has for three of them.
FILTERS = {
    "int": _filter("int", as_int),
    "float": _filter("float", as_float),
    "bool": _filter("bool", as_bool),
    "split": split,
    "where_true": where_true,
}
