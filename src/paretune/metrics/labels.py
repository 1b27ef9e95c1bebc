"""Which classes a categorical field has: the labels of its type, or those that are given, if it can have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from paretune.errors import UsageError
from paretune.schemas.canonical import canonical_of
from paretune.schemas.field_types import item_of, labels_of

__all__ = ["classes_of", "is_label"]


def classes_of(
    model: type[BaseModel], field: str, labels: Sequence[Any] | None, metric: str
) -> tuple[tuple[Any, ...], bool]:
    """The labels of a field as JSON has them (those given, in their order), and whether it holds several of them.

    Raises UsageError where neither the type tells labels nor any are given, and for labels that are given twice or that
    the field cannot have.
    """
    info = model.model_fields[field]
    item, many = item_of(info.annotation)
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


def _can_be(kind: Any, label: Any) -> bool:
    try:
        return is_label(canonical_of(TypeAdapter(kind).validate_python(label)), canonical_of(label))
    except ValidationError:
        return False
