"""From the data sections of params.yaml to rows: ``{"x": {...}, "y": {...}}``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from paretune.datasets.huggingface import HuggingFaceDataset
from paretune.datasets.split import split_indices
from paretune.errors import ConfigError, DataError
from paretune.files import canonical_json, read_jsonl
from paretune.pipeline.data_models import input_model, output_model
from paretune.pipeline.sections.data import DataParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.split import SplitParams
from paretune.pipeline.sections.task import TaskParams
from paretune.schemas.data_model import DataModel, field_labels, is_score
from paretune.schemas.faults import did_you_mean

__all__ = ["gold_labels", "open_dataset", "validation_rows"]


def open_dataset(task: TaskParams, layout: LayoutParams, data: DataParams, split: str) -> HuggingFaceDataset:
    """The dataset of one split; its templates know ``labels``.

    Raises ConfigError for an unknown split and DataError for a source that does not exist.
    """
    if split not in data.splits:
        known = ", ".join(data.splits)
        raise ConfigError(f"data.splits has no {split!r} (it has: {known}){did_you_mean(split, data.splits)}")
    source = data.splits[split]
    if not data.path and not Path(source.source).exists():
        raise DataError(
            f"data.splits.{split}.source: no such file: {source.source!r}; "
            "name a file (.jsonl, .json, .csv, .tsv, .parquet), or set data.path to a dataset on the hub"
        )
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
        shuffle=data.shuffle,
        seed=data.seed,
        variables={"labels": task.labels},
    )


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
