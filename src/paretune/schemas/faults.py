"""What pydantic found wrong, in plain words: where, which rule, and the value that broke it."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

__all__ = ["Fault", "did_you_mean", "find_faults"]

_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_KINDS = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string": "must be text",
    "list": "must be a list",
    "tuple": "must be a list",
    "dict": "must be a mapping",
    "mapping": "must be a mapping",
    "model": "must be a mapping",
    "finite": "must be a finite number",
}
_BOUND_ERRORS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_SHOWN = 60


class Fault(NamedTuple):
    """One fault: the dotted place, and a text that states the rule and the value."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


def find_faults(error: ValidationError, model: type[BaseModel], noun: str = "key") -> list[Fault]:
    """Every fault of a failed validation of ``model``; ``noun`` is what the errors call a name."""
    return [_fault(detail, model, noun) for detail in error.errors(include_url=False)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``" did you mean 'split'?"`` where a known name is close, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _fault(detail: Any, model: type[BaseModel], noun: str) -> Fault:
    location: tuple[str | int, ...] = detail["loc"]
    kind: str = detail["type"]
    place = ".".join(str(part) for part in location)
    if kind == "missing":
        return Fault(place, "missing")
    if kind == "extra_forbidden":
        annotation, _ = _find(model, location[:-1])
        known = [name for owner in _models(annotation) for name in owner.model_fields]
        hint = did_you_mean(str(location[-1]), known)
        return Fault(place, f"unknown {noun} (known: {', '.join(known) or 'none'}){hint}")
    _, field = _find(model, location)
    return Fault(place, f"{_rule(detail, kind, field)} (got {_shown(detail['input'])})")


def _rule(detail: Any, kind: str, field: FieldInfo | None) -> str:
    context = detail.get("ctx", {})
    if kind in _BOUND_ERRORS:
        return "must be " + (" and ".join(_bounds(field) or [f"{_BOUNDS[name]} {context[name]}" for name in context]))
    if kind in ("literal_error", "enum"):
        return f"must be {context['expected']}"
    if kind in ("too_short", "string_too_short") and context.get("min_length") == 1:
        return "must not be empty"
    if kind == "value_error":
        return str(context["error"])
    rule = _KINDS.get(kind.partition("_")[0])
    if rule and (kind.endswith(("_type", "_parsing", "_from_float", "_number"))):
        return rule
    message: str = detail["msg"]
    return message[:1].lower() + message[1:]


def _bounds(field: FieldInfo | None) -> list[str]:
    """All bounds of a field, so that ``> 0 and < 1`` is said at once."""
    found = []
    for item in field.metadata if field else ():
        found += [f"{sign} {getattr(item, name)}" for name, sign in _BOUNDS.items() if hasattr(item, name)]
    return found


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _find(model: type[BaseModel], location: Sequence[str | int]) -> tuple[Any, FieldInfo | None]:
    """The declared type (and the field, if it is one) at a place inside ``model``."""
    annotation: Any = model
    field: FieldInfo | None = None
    for part in location:
        step = _step(annotation, part)
        if step is not None:  # pydantic also names the members of a union, which are no places
            annotation, field = step
    return annotation, field


def _step(annotation: Any, part: str | int) -> tuple[Any, FieldInfo | None] | None:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _step(arguments[0], part)
    if origin in (Union, types.UnionType):
        return next((step for item in arguments if (step := _step(item, part)) is not None), None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        return (field.annotation, field) if field else None
    if isinstance(part, int) or (isinstance(origin, type) and issubclass(origin, dict)):
        return (arguments[-1] if arguments[-1:] != (...,) else arguments[0], None) if arguments else None
    return None


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for item in get_args(annotation) for model in _models(item)]
