"""Section ``task``: what is asked."""

from __future__ import annotations

from pydantic import Field, model_validator

from paretune.pipeline.sections.base import Params
from paretune.pipeline.sections.fields import AnswerFieldParams, FieldParams, check_template

__all__ = ["TaskParams"]


class InputParams(Params):
    """What a program is given: the fields, and the template that renders them from a row.

    Without a template each field says itself where a row has its value.
    """

    name: str = "Input"
    fields: dict[str, FieldParams] = Field(min_length=1)
    template: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> InputParams:
        check_template(self.template, self.fields)
        return self


class TaskOutputParams(Params):
    """The fields of the answer, which layout ``fields`` asks for."""

    fields: dict[str, AnswerFieldParams] = Field(min_length=1)


class HubParams(Params):
    """Where the task's dataset lives on the Hugging Face hub."""

    path: str
    name: str | None = None
    revision: str | None = None
    splits: dict[str, str]


class TaskParams(Params):
    """Section ``task``: what is asked: one or several of ``labels``, or the fields of ``output``.

    ``target`` is a Jinja expression for the right answer of a row, ``answer`` what it is called in prompts that write
    records as lines. ``labels_optional`` lets rows have none of the labels, in layouts with one field a label.
    """

    name: str
    instructions: str
    input: InputParams
    labels: tuple[str, ...] = ()
    labels_optional: bool = False
    answer: str = "Answer"
    target: str | None = None
    output: TaskOutputParams | None = None
    hub: HubParams | None = None
