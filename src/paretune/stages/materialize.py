"""Stage materialize: one split, through the templates, into data/materialized/<split>.jsonl."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from paretune.errors import DataError, UsageError
from paretune.files import write_jsonl
from paretune.pipeline.data_models import output_model
from paretune.pipeline.rows import gold_labels, known_labels, open_dataset
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.sections.base import check_sections, read_params, section
from paretune.pipeline.sections.data import DataParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.task import TaskParams
from paretune.terminal import note, plain

OUTPUT = Path("data/materialized")


def main() -> None:
    """Write the rows of the split named on the command line."""
    if len(sys.argv) != 2:
        raise UsageError("name one split: python -m paretune.stages.materialize train")
    split = sys.argv[1]
    params = read_params()
    check_sections(params, {"task": TaskParams, "layout": LayoutParams, "data": DataParams})
    task, layout = section(params, "task", TaskParams), section(params, "layout", LayoutParams)
    dataset = open_dataset(task, layout, section(params, "data", DataParams), split)
    model = output_model(task, layout)
    labels: Counter[str] = Counter(dict.fromkeys([*known_labels(model), *task.labels], 0))
    optional = [name for name, info in model.model_fields.items() if not info.is_required()]
    nulls: Counter[str] = Counter()

    def rows() -> Iterator[dict[str, Any]]:
        empty = True
        for x, y in dataset:
            empty = False
            labels.update(gold_labels(y))
            nulls.update(name for name in optional if y[name] is None)
            yield {"x": x.get_json(), "y": y.get_json()}
        if empty:
            raise DataError(f"{dataset!r} has no rows")

    path = OUTPUT / f"{split}.jsonl"
    count = write_jsonl(path, rows())
    balance = ", ".join(f"{label} {number}" for label, number in labels.items())
    print(f"{path}: {count} rows" + (f" ({plain(balance)})" if balance else ""), file=sys.stderr)
    if nulls:
        print(f"  null: {', '.join(f'{name} {number}' for name, number in nulls.items())}", file=sys.stderr)
    for name in (name for name, number in nulls.items() if number == count):
        note(f"{name!r} is null in every row: is this its column's name? columns that a row has not are null")


if __name__ == "__main__":
    run_stage(main)
