"""Which classes a categorical field has: the labels of its type, or those that are given, if it can have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from paretune.errors import UsageError
from paretune.schemas.canonical import canonical_of
from paretune.schemas.field_types import is_union, labels_of

__all__ = ["classes_of", "is_label"]


def classes_of(
    model: type[BaseModel], field: str, labels: Sequence[Any] | None, metric: str
) -> tuple[tuple[Any, ...], bool]:
    """The labels of a field as JSON has them (those given, in their order), and whether it holds several of them.

    Raises UsageError where neither the type tells labels nor any are given, and for labels that are given twice or that
    the field cannot have.
    """
    info = model.model_fields[field]
    item, many = _item(info.annotation)
    own = labels_of(item)
    if item is None or (labels is None and not own):
        raise UsageError(f"{metric}: {field!r} is no Literal, Enum or list of these, so labels=[…] must be given")
    if labels is None:
        return own or (), many
    kind = item if many else Annotated[item, *info.metadata] if info.metadata else item
    known = f"it can be {', '.join(map(repr, own))}" if own else f"it holds {item!r}"
    classes = []
    for label in labels:
        if not _can_be(kind, label):
            raise UsageError(f"{metric}: the label {label!r} is no value of {field!r}, which would score 0 ({known})")
        classes.append(canonical_of(label))
    if not classes or any(is_label(a, b) for place, a in enumerate(classes) for b in classes[:place]):
        raise UsageError(f"{metric}: labels must be some, each given once (got {list(labels)})")
    return tuple(classes), many


def is_label(value: Any, label: Any) -> bool:
    """Whether two JSON values are one label: True is not 1."""
    return bool(value == label) and isinstance(value, bool) == isinstance(label, bool)


def _item(annotation: Any) -> tuple[Any, bool]:
    """The type of one label in a field, and whether the field holds several; None for a type that holds no labels."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _item(arguments[0])
    if is_union(annotation):
        parts = [part for part in arguments if part is not type(None)]
        if len(parts) == 1 and _item(parts[0])[1]:  # a list, or none at all
            return _item(parts[0])
        return (None, False) if any(_item(part)[1] for part in parts) else (annotation, False)
    if isinstance(origin, type) and issubclass(origin, list | set | frozenset | tuple | Sequence) and arguments:
        alike = len(arguments) == 1 or arguments[1:] == (...,)
        return (arguments[0], True) if alike and not _item(arguments[0])[1] else (None, True)
    return annotation, False


def _can_be(kind: Any, label: Any) -> bool:
    try:
        return is_label(canonical_of(TypeAdapter(kind).validate_python(label)), canonical_of(label))
    except ValidationError:
        return False
