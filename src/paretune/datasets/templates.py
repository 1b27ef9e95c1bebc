"""From a row to a data model: one sandboxed, strict Jinja environment that renders JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from jinja2 import TemplateSyntaxError, Undefined, UndefinedError
from pydantic import ValidationError

from paretune.datasets.conversions import FILTERS
from paretune.datasets.sandbox import RowEnvironment
from paretune.errors import DataError
from paretune.schemas.data_model import DataModel
from paretune.schemas.faults import did_you_mean, find_faults, shown

__all__ = ["RowTemplate", "VariableList", "add_filter", "tojson"]

_SHOWN = 300
T = TypeVar("T")


def tojson(value: Any) -> str:
    """``value`` as plain JSON: text stays as it is (nothing is escaped for HTML), and NaN is refused.

    Takes text, numbers, booleans, None, lists and mappings; raises TypeError or ValueError for anything else.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_not_json)


def _not_json(value: Any) -> NoReturn:
    if isinstance(value, Undefined):
        str(value)  # a strict undefined value raises its own error here, which names it
    raise TypeError(f"tojson cannot write a {type(value).__name__}; turn it into text or a number first")


class VariableList(list[T]):
    """A list without negative indices: a label of -1 ("unknown") must not become the last label."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            raise UndefinedError(f"no place {index!r} in a list: the cells of tables are text; write `| int` after it")
        if isinstance(index, int) and not 0 <= index < len(self):
            raise UndefinedError(f"index {index} is outside the list of {len(self)} (they count from 0): {list(self)}")
        return super().__getitem__(index)


def _environment() -> RowEnvironment:
    environment = RowEnvironment()
    environment.filters.update(FILTERS)
    environment.filters["tojson"] = tojson
    return environment


_ENVIRONMENT = _environment()


def add_filter(name: str, function: Callable[..., Any]) -> None:
    """Let every template use ``function`` as the filter ``name``; what it refuses, it tells with DataError."""
    _ENVIRONMENT.filters[name] = function


class RowTemplate:
    """A template that turns the columns of a row into one data model.

    ``text`` sees each column by its name, ``row`` (the mapping of all columns, for names that are not
    identifiers) and ``variables``, which hide a column of the same name. ``kind`` is ``"input"`` or
    ``"output"``; it and ``dataset`` appear in errors. Raises DataError for a template that Jinja cannot
    compile.
    """

    def __init__(
        self,
        text: str,
        data_model: type[DataModel],
        *,
        kind: str,
        dataset: str,
        variables: Mapping[str, Any] | None = None,
    ) -> None:
        self.data_model = data_model
        self._kind = kind
        self._dataset = dataset
        self._variables = {
            name: VariableList(value) if isinstance(value, list | tuple) else value
            for name, value in (variables or {}).items()
        }
        where = f"dataset {dataset!r}, {kind} template"
        try:
            self._template = _ENVIRONMENT.template(text)
        except TemplateSyntaxError as error:
            raise DataError(f"{where}, line {error.lineno}: {error.message}\n  template: {_shorten(text)}") from None
        except Exception as error:  # Jinja and Python's compiler raise all kinds for what is nested too deeply
            raise DataError(f"{where}: {_reason(error)}\n  template: {_shorten(text)}") from None

    def render(self, row: Mapping[str, Any], number: int) -> DataModel:
        """The data model of one row; ``number`` counts from 0 and appears in errors.

        Raises DataError that names the dataset, the row, the template and (where known) the field.
        """
        text = self._text(row, number)
        try:
            return self.data_model.model_validate(json.loads(text, parse_constant=_no_constant, parse_float=_finite))
        except ValidationError as error:
            faults = find_faults(error, self.data_model, noun="field")
            reason = "\n  ".join(str(fault) for fault in faults)
        except ValueError as error:
            reason = f"not JSON: {error} (write values as {{{{ … | tojson }}}})"
        except RecursionError:
            reason = "not JSON: nested too deeply"
        raise self._error(number, reason, f"\n  rendered: {_shorten(text)}")

    def _text(self, row: Mapping[str, Any], number: int) -> str:
        try:
            return _ENVIRONMENT.render(self._template, {"row": row, **row, **self._variables})
        except UndefinedError as error:
            name = str(error.message).split("'")[1:2]
            hint = did_you_mean(name[0], row) if name else ""
            columns = f"\n  columns: {', '.join(map(str, row))}; variables: {', '.join(self._variables) or 'none'}"
            raise self._error(number, f"{error.message}{hint}", columns) from None
        except Exception as error:  # a template can raise anything, from an assert of Jinja's to an overflow
            raise self._error(number, _reason(error), f"\n  row: {shown(dict(row), _SHOWN)}") from None

    def _error(self, number: int, reason: str, evidence: str) -> DataError:
        where = f"dataset {self._dataset!r}, row {number} (counted from 0), {self._kind} template"
        return DataError(f"{where}: {reason}{evidence}")


def _reason(error: Exception) -> str:
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, RecursionError | MemoryError | SyntaxError):  # the compiler's words for the first
        return "nested too deeply"
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{shown(text)} is too large for a number")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _shorten(text: str) -> str:
    text = " ".join(text.splitlines())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
