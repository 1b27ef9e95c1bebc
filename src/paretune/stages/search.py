"""Stage search: try configurations on the training and validation data; write data/search/ and reports/run.json."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from paretune.estimating.estimate import estimate
from paretune.files import write_json, write_jsonl
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.sections.base import read_params
from paretune.pipeline.tuners import best_of, make_tuner

SPLITS = Path("data/splits")
OUTPUT = Path("data/search")
RUN = Path("reports/run.json")


def main() -> None:
    """Run the search, or go on with it where an earlier run was stopped."""
    started = time.monotonic()
    params = read_params()
    setup = ProgramSetup(params)
    x, y = setup.scoring.read(SPLITS / "train.jsonl")
    validation = setup.scoring.read(SPLITS / "val.jsonl")
    tuner = make_tuner(params, setup)
    fit = {"validation_data": validation, "epochs": setup.search.epochs, "batch_size": setup.search.batch_size}
    print(estimate(tuner, x, y, **fit), file=sys.stderr)
    tuner.search(x, y, **fit)
    best = best_of(tuner)
    write_jsonl(OUTPUT / "trials.jsonl", (record.row() for record in tuner.trial_records()))
    write_json(OUTPUT / "best.json", best)
    write_json(
        RUN,
        {
            "lm_calls_paid": tuner.session.paid,
            "spent_usd": round(tuner.session.spent_usd, 6),
            "seconds": round(time.monotonic() - started, 1),
            "resumed": tuner.resumed,
            "stopped": tuner.stopped is not None,  # best.json tells why
        },
    )
    print(f"{OUTPUT}: trial {int(best['trial'])} is best of {len(tuner.records)}: {best['values']}", file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
