"""The data models that the sections ``task`` and ``layout`` declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from paretune.errors import ConfigError
from paretune.pipeline.sections.fields import AnswerFieldParams, FieldParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.task import TaskParams
from paretune.schemas.comparing import ACCEPTED
from paretune.schemas.data_model import DataModel, Score
from paretune.schemas.match import Match

__all__ = ["gold_model", "input_model", "output_model"]


_TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "score": Score,
    "date": date,
    "datetime": datetime,
}
_LABEL = "{label}"


def input_model(task: TaskParams) -> type[DataModel]:
    """The data model of the program's input. Raises ConfigError for a name that cannot be a field's."""
    return _record(task.input.name, task.input.fields, task.labels, "task.input")


def output_model(task: TaskParams, layout: LayoutParams) -> type[DataModel]:
    """The data model of the program's answer, in the order of its fields or of the task's labels.

    Raises ConfigError for a name that cannot be a field's, and for labels that are missing or given twice.
    """
    output = layout.output
    if output.per_label is None:
        model = _record(output.name, output.fields or {}, task.labels, "layout.output")
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


def gold_model(task: TaskParams, layout: LayoutParams) -> type[DataModel]:
    """The data model of right answers: the program's answer, and a list beside each field that has several right ones.

    Raises ConfigError as ``output_model``, and for a field that is called as such a list.
    """
    model = output_model(task, layout)
    lists: dict[str, Any] = {}
    for name, field in (layout.output.fields or {}).items():
        if field.accepted:
            kind: Any = model.model_fields[name].annotation
            lists[name + ACCEPTED] = list[kind], ...
    if taken := [name for name in lists if name in model.model_fields]:
        raise ConfigError(f"layout.output.fields: {taken[0]!r} is the name of further accepted answers; choose another")
    gold: type[DataModel] = create_model(model.__name__, __base__=model, **lists)
    return gold


def _record(name: str, fields: Mapping[str, FieldParams], labels: Sequence[str], place: str) -> type[DataModel]:
    declared = {each: _field(each, field, labels, f"{place}.fields.{each}") for each, field in fields.items()}
    return _model(name, declared, place)


def _field(name: str, field: FieldParams, labels: Sequence[str], place: str) -> tuple[Any, Any]:
    annotation: Any = _type(name, field, labels, place)
    if field.list:
        limit = len(field.choices or labels) if field.type == "category" else None
        limit = field.max_items or limit
        annotation = list[annotation]
        if limit is not None:  # a limit of what is asked for: a longer reply is read all the same
            annotation = Annotated[annotation, Field(json_schema_extra={"maxItems": limit})]
    match = field.compared if isinstance(field, AnswerFieldParams) else Match()
    options: dict[str, Any] = {"description": field.description or None, "title": field.title}
    if field.optional:
        annotation, options["default"] = annotation | None, None
    return (annotation if match == Match() else Annotated[annotation, match]), Field(**options)


def _type(name: str, field: FieldParams, labels: Sequence[str], place: str) -> Any:
    if field.type == "category":
        values = field.choices or tuple(labels)
        _check_labels(values, place)
        return Literal[values]
    if field.type == "record":
        return _record(name.title().replace("_", ""), field.fields or {}, labels, place)
    return _TYPES[field.type]


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
