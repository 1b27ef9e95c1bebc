"""Masks: which fields of a record a reward or a metric looks at."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, create_model

from paretune.errors import UsageError
from paretune.schemas.data_model import DataModel

__all__ = ["Mask", "part_model", "part_of"]


@dataclass(frozen=True)
class Mask:
    """``in_mask`` names the fields to keep, ``out_mask`` the fields to drop; without either all are kept."""

    in_mask: tuple[str, ...] | None = None
    out_mask: tuple[str, ...] | None = None

    def __bool__(self) -> bool:
        return self.in_mask is not None or self.out_mask is not None

    @classmethod
    def of(cls, in_mask: Sequence[str] | None, out_mask: Sequence[str] | None) -> Mask:
        """Make a mask from the arguments of a reward or a metric; a bare string is refused."""
        for name, mask in (("in_mask", in_mask), ("out_mask", out_mask)):
            if isinstance(mask, str) or not isinstance(mask, Collection | None):
                raise UsageError(f"{name} must be a list of field names (got {mask!r})")
        return cls(
            None if in_mask is None else tuple(in_mask),
            None if out_mask is None else tuple(out_mask),
        )

    def fields(self, model: type[BaseModel]) -> tuple[str, ...]:
        """The kept fields, in the data model's order.

        Raises UsageError when the mask names a field that the model does not have, or keeps none: two empty records
        would compare equal, and every answer would count as right.
        """
        known = tuple(model.model_fields)
        for mask in (self.in_mask, self.out_mask):
            for name in mask or ():
                if name not in known:
                    raise UsageError(
                        f"mask names {name!r}, which is no field of {model.__name__!r} (its fields: {', '.join(known)})"
                    )
        kept = tuple(
            name
            for name in known
            if (self.in_mask is None or name in self.in_mask) and name not in (self.out_mask or ())
        )
        if not kept:
            raise UsageError(f"the masks leave no field of {model.__name__!r} to compare")
        return kept


@functools.cache
def part_model(model: type[BaseModel], fields: tuple[str, ...]) -> type[DataModel]:
    """The data model with some of a model's fields."""
    kept: dict[str, Any] = {name: (model.model_fields[name].annotation, model.model_fields[name]) for name in fields}
    return create_model(model.__name__, __base__=DataModel, **kept)


def part_of(record: BaseModel, fields: Sequence[str]) -> DataModel:
    """Those of the ``fields`` that a record has, as a record."""
    kept = tuple(name for name in fields if name in type(record).model_fields)
    return part_model(type(record), kept).model_construct(**{name: getattr(record, name) for name in kept})
