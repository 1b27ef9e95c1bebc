"""From the cells of a row to the values of declared fields: what is text in a table is what the field says it is."""

from __future__ import annotations

import ast
import contextlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from jinja2 import Undefined
from pydantic import TypeAdapter, ValidationError

from paretune.datasets.conversions import as_bool, as_float, as_int, split, where_true
from paretune.errors import DataError
from paretune.pipeline.sections.fields import AnswerFieldParams, FieldParams
from paretune.schemas.comparing import ACCEPTED
from paretune.schemas.faults import did_you_mean, shown
from paretune.wording import shortened

__all__ = ["derived_template", "label_hint", "listed", "record_of"]


def derived_template(kind: str, fields: Mapping[str, FieldParams]) -> str:
    """The template of a record whose fields say where a row has their values, for ``record_of`` of this kind."""
    computed = [f"{name!r}: ({field.computed})" for name, field in fields.items() if field.computed is not None]
    return f"{{{{ {kind}_of(row, {{ {', '.join(computed)} }}) | tojson }}}}"


def record_of(
    row: Mapping[str, Any], computed: Mapping[str, Any], *, fields: Mapping[str, FieldParams], labels: Sequence[str]
) -> dict[str, Any]:
    """The record of a row: each field's value from its column, or from what its expression gave (``computed``).

    Raises DataError, which names the field, the value and a cure, for a cell that is not of the field's type.
    """
    record: dict[str, Any] = {}
    for name, field in fields.items():
        value = computed[name] if name in computed else _cell(row, name, name, field)
        if isinstance(value, Undefined):
            str(value)  # raises its own error, which names the column
        if isinstance(field, AnswerFieldParams) and field.accepted:
            several = listed(value, field.separator)
            several = [value] if several is None else several
            answers = [_one(each, field, name, labels) for each in several if not _is_empty(each)]
            if not answers:
                raise DataError(f"field {name!r}: no accepted answer (got {shown(value)})")
            record[name], record[name + ACCEPTED] = answers[0], answers[1:]
        else:
            record[name] = _value(value, field, name, labels)
    return record


def listed(value: Any, separator: str | None = None) -> list[Any] | None:
    """Several values in a cell: a list, text with a ``separator``, or a list written in text; None where it is none."""
    if isinstance(value, str) and isinstance(written := _read(value, "["), list):
        return written
    if isinstance(value, str) and separator is not None:
        return split(value, separator)
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) else None


def _read(text: str, bracket: str) -> Any:
    """What a text says in JSON, or as Python writes it (which is what pandas puts into a table); else the text."""
    if text.lstrip().startswith(bracket):
        for read in (json.loads, ast.literal_eval):
            with contextlib.suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
                return read(text)
    return text


def label_hint(value: Any, labels: Sequence[str]) -> str:
    """What was perhaps meant, where a label is close, in another case, or the text of a number."""
    if not isinstance(value, str):
        return f"; a label is text: did you mean {str(value)!r} (`| string`)?" if str(value) in labels else ""
    plain = value.strip().casefold()
    same = next((label for label in labels if label.strip().casefold() == plain), None)
    return f"; did you mean {same!r}?" if same is not None else did_you_mean(value, labels)


def _cell(row: Mapping[str, Any], place: str, name: str, field: FieldParams) -> Any:
    """What a row has for a field; nothing for an optional one where it has no such column."""
    if field.columns is not None:
        columns = field.columns if isinstance(field.columns, dict) else {each: each for each in field.columns}
        yes = where_true(row, list(columns.values()))
        return [value for value, column in columns.items() if column in yes]
    column = field.column or name
    if column in row or field.optional:
        return row.get(column)
    hint = did_you_mean(column, map(str, row))
    raise DataError(f"field {place!r}: no column {column!r} (columns: {', '.join(map(str, row))}){hint}")


def _value(value: Any, field: FieldParams, place: str, labels: Sequence[str]) -> Any:
    """The value of a field as JSON has it."""
    if _is_empty(value) and (field.optional or field.list or field.type != "str" or value is None):
        if field.optional:
            return None
        if field.list:
            return []
        raise DataError(f"field {place!r}: nothing in it (got {shown(value)}); where that may be, set optional to true")
    if not field.list:
        return _one(value, field, place, labels)
    items = listed(value, field.separator)
    if items is None:
        raise DataError(f"field {place!r}: {shown(value)} is no list; where text lists several, say its separator")
    return [_one(each, field, f"{place}.{index}", labels) for index, each in enumerate(items)]


def _one(value: Any, field: FieldParams, place: str, labels: Sequence[str]) -> Any:
    """One value, or one item of a list."""
    if field.type == "record":
        return _record(value, field, place, labels)
    try:
        if field.type == "category":
            return _label(value, field.choices or labels)
        if field.type in ("date", "datetime"):
            return _instant(value, field)
        return _PLAIN[field.type](value)
    except ValueError as error:
        raise DataError(f"field {place!r}: {error}") from None


def _record(value: Any, field: FieldParams, place: str, labels: Sequence[str]) -> dict[str, Any]:
    row = _read(value, "{") if isinstance(value, str) else value
    if not isinstance(row, Mapping):
        raise DataError(f"field {place!r}: {shown(value)} is no record; in a table write it as JSON")
    return {
        name: _value(_cell(row, f"{place}.{name}", name, inner), inner, f"{place}.{name}", labels)
        for name, inner in (field.fields or {}).items()
    }


def _label(value: Any, labels: Sequence[str]) -> str:
    label = value.strip() if isinstance(value, str) and value not in labels else value
    if label not in labels:
        raise ValueError(f"{shown(value)} is none of {shortened(', '.join(labels))}{label_hint(value, labels)}")
    return str(label)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no text; where it is to be written as it is, say `from: … | string`")
    return value


def _number(value: Any) -> float:
    try:
        return as_float(float(value) if isinstance(value, Decimal) else value)
    except ValueError as error:
        comma = "; `from: … | replace(',', '.')` reads a decimal comma" if "," in str(value) else ""
        raise ValueError(f"{error}{comma}") from None


def _score(value: Any) -> float:
    return round(_number(value), 10)


def _instant(value: Any, field: FieldParams) -> str:
    """A date, or a date and time, in the form of ISO 8601."""
    kind: type[date] = date if field.type == "date" else datetime
    if isinstance(value, str) and field.format is not None:
        try:
            parsed = datetime.strptime(value.strip(), field.format)
        except ValueError:
            raise ValueError(f"{shown(value)} is not written as {field.format!r}") from None
        return (parsed.date() if kind is date else parsed).isoformat()
    if not isinstance(value, str | date):  # a number would be taken for seconds since 1970
        raise ValueError(f"{shown(value)} is no date")
    try:
        found: date = TypeAdapter(kind).validate_python(value.strip() if isinstance(value, str) else value)
    except ValidationError:
        cure = "2024-05-31" if kind is date else "2024-05-31T14:00:00"
        raise ValueError(f"{shown(value)} is not written as {cure}; else say its format, such as '%d.%m.%Y'") from None
    return found.isoformat()


_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "str": _text,
    "int": as_int,
    "float": _number,
    "bool": as_bool,
    "score": _score,
}


def _is_empty(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))
