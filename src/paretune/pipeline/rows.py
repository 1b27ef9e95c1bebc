"""From the data sections of params.yaml to rows: ``{"x": {...}, "y": {...}}``."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from paretune.datasets.huggingface import HuggingFaceDataset
from paretune.datasets.rows import shortened
from paretune.datasets.split import split_indices
from paretune.datasets.templates import VariableList
from paretune.errors import ConfigError, DataError
from paretune.files import canonical_json, read_jsonl
from paretune.pipeline.data_models import input_model, output_model
from paretune.pipeline.sections.data import DataParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.split import SplitParams
from paretune.pipeline.sections.task import TaskParams
from paretune.schemas.data_model import DataModel, field_labels, is_score
from paretune.schemas.faults import did_you_mean

__all__ = ["as_labels", "gold_labels", "open_dataset", "validation_rows"]


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
    return HuggingFaceDataset(
        data.path or source.source,
        name=data.config if data.path else None,
        split=source.split,
        revision=data.revision if data.path else None,
        streaming=False,
        input_data_model=input_model(task),
        input_template=task.input.template,
        output_data_model=output_model(task, layout),
        output_template=layout.output.template,
        limit=source.limit,
        skip=source.skip,
        shuffle=data.shuffle,
        seed=data.seed,
        variables={"labels": task.labels, "as_labels": functools.partial(as_labels, labels=task.labels)},
        **options,
    )


def as_labels(value: Any, optional: bool = False, *, labels: Sequence[str]) -> list[str]:
    """The labels that a right answer names: one, or several in a list; None, ``""`` and ``[]`` name none.

    Raises DataError for anything that is not exactly one of ``labels``, and for none unless it is ``optional``.
    """
    if isinstance(value, VariableList):
        raise DataError("`labels` are all the labels of the task; the column of this name is `row.labels`")
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    named = [each for each in (value if several else [value]) if each is not None and each != ""]
    for each in named:
        if each not in labels:
            raise DataError(f"{each!r} is none of the labels {shortened(', '.join(labels))}{_hint(each, labels)}")
    if not named and not optional:
        raise DataError(f"no label (got {value!r}); where rows may have none, set task.labels_optional to true")
    return named


def _hint(value: Any, labels: Sequence[str]) -> str:
    """What was perhaps meant, where a label is close, in another case, or the text of a number."""
    if not isinstance(value, str):
        return f"; a label is text: did you mean {str(value)!r} (`| string`)?" if str(value) in labels else ""
    plain = value.strip().casefold()
    same = next((label for label in labels if label.strip().casefold() == plain), None)
    return f"; did you mean {same!r}?" if same is not None else did_you_mean(value, labels)


def gold_labels(record: DataModel) -> Iterator[str]:
    """The labels that a right answer holds: a category's value, or the name of a true or high field."""
    for name, value in record:
        if field_labels(type(record), name) is not None:
            yield str(value)
        elif value is True or (is_score(type(record), name) and value > 0.5):
            yield name


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
