"""What pydantic found wrong, in plain words: where, which rule, and the value that broke it."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from paretune.wording import shortened

__all__ = ["Fault", "did_you_mean", "find_faults", "shown"]

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
_LOGIN = re.compile(r"//[^/\s]*@")
_SHOWN = 60
_LONGEST_NAME = 100  # to compare longer ones with others takes quadratic time


class Fault(NamedTuple):
    """One fault: the dotted place, and a text that states the rule and the value."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


def find_faults(error: ValidationError, model: type[BaseModel], noun: str = "key") -> list[Fault]:
    """Every fault of a failed validation of ``model``; ``noun`` is what the errors call a name.

    A value that is none of a union's members is one fault, not one for each member.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for detail in error.errors(include_url=False):
        place, rule, value = _fault(detail, model, noun)
        found.setdefault(place, []).append((rule, value))
    return [
        Fault(place, _joined([rule for rule, _ in rules]) + rules[0][1])
        for place, rules in found.items()
        if len(rules) == 1 or not any(other.startswith(f"{place}.") for other in found)
    ]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``" did you mean 'split'?"`` where a known name is close, else nothing."""
    close = difflib.get_close_matches(name[:_LONGEST_NAME], [one for one in known if one != name], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: Any, longest: int = _SHOWN) -> str:
    """A value as Python writes it, cut and without the logins of addresses; also one that Python refuses to write."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # a list in a list in a list…; an integer of more than 4,300 digits
        return f"a value of type {type(value).__name__} that is too deep or too long to show"
    text = _LOGIN.sub("//", text)
    return text if len(text) <= longest else f"{text[: longest - 1]}… ({len(text)} characters)"


def _fault(detail: Any, model: type[BaseModel], noun: str) -> tuple[str, str, str]:
    """The place, the rule and, after it, the value of one of pydantic's errors."""
    location: tuple[str | int, ...] = detail["loc"]
    kind: str = detail["type"]
    if kind == "extra_forbidden":
        parts, annotation, _ = _find(model, location[:-1])
        fields = [item for model in _models(annotation) for item in model.model_fields.items()]
        known = [info.alias or name for name, info in fields]
        hint = did_you_mean(str(location[-1]), known)
        place = ".".join([*parts, shortened(str(location[-1]))])
        return place, f"unknown {noun} (known: {', '.join(known) or 'none'}){hint}", ""
    parts, _, field = _find(model, location)
    place = ".".join(parts)
    if kind == "missing":
        return place, "missing", ""
    got = "" if kind == "refused" else f" (got {shown(detail['input'])})"  # what is refused may be a secret
    return place, _rule(detail, kind, field), got


def _joined(rules: Sequence[str]) -> str:
    """What a union wants: ``must be a number or text``."""
    first, *others = dict.fromkeys(rules)
    return " or ".join([first, *(other.removeprefix("must be ") for other in others)])


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


def _find(model: type[BaseModel], location: Sequence[str | int]) -> tuple[list[str], Any, FieldInfo | None]:
    """A place inside ``model``: its parts, its declared type and the field, if it is one."""
    annotation: Any = model
    field: FieldInfo | None = None
    parts: list[str] = []
    for part in location:
        step = _step(annotation, part)
        if step is not None:
            annotation, field = step
        elif members := _members(annotation):  # pydantic also names the member of a union, which is no place
            annotation = next((member for member in members if _is_named(member, part)), annotation)
            continue
        parts.append(shortened(str(part)))
    return parts, annotation, field


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; none of any other type."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()


def _is_named(member: Any, tag: str | int) -> bool:
    """Whether pydantic calls a union's member so: by the model's name, or by the value that tells the members apart."""
    if not (isinstance(member, type) and issubclass(member, BaseModel)):
        return False
    return tag == member.__name__ or any(tag in get_args(field.annotation) for field in member.model_fields.values())


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
