"""The sections of params.yaml about the task and its data, and the data models that they declare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, create_model, model_validator

from paretune.errors import ConfigError
from paretune.pipeline.params import Params
from paretune.schemas.data_model import DataModel, Score

__all__ = [
    "DataParams",
    "FieldParams",
    "LayoutParams",
    "SplitParams",
    "TaskParams",
    "input_model",
    "output_model",
]

_TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "score": Score}
_LABEL = "{label}"


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


class PerLabelParams(Params):
    """One field for each label; ``{label}`` in the description stands for its name."""

    type: Literal["bool", "score"]
    description: str = ""


class OutputParams(Params):
    """What a program answers: ``fields`` or one field a label, and the template of the right answer."""

    name: str
    fields: dict[str, FieldParams] | None = None
    per_label: PerLabelParams | None = None
    template: str

    @model_validator(mode="after")
    def _one_of_two(self) -> OutputParams:
        if bool(self.fields) == bool(self.per_label):
            raise ValueError("give either fields or per_label")
        return self


class HubParams(Params):
    """Where the task's dataset lives on the Hugging Face hub."""

    path: str
    name: str | None = None
    revision: str | None = None
    splits: dict[str, str]


class TaskParams(Params):
    """Section ``task``: what is asked.

    ``target`` is a Jinja expression for the right answer of a row, ``answer`` what it is called in prompts that write
    records as lines.
    """

    name: str
    instructions: str
    input: InputParams
    labels: tuple[str, ...] = ()
    answer: str = "Answer"
    target: str
    hub: HubParams | None = None


class LayoutParams(Params):
    """Section ``layout``: the form of the answer, and how it is rewarded and measured."""

    name: str
    output: OutputParams
    reward: dict[str, Any]
    metrics: tuple[dict[str, Any], ...] = ()


class SourceParams(Params):
    """One split of the data: the file that DVC watches, the split's name in it, and how many rows to take."""

    source: str
    split: str = "train"
    limit: PositiveInt | None = None


class DataParams(Params):
    """Section ``data``. Without ``path`` each split is read from the file named as its source."""

    name: str
    path: str | None = None
    config: str | None = None
    revision: str | None = None
    splits: dict[str, SourceParams]
    shuffle: bool = False
    seed: NonNegativeInt = 0


class SplitParams(Params):
    """Section ``split``: how the training data is cut into a training and a validation part."""

    validation_split: float = Field(gt=0, lt=1)
    shuffle: bool = False
    stratify: bool = False
    seed: NonNegativeInt = 0


def input_model(task: TaskParams) -> type[DataModel]:
    """The data model of the program's input. Raises ConfigError for a name that cannot be a field's."""
    fields = {
        name: _field(field, task.labels, f"task.input.fields.{name}") for name, field in task.input.fields.items()
    }
    return _model(task.input.name, fields, "task.input")


def output_model(task: TaskParams, layout: LayoutParams) -> type[DataModel]:
    """The data model of the program's answer, in the order of its fields or of the task's labels.

    Raises ConfigError for a name that cannot be a field's, and for labels that are missing or given twice.
    """
    output = layout.output
    if output.per_label is None:
        fields = {
            name: _field(field, task.labels, f"layout.output.fields.{name}")
            for name, field in (output.fields or {}).items()
        }
    else:
        _check_labels(task.labels, "layout.output.per_label")
        fields = {
            label: (
                _TYPES[output.per_label.type],
                Field(description=output.per_label.description.replace(_LABEL, label)),
            )
            for label in task.labels
        }
    return _model(output.name, fields, "layout.output")


def _field(field: FieldParams, labels: Sequence[str], place: str) -> tuple[Any, Any]:
    if field.type == "category":
        values = field.values if field.values is not None else tuple(labels)
        _check_labels(values, place)
        annotation: Any = Literal[values]
    else:
        annotation = _TYPES[field.type]
    return annotation, Field(description=field.description, title=field.title)


def _check_labels(labels: Sequence[str], place: str) -> None:
    if not labels:
        raise ConfigError(f"{place} needs labels: declare task.labels")
    if twice := sorted({label for label in labels if list(labels).count(label) > 1}):
        raise ConfigError(f"{place}: labels must differ (given twice: {', '.join(map(repr, twice))})")


def _model(name: str, fields: dict[str, tuple[Any, Any]], place: str) -> type[DataModel]:
    if not name.isidentifier():
        raise ConfigError(f"{place}.name must be a Python name: letters, digits, underscores (got {name!r})")
    for field in fields:
        if not field.isidentifier() or field.startswith("_"):
            raise ConfigError(
                f"{place}: a field's name must be a Python name that starts with a letter (got {field!r}); "
                "rename it, or use layout=categorical, whose labels may be any text"
            )
        if hasattr(DataModel, field):
            raise ConfigError(f"{place}: the field name {field!r} is taken by data models; choose another")
    keywords: dict[str, Any] = dict(fields)  # for mypy: these are none of create_model's own keywords
    return create_model(name, __base__=DataModel, **keywords)
