"""The fields that sections ``task`` and ``layout`` declare: types, where a row has them, how they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from paretune.pipeline.sections.base import Params
from paretune.schemas.match import Match

__all__ = ["AnswerFieldParams", "FieldParams", "check_template", "default_metrics", "default_reward"]

_INSTANTS = ("date", "datetime")


class FieldParams(Params):
    """One field of a data model.

    ``title`` is what the field is called in prompts that write records as lines (its name when not given); ``values``
    are a category's choices (the task's labels when not given), ``fields`` those of a record. ``list``: several of the
    type, at most ``max_items`` of them in a reply. ``optional``: it may be null, which a cell without text also means.

    Its value is in the ``column`` (that of the field's name when not given), or what the Jinja expression ``from``
    gives. A list may be text with a ``separator``, or, of a category, one yes or no a value, in ``columns``. ``format``
    is that of dates which are not written as in ISO 8601 (``%d.%m.%Y``).
    """

    type: Literal["str", "int", "float", "bool", "score", "category", "date", "datetime", "record"]
    description: str = ""
    title: str | None = None
    values: tuple[str, ...] | None = None
    fields: dict[str, FieldParams] | None = None
    optional: bool = False
    max_items: PositiveInt | None = None
    column: str | None = None
    computed: str | None = Field(default=None, alias="from")
    columns: tuple[str, ...] | dict[str, str] | None = None
    separator: str | None = Field(default=None, min_length=1)
    format: str | None = None
    list: bool = False

    @property
    def has_source(self) -> bool:
        """Whether it is said where a row has the value."""
        return any(each is not None for each in (self.column, self.computed, self.columns, self.separator, self.format))

    @model_validator(mode="after")
    def _fits_its_type(self) -> FieldParams:
        if self.values is not None and self.type != "category":
            raise ValueError(f"only a category has values, not type {self.type!r}")
        if bool(self.fields) != (self.type == "record"):
            raise ValueError(f"a record has fields, and nothing else has (got type {self.type!r})")
        if self.format is not None and self.type not in _INSTANTS:
            raise ValueError(f"only a date or a datetime has a format, not type {self.type!r}")
        for name in ("max_items", "columns"):
            if getattr(self, name) is not None and not self.list:
                raise ValueError(f"only a list has {name}; set list to true")
        if self.separator is not None and not (self.list or getattr(self, "accepted", False)):
            raise ValueError("only a list, or several accepted answers, have a separator")
        if self.columns is not None and self.type != "category":
            raise ValueError(f"only a category has columns, one for each value, not type {self.type!r}")
        if sum(each is not None for each in (self.column, self.computed, self.columns)) > 1:
            raise ValueError("give one of column, columns and from")
        for name, inner in (self.fields or {}).items():
            if inner.computed is not None:
                raise ValueError(f"fields.{name}: only a field of the row itself has from")
        return self

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The values that the field itself names."""
        if self.values is None and self.columns is not None:
            return tuple(self.columns)
        return self.values


class AnswerFieldParams(FieldParams):
    """One field of the answer: also how it is compared with the right one (see ``schemas.match.Match``).

    ``match``, for text: ``normalized``, ``f1`` or ``exact``; ``tolerance`` and ``relative``, for numbers; ``ordered``
    and ``partial``, for lists; ``weight`` in the reward. ``accepted``: a row lists several right answers. ``reward``
    declares one of the field's own, in the place of all this.
    """

    fields: dict[str, AnswerFieldParams] | None = None  # type: ignore[assignment]
    accepted: bool = False
    weight: float = Field(default=1.0, ge=0)
    match: Literal["normalized", "f1", "exact"] | None = None
    tolerance: float | None = Field(default=None, ge=0)
    relative: float | None = Field(default=None, ge=0)
    ordered: bool | None = None
    partial: bool | None = None
    reward: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _compared_by_its_kind(self) -> AnswerFieldParams:
        numbers = ("int", "float")
        for name, fits, what in (
            ("match", self.type == "str", "text (type str)"),
            ("tolerance", self.type in numbers, "a number"),
            ("relative", self.type in numbers, "a number"),
            ("ordered", self.list, "a list"),
            ("partial", self.list or self.type == "record", "a list or a record"),
        ):
            if getattr(self, name) is not None and not fits:
                raise ValueError(f"only {what} has {name}")
            if getattr(self, name) is not None and self.reward is not None:
                raise ValueError(f"{name} has no effect beside a reward of the field's own")
        if self.accepted and (self.list or self.optional or self.type == "record"):
            raise ValueError("accepted is for fields of one value, which is never null")
        if self.accepted and self.reward is not None:
            raise ValueError("accepted has no effect beside a reward of the field's own")
        if self.fields and not any(inner.weight for inner in self.fields.values()):
            raise ValueError(f"no field counts: give one of {', '.join(self.fields)} a weight above 0")
        for name, inner in (self.fields or {}).items():
            if inner.accepted or inner.reward is not None:
                raise ValueError(f"fields.{name}: only a field of the answer itself has accepted or reward")
        return self

    @property
    def compared(self) -> Match:
        """How the field is compared."""
        given: dict[str, Any] = {name: getattr(self, name) for name in ("tolerance", "relative", "ordered", "partial")}
        given["text"] = self.match
        return Match(weight=self.weight, **{name: value for name, value in given.items() if value is not None})


def check_template(template: str | None, fields: Mapping[str, FieldParams]) -> None:
    """Raise ValueError where a template and a field both say where a value is."""
    if template is not None and (both := [name for name, field in fields.items() if field.has_source]):
        raise ValueError(f"the template says where values are, and fields.{both[0]} does too; drop one of them")


def default_reward(fields: Mapping[str, AnswerFieldParams]) -> dict[str, Any]:
    """The reward of some fields, as a layout would declare it: one for all that have none of their own, and those."""
    own = {name: field for name, field in fields.items() if field.reward is not None and field.weight}
    others = {name: field for name, field in fields.items() if field.reward is None}
    rewards: list[tuple[dict[str, Any], float]] = [
        ({**(field.reward or {}), "as": name, **({"in_mask": [name]} if len(fields) > 1 else {})}, field.weight)
        for name, field in own.items()
    ]
    if weight := sum(field.weight for field in others.values()):
        rewards.insert(0, ({"name": "FieldMatch", "in_mask": list(others), "as": "fields"}, weight))
    if len(rewards) == 1:
        return rewards[0][0]
    return {"name": "Weighted", "rewards": [each for each, _ in rewards], "weights": [each for _, each in rewards]}


def default_metrics(fields: Mapping[str, AnswerFieldParams]) -> tuple[dict[str, Any], ...]:
    """The metrics of some fields by their kinds, as a layout would declare them: ``f1`` of all, ``f1_NAME`` of each.

    Of labels macro F1; of open text that has a reward of its own the words in common; of all others ``FieldF1``.
    """
    each = {name: {**_metric(field), "in_mask": [name]} for name, field in fields.items()}
    if len(each) == 1:
        return tuple({**metric, "as": "f1"} for metric in each.values())
    compared = [name for name, field in fields.items() if field.reward is None]
    of_all = [{"name": "FieldF1", "in_mask": compared, "as": "f1"}] if compared else []
    return *of_all, *({**metric, "as": f"f1_{name}"} for name, metric in each.items())


def _metric(field: AnswerFieldParams) -> dict[str, Any]:
    if field.type == "category" and not field.accepted:
        return {"name": "CategoricalF1Score", "average": "macro"}
    is_open = field.reward is not None and field.type == "str" and not field.list
    return {"name": "F1Score" if is_open else "FieldF1"}
