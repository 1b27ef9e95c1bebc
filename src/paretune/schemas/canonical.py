"""The one JSON of a value: equal values have equal bytes, in every process.

Pydantic writes a set in the order of its hashes, which differs from process to process, and ``Decimal("1.0")`` and
``Decimal("1.00")``, which are equal, differently. Here sets and the keys of mappings are sorted, decimals have no zeros
at their end, instants are in UTC, and NaN and infinity are text, because JSON has no such numbers.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Set
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import RootModel
from pydantic_core import to_jsonable_python

from paretune.files import canonical_json

__all__ = ["canonical", "canonical_of"]


def canonical_of(value: Any) -> Any:
    """The canonical JSON value of any value that pydantic can write."""
    return canonical(value, to_jsonable_python(value))


def canonical(value: Any, written: Any) -> Any:
    """``written``, which pydantic made of ``value``, in canonical form.

    What a serializer of the user's own wrote otherwise is left as it is.
    """
    if type(value) in _AS_IT_IS and type(value) is type(written):
        return written
    if isinstance(value, RootModel):
        return canonical(value.root, written)
    if isinstance(written, dict):
        return _canonical_dict(value, written)
    if isinstance(written, list):
        fits = isinstance(value, list | tuple | Set | deque) and len(value) == len(written)
        items = [canonical(*pair) for pair in zip(value, written, strict=True)] if fits else written
        return sorted(items, key=_rank) if isinstance(value, Set) else items
    if isinstance(value, float) and not math.isfinite(value):
        return _SPELT.get(value, "NaN")
    if isinstance(value, Enum):
        return canonical(value.value, written)
    if isinstance(value, Decimal) and isinstance(written, str):
        return _shortest(value) if written == str(value) else written
    if isinstance(value, datetime | time) and isinstance(written, str) and value.utcoffset() is not None:
        return str(to_jsonable_python(_in_utc(value)))
    return written


_AS_IT_IS = (str, bool, int, type(None))
_SPELT = {math.inf: "Infinity", -math.inf: "-Infinity"}


def _canonical_dict(value: Any, written: dict[str, Any]) -> dict[str, Any]:
    """The fields of a model in their order, the keys of a mapping sorted."""
    if isinstance(value, Mapping):
        if len(value) == len(written):
            pairs = zip(value.items(), written.items(), strict=True)
            written = {_key(key, name): canonical(item, part) for (key, item), (name, part) in pairs}
        return dict(sorted(written.items()))
    held = getattr(value, "__dict__", {})  # where a deprecated field is read without a warning
    return {
        name: canonical(held[name] if name in held else getattr(value, name, None), part)
        for name, part in written.items()
    }


def _key(key: Any, written: str) -> str:
    text = canonical(key, written)
    return text if isinstance(text, str) else written


def _rank(item: Any) -> tuple[bool, float, str]:
    """Numbers by size, before all else by its JSON."""
    number = isinstance(item, int | float) and not isinstance(item, bool)
    return not number, item if number else 0, "" if number else canonical_json(item)


def _shortest(number: Decimal) -> str:
    """A decimal without zeros at its end, and without an exponent where that is short: 1.50 is 1.5, 1E+2 is 100."""
    if not number.is_finite():
        return "NaN" if number.is_nan() else _SPELT[float(number)]
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0")
    if not text.strip("0"):
        return "0"
    exponent += len(digits) - len(text)
    short = Decimal((sign, tuple(map(int, text)), exponent))
    return format(short, "f") if abs(short.adjusted()) <= 20 else str(short)


def _in_utc(value: datetime | time) -> datetime | time:
    """The same instant in UTC; a time of day that UTC has on another day as few hours off it as can be."""
    if isinstance(value, datetime):
        try:
            return value.astimezone(UTC)
        except OverflowError:  # the first or the last day of the calendar
            return value
    midnight = datetime(2000, 1, 1)
    since = datetime.combine(midnight, value.replace(tzinfo=None)) - midnight - (value.utcoffset() or timedelta())
    hours = since // timedelta(hours=1)
    shift = timedelta(hours=max(-hours, 0) + min(23 - hours, 0))
    return (midnight + since + shift).time().replace(tzinfo=timezone(shift))
