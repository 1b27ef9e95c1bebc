"""How a reply may spell field names, labels and numbers: one rule for replies in JSON and in lines.

A label (a value of a ``Literal`` or an Enum) counts when it is spelt exactly; else but for the space, the quotes and
the emphasis around it and a full stop; else also but for case. A field's name counts but for the space around it and
for case. Where two labels or names would do, none counts. A text is the number that stands in it, with its sign, commas
between digits, a currency before it or a unit behind it, where it is the only one. ``strict_labels = True`` in a data
model's class body turns this off: its names and labels must be spelt to the letter.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from paretune.schemas.field_types import is_union, labels_of

__all__ = ["bare", "read_label", "read_number", "respelt", "word"]

#: A sign may stand before or after the currency sign. Digits that belong to a word (m2) are no number.
_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[-+\u2212]?\s*(?:[$€£]\s*)?[-+\u2212]?\s*)"
    r"(?P<digits>\d[\d,]*(?:\.\d+)?|\.\d+)(?P<exponent>[eE][-+]?\d+)?(?P<fraction>\s*/\s*\d)?"
)
_WORDS = {True: "yes", False: "no"}


def word(value: Any) -> str:
    """A plain JSON value as it is written in lines."""
    if isinstance(value, bool):
        return _WORDS[value]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def bare(text: str) -> str:
    """The first line without surrounding quotes, emphasis and full stop."""
    first_line = next(iter(text.strip().splitlines()), "")
    return first_line.strip().strip("\"'`*").rstrip(".").strip("\"'`*").strip()


def read_label(text: str, labels: Iterable[Any], *, strict: bool = False) -> Any:
    """The label that a text spells; the text itself where that is none, or could be several."""
    labels = list(labels)
    spellings: tuple[Callable[[str], str], ...] = (str.strip, bare, lambda text: bare(text).casefold())
    for spelling in spellings[:1] if strict else spellings:
        wanted = spelling(text)
        found = [label for label in labels if spelling(word(label)) == wanted and (wanted or not word(label))]
        if found:
            return found[0] if len(found) == 1 else text
    return text


def read_number(text: str) -> int | float | str:
    """The only number in a text; the text itself where there is none, a fraction, or several."""
    found = list(_NUMBER.finditer(text))
    if len(found) != 1 or found[0]["fraction"]:
        return text
    digits = found[0]["digits"].replace(",", "") + (found[0]["exponent"] or "")
    if not math.isfinite(value := float(digits)):
        return text
    negative = sum(character in "-\u2212" for character in found[0]["sign"]) % 2
    number = int(digits) if digits.isdecimal() else value
    return -number if negative else number


def respelt(value: Any, annotation: Any) -> Any:
    """A JSON value with the names and labels of a type in the place of those that it spells otherwise."""
    if get_origin(annotation) is Annotated:
        return respelt(value, get_args(annotation)[0])
    if isinstance(value, str):
        return read_number(value) if _is_number(annotation) else read_label(value, _labels_in(annotation))
    parts = get_args(annotation)
    if is_union(annotation):
        return _respelt_in_union(value, parts)
    if isinstance(value, list) and parts:
        kinds = parts if len(parts) == len(value) and ... not in parts else [parts[0]] * len(value)
        return [respelt(*pair) for pair in zip(value, kinds, strict=True)]
    if not isinstance(value, dict):
        return value
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return {
            name: respelt(item, fields[name].annotation) if name in fields else item
            for name, item in _renamed(value, list(fields)).items()
        }
    if len(parts) == 2:
        return {respelt(key, parts[0]): respelt(item, parts[1]) for key, item in value.items()}
    return value


def _renamed(value: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """An object with the names of fields for its keys, where one key alone spells a field's name."""

    def spelt(key: str) -> str:
        hits = [name for name in names if name.casefold() == key.strip().casefold()]
        return hits[0] if key not in names and len(hits) == 1 else key

    keys = [spelt(key) for key in value]
    return {new if keys.count(new) == 1 else key: item for new, (key, item) in zip(keys, value.items(), strict=True)}


def _respelt_in_union(value: Any, parts: Iterable[Any]) -> Any:
    """By the first model of a union that takes the value then; else by the first part that changes it."""
    readings = [(part, respelt(value, part)) for part in parts]
    for part, reading in readings:
        if isinstance(part, type) and issubclass(part, BaseModel):
            try:
                part.model_validate(reading)
            except ValidationError:
                continue
            return reading
    return next((reading for _, reading in readings if reading != value), value)


def _is_number(annotation: Any) -> bool:
    """Whether a type holds numbers alone (or none)."""
    if is_union(annotation):
        return all(part is type(None) or _is_number(part) for part in get_args(annotation))
    return annotation in (int, float)


def _labels_in(annotation: Any) -> tuple[Any, ...]:
    """The labels that a text can be, in a type or in any part of a union."""
    if is_union(annotation):
        return tuple(label for part in get_args(annotation) for label in _labels_in(part))
    if get_origin(annotation) is Annotated:
        return _labels_in(get_args(annotation)[0])
    return labels_of(annotation) or ()
