"""What the type of a field says: its labels, and the models inside of it."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from paretune.schemas.canonical import canonical_of

__all__ = ["is_union", "item_of", "labels_of", "models_in"]


def labels_of(annotation: Any) -> tuple[Any, ...] | None:
    """The values of a ``Literal``, an Enum, or a union of these and None, as JSON has them; None for other types."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return tuple(map(canonical_of, arguments))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(map(canonical_of, annotation))
    if origin is Annotated:
        return labels_of(arguments[0])
    if annotation in (None, type(None)):
        return (None,)
    parts = [labels_of(part) for part in arguments] if is_union(annotation) else [None]
    if None in parts:
        return None
    return tuple(dict.fromkeys(label for part in parts for label in part or ()))


def is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def item_of(annotation: Any) -> tuple[Any, bool]:
    """The type of one label in a field, and whether the field holds several; None for a type that holds no labels."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return item_of(arguments[0])
    if is_union(annotation):
        parts = [part for part in arguments if part is not type(None)]
        if len(parts) == 1 and item_of(parts[0])[1]:  # a list, or none at all
            return item_of(parts[0])
        return (None, False) if any(item_of(part)[1] for part in parts) else (annotation, False)
    if isinstance(origin, type) and issubclass(origin, list | set | frozenset | tuple | Sequence) and arguments:
        alike = len(arguments) == 1 or arguments[1:] == (...,)
        return (arguments[0], True) if alike and not item_of(arguments[0])[1] else (None, True)
    return annotation, False


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in a type, itself and those inside of models included, each once."""
    seen: set[Any] = set()

    def walk(part: Any) -> Iterator[type[BaseModel]]:
        if isinstance(part, type) and issubclass(part, BaseModel):
            if part in seen:
                return
            seen.add(part)
            yield part
            for info in part.model_fields.values():
                yield from walk(info.annotation)
        for argument in get_args(part):
            yield from walk(argument)

    return walk(annotation)
