"""Section ``task``: what is asked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from paretune.pipeline.sections.base import Params

__all__ = ["FieldParams", "TaskParams"]


class FieldParams(Params):
    """One field of a data model.

    ``title`` is what the field is called in prompts that write records as lines (its name when not given); ``values``
    are a category's choices (the task's labels when not given).
    """

    type: Literal["str", "int", "float", "bool", "score", "category"]
    description: str = ""
    title: str | None = None
    values: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _values_fit(self) -> FieldParams:
        if self.values is not None and self.type != "category":
            raise ValueError(f"only a category has values, not type {self.type!r}")
        return self


class InputParams(Params):
    """What a program is given: the fields, and the template that renders them from a row."""

    name: str
    fields: dict[str, FieldParams] = Field(min_length=1)
    template: str


class HubParams(Params):
    """Where the task's dataset lives on the Hugging Face hub."""

    path: str
    name: str | None = None
    revision: str | None = None
    splits: dict[str, str]


class TaskParams(Params):
    """Section ``task``: what is asked.

    ``target`` is a Jinja expression for the right answer of a row, ``answer`` what it is called in prompts that write
    records as lines. ``labels_optional`` lets rows have none of the labels, in layouts with one field a label.
    """

    name: str
    instructions: str
    input: InputParams
    labels: tuple[str, ...] = ()
    labels_optional: bool = False
    answer: str = "Answer"
    target: str
    hub: HubParams | None = None
