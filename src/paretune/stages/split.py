"""Stage split: cut the training data into data/splits/train.jsonl and data/splits/val.jsonl, order kept."""

from __future__ import annotations

import sys
from pathlib import Path

from paretune.files import read_jsonl, write_jsonl
from paretune.pipeline.rows import validation_rows
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.sections.base import read_params, section
from paretune.pipeline.sections.split import SplitParams

SOURCE = Path("data/materialized/train.jsonl")
OUTPUT = Path("data/splits")


def main() -> None:
    """Write both parts; the file is read line by line, so that its size does not matter."""
    chosen = validation_rows(SOURCE, section(read_params(), "split", SplitParams))
    counts = {
        part: write_jsonl(
            OUTPUT / f"{part}.jsonl",
            (row for number, row in enumerate(read_jsonl(SOURCE)) if (number in chosen) == (part == "val")),
        )
        for part in ("train", "val")
    }
    print(f"{OUTPUT}: {counts['train']} rows to train, {counts['val']} to validate", file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
