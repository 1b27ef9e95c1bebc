"""Select: the module that decides what another one sees."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import create_model

from paretune.errors import UsageError
from paretune.programs.module import Module
from paretune.schemas.data_model import DataModel, Field

__all__ = ["Select"]

#: The place of a record among the inputs, the name of one of its fields, and what its new name begins with (or "").
Selected = tuple[int, str, str]


class Select(Module):
    """Records in, one with some of their fields out, in the order of ``fields``: ``(place, field, before)`` each.

    ``before`` tells apart what is called alike: ``(1, "label", "draft")`` is the field ``draft_label``, which prompts
    in lines call ``Draft label`` (``Draft emotion`` where its title is ``Emotion``). Raises UsageError where two fields
    get one name.
    """

    def __init__(self, fields: Sequence[Sequence[Any]], name: str | None = None) -> None:
        super().__init__(name)
        self.fields: tuple[Selected, ...] = tuple((place, field, before) for place, field, before in fields)
        names = [_name(field, before) for _, field, before in self.fields]
        if twice := sorted({each for each in names if names.count(each) > 1}):
            raise UsageError(f"{self.name}: two fields would be called {', '.join(map(repr, twice))}")

    def output_models(self, *inputs: type[DataModel]) -> type[DataModel]:
        self.data_model = _model_of(inputs, self.fields)
        return self.data_model

    async def call(self, *records: DataModel) -> DataModel:
        values = {_name(field, before): records[place][field] for place, field, before in self.fields}
        return self.data_model.model_construct(**values)  # valid, since the records are


def _name(field: str, before: str) -> str:
    return f"{before}_{field}" if before else field


@functools.cache
def _model_of(models: tuple[type[DataModel], ...], fields: tuple[Selected, ...]) -> type[DataModel]:
    selected: dict[str, Any] = {}
    for place, field, before in fields:
        info = models[place].model_fields[field]
        title = info.title
        if before and title:
            title = f"{before.replace('_', ' ').capitalize()} {title[:1].lower()}{title[1:]}"
        kind = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        selected[_name(field, before)] = (kind, Field(title=title, description=info.description))
    return create_model("Selection", __base__=DataModel, **selected)
