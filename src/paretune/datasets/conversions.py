"""Filters of templates that turn text into numbers and booleans, and refuse what is none (Jinja's own would give 0)."""

from __future__ import annotations

import re
from typing import Any

from paretune.datasets.rows import shortened
from paretune.errors import DataError

__all__ = ["FILTERS"]

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "y", "t", "on", "1"), True),
    **dict.fromkeys(("false", "no", "n", "f", "off", "0"), False),
}


def to_int(value: Any) -> int:
    """A whole number: ``"7"``, ``" 7 "``, ``"-7.0"``, 7.0 or True; raises DataError for anything else."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    raise _refused(value, "int", "a whole number")


def to_float(value: Any) -> float:
    """A number: ``"1.10"``, ``"1e-3"``, 1 or True; raises DataError for anything else, as ``"1,5"`` or ``"nan"``."""
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value.strip())):
        return float(value)
    raise _refused(value, "float", "a number, with a decimal point")


def to_bool(value: Any) -> bool:
    """true, yes, y, t, on, 1 and false, no, n, f, off, 0, in any case; raises DataError for anything else."""
    meant = _BOOLEANS.get(str(value).strip().lower())
    if meant is None:
        raise _refused(value, "bool", f"one of {', '.join(_BOOLEANS)}")
    return meant


def _refused(value: Any, name: str, rule: str) -> DataError:
    str(value)  # a strict undefined value raises its own error here, which names it
    return DataError(f"{shortened(repr(value))} is not {rule} (filter {name!r})")


#: Under the names that Jinja has for two of them.
FILTERS = {"int": to_int, "float": to_float, "bool": to_bool}
