"""The data models that the sections ``task`` and ``layout`` declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, create_model

from paretune.errors import ConfigError
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.task import FieldParams, TaskParams
from paretune.schemas.data_model import DataModel, Score

__all__ = ["input_model", "output_model", "step_model"]


_TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "score": Score}
_LABEL = "{label}"


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
    model = _model(output.name, fields, "layout.output")
    model.strict_labels = output.strict_labels
    return model


def step_model(task: TaskParams, step: str, fields: Mapping[str, FieldParams]) -> type[DataModel]:
    """The data model of what a step of the program gives. Raises ConfigError for a name that cannot be a field's."""
    place = f"program.steps.{step}.fields"
    declared = {name: _field(field, task.labels, f"{place}.{name}") for name, field in fields.items()}
    return _model("".join(part.capitalize() for part in step.split("_")) or step, declared, place)


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
