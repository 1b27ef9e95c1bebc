"""Typed fields for columns: what a program is to fill in, by what the right answers are."""

from __future__ import annotations

import datetime
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from paretune.project.columns import Column, is_missing, measured
from paretune.project.proposal import is_called_identifier, separator_of
from paretune.schemas.data_model import DataModel

__all__ = ["field_names", "input_field", "of_row", "output_field"]

#: How dates are written where they are not written as ISO has it.
_DATES = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
_MOST_CHOICES = 12
_LONG_TEXT = 40  # characters in the mean
_MOSTLY = 0.9
_TYPES = {"yes or no": "bool", "whole number": "int", "number": "float"}


def field_names(names: Iterable[str]) -> dict[str, str]:
    """Names of fields for names of columns: identifiers, all different, none that a data model has already."""
    found: dict[str, str] = {}
    for name in names:
        field = re.sub(r"\W+", "_", name.strip().lower()).strip("_") or "field"
        field = f"field_{field}" if field[0].isdigit() else field
        if keyword.iskeyword(field) or hasattr(DataModel, field) or not field.isidentifier():
            field = f"{field}_value" if field.isidentifier() else "field"
        plain, number = field, 2
        while field in found.values():
            field, number = f"{plain}_{number}", number + 1
        found[name] = field
    return found


def of_row(name: str) -> str:
    """The Jinja expression of a column, whatever its name."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'row["{quoted}"]'


def input_field(column: Column, name: str) -> dict[str, Any]:
    """An input: a number where all cells are, else text; an empty cell is an empty text."""
    value = of_row(column.name)
    if not column.missing and column.kind in _TYPES:
        return {"type": _TYPES[column.kind], **_source(column, name)}
    if column.kind in ("list", "record"):
        return {"type": "str", "from": f"{value} | tojson"}
    if column.missing or column.kind not in ("text", "date"):
        return {"type": "str", "from": f'"" if {value} is none else {value} | string'}
    return {"type": "str", **_source(column, name)}


def output_field(column: Column, name: str, values: Sequence[Any], texts: Sequence[str] = ()) -> dict[str, Any]:
    """A field that is to be filled in; ``values`` are the column's cells, None where there is none, ``texts`` what the
    model is given for each, in small letters: what stands there is taken from it, and no choice among a few values."""
    held = [value for value in values if not is_missing(value)]
    optional = {"optional": True} if column.missing else {}
    return {**_typed(column, held, _are_copied(values, texts)), **optional, **_source(column, name)}


def _are_copied(values: Sequence[Any], texts: Sequence[str]) -> bool:
    """Whether most values, or the items of lists, stand in the texts as they are."""
    pairs = [
        (str(item), text)
        for value, text in zip(values, texts, strict=False)
        for item in (value if isinstance(value, list) else [value])
        if not is_missing(item)
    ]
    return bool(pairs) and sum(item.casefold() in text for item, text in pairs) >= _MOSTLY * len(pairs)


def _source(column: Column, name: str) -> dict[str, Any]:
    return {} if column.name == name else {"column": column.name}


def _typed(column: Column, held: Sequence[Any], copied: bool = False) -> dict[str, Any]:
    """The type of a column's values, with how they are compared."""
    if column.kind == "list":
        items = [item for value in held for item in value if not is_missing(item)]
        (inner,) = measured([{"item": item} for item in items]) or (None,)
        return {**(_typed(inner, items, copied) if inner else {"type": "str"}), "list": True}
    if column.kind == "record":
        return {"type": "record", "fields": _record(held)}
    if column.kind in _TYPES and not is_called_identifier(column):
        return {"type": _TYPES[column.kind]}
    if column.kind == "date":
        return {"type": "datetime" if any(len(value) > 10 for value in held) else "date"}
    if column.kind != "text":
        return {"type": "str", "match": "exact"}
    if form := _date_format(held):
        return {"type": "date", "format": form}
    if separator := separator_of(column):
        parts = Counter(part.strip() for value in held for part in value.split(separator) if part.strip())
        return {"type": "category", "values": sorted(parts), "list": True, "separator": separator}
    few = 1 < len(column.counts) <= min(_MOST_CHOICES, column.filled // 3)
    if few and column.length <= _LONG_TEXT and not copied:
        return {"type": "category", "values": sorted(column.counts)}
    return {"type": "str", "match": "f1"} if column.length > _LONG_TEXT else {"type": "str"}


def _record(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The fields of records; one that some of them lack is optional."""
    names = field_names(dict.fromkeys(name for record in records for name in record))
    rows = [{name: record.get(name) for name in names} for record in records]
    return {
        names[column.name]: output_field(column, names[column.name], [row[column.name] for row in rows])
        for column in measured(rows)
    }


def _date_format(values: Sequence[Any]) -> str | None:
    """How all of some texts write a date, where one form fits them all."""
    return next((form for form in _DATES if values and all(_is_date(value, form) for value in values)), None)


def _is_date(text: str, form: str) -> bool:
    try:
        datetime.datetime.strptime(text, form)
    except ValueError:
        return False
    return True
