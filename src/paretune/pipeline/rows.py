"""From the data sections of params.yaml to rows: ``{"x": {...}, "y": {...}}``."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from paretune.datasets.huggingface import HuggingFaceDataset
from paretune.datasets.split import split_indices
from paretune.datasets.templates import RowTemplate, VariableList
from paretune.errors import ConfigError, DataError
from paretune.files import canonical_json, read_jsonl
from paretune.pipeline.cells import derived_template, label_hint, listed, record_of
from paretune.pipeline.data_models import gold_model, input_model
from paretune.pipeline.sections.data import DataParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.split import SplitParams
from paretune.pipeline.sections.task import TaskParams
from paretune.schemas.data_model import DataModel, is_score
from paretune.schemas.faults import did_you_mean
from paretune.schemas.field_types import item_of, labels_of
from paretune.wording import shortened

__all__ = ["as_labels", "gold_labels", "input_template", "known_labels", "open_dataset", "validation_rows"]


def open_dataset(task: TaskParams, layout: LayoutParams, data: DataParams, split: str) -> HuggingFaceDataset:
    """The dataset of one split; its templates know ``labels`` and ``as_labels`` (with these labels).

    Raises ConfigError for an unknown split and DataError for a source that does not exist.
    """
    if split not in data.splits:
        known = ", ".join(data.splits)
        raise ConfigError(f"data.splits has no {split!r} (it has: {known}){did_you_mean(split, data.splits)}")
    source = data.splits[split]
    if not data.path and not os.path.exists(source.source):
        raise DataError(
            f"data.splits.{split}.source: no such file: {source.source!r}; "
            "name a file (.jsonl, .json, .csv, .tsv, .parquet, .xlsx), or set data.path to a dataset on the hub"
        )
    options: dict[str, Any] = {} if source.delimiter is None else {"delimiter": source.delimiter}
    answers = layout.output.fields or {}
    return HuggingFaceDataset(
        data.path or source.source,
        name=data.config if data.path else None,
        split=source.split,
        revision=data.revision if data.path else None,
        streaming=False,
        input_data_model=input_model(task),
        input_template=task.input.template or derived_template("input", task.input.fields),
        output_data_model=gold_model(task, layout),
        output_template=layout.output.template or derived_template("output", answers),
        limit=source.limit,
        skip=source.skip,
        shuffle=data.shuffle,
        seed=data.seed,
        variables={
            "labels": task.labels,
            "as_labels": functools.partial(as_labels, labels=task.labels),
            "input_of": functools.partial(record_of, fields=task.input.fields, labels=task.labels),
            "output_of": functools.partial(record_of, fields=answers, labels=task.labels),
        },
        **options,
    )


def input_template(task: TaskParams, name: str) -> RowTemplate:
    """What makes the input of a row, which needs no answer; ``name`` stands in errors for the data."""
    return RowTemplate(
        task.input.template or derived_template("input", task.input.fields),
        input_model(task),
        kind="input",
        dataset=name,
        variables={
            "labels": task.labels,
            "as_labels": functools.partial(as_labels, labels=task.labels),
            "input_of": functools.partial(record_of, fields=task.input.fields, labels=task.labels),
        },
    )


def as_labels(value: Any, optional: bool = False, *, labels: Sequence[str]) -> list[str]:
    """The labels that a right answer names: one, or several in a list (also one that is written as text); None, ``""``
    and ``[]`` name none.

    Raises DataError for anything that is not exactly one of ``labels``, and for none unless it is ``optional``.
    """
    if isinstance(value, VariableList):
        raise DataError("`labels` are all the labels of the task; the column of this name is `row.labels`")
    several = listed(value)
    named = [each for each in ([value] if several is None else several) if each is not None and each != ""]
    for each in named:
        if each not in labels:
            raise DataError(f"{each!r} is none of the labels {shortened(', '.join(labels))}{label_hint(each, labels)}")
    if not named and not optional:
        raise DataError(f"no label (got {value!r}); where rows may have none, set task.labels_optional to true")
    return named


def gold_labels(record: DataModel) -> Iterator[str]:
    """The labels that a right answer holds: the values of categories, alone or in a list, and the names of fields that
    are true or high. Where several fields hold labels, their names stand before them: ``currency=EUR``."""
    model = type(record)
    for name, value in record:
        if (labels := _labels_in(model, name)) is not None:
            values = value if isinstance(value, list) else [value]
            yield from (labels[each] for each in values if each is not None)
        elif value is True or (is_score(model, name) and value > 0.5):
            yield name


def known_labels(model: type[DataModel]) -> list[str]:
    """The labels that ``gold_labels`` can find in categories."""
    return [label for name in model.model_fields for label in (_labels_in(model, name) or {}).values()]


@functools.cache
def _labels_in(model: type[DataModel], name: str) -> dict[Any, str] | None:
    """The labels that a field can hold, alone or in a list, and how they are called; None for a field without any."""
    items = {each: item_of(info.annotation)[0] for each, info in model.model_fields.items()}
    labels = {each: [one for one in labels_of(item) or () if one is not None] for each, item in items.items() if item}
    found = {each: some for each, some in labels.items() if some}
    if name not in found:
        return None
    return {label: f"{name}={label}" if len(found) > 1 else str(label) for label in found[name]}


def validation_rows(path: Path, split: SplitParams) -> set[int]:
    """The numbers (from 0) of the rows of ``path`` that validate. Keeps only the classes in memory."""
    classes = [canonical_json(row["y"]) if split.stratify else "" for row in read_jsonl(path)]
    _, validation = split_indices(
        len(classes),
        split.validation_split,
        shuffle=split.shuffle,
        seed=split.seed,
        stratify=classes if split.stratify else None,
    )
    return set(validation.tolist())
