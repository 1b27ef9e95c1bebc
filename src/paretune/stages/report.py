"""Stage report: reports/trials.csv, pareto.json, pareto.png, report.md and report.html from the finished search."""

from __future__ import annotations

import sys
from pathlib import Path

from paretune.files import read_json
from paretune.metrics.invalid import invalid_warning
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.scoring import Scoring, measures_of_trial
from paretune.pipeline.sections.base import read_params, section
from paretune.pipeline.sections.report import ReportParams
from paretune.reporting.html.blocks import ExampleData
from paretune.reporting.report import report
from paretune.trials.replies import read_replies
from paretune.trials.store import read_trials
from paretune.trials.winner import Best

SPLITS = Path("data/splits")
SEARCH = Path("data/search")
DETAIL = Path("reports/detail.json")
OUTPUT = Path("reports")


def main() -> None:
    """Draw what the search found; no language model is called."""
    params = read_params()
    scoring, settings = Scoring(params), section(params, "report", ReportParams)
    train, (x, gold) = scoring.read(SPLITS / "train.jsonl")[1], scoring.read(SPLITS / "val.jsonl")
    inputs, outputs = ([one.get_json() for one in records] for records in (x, gold))
    majority = scoring.majority([*train, *gold], gold)
    records = read_trials(SEARCH / "trials.jsonl")
    measures = {
        record.trial: measures_of_trial(record, gold, scoring.metrics) for record in records if record.completed
    }
    best = Best.read(SEARCH / "best.json")
    paths = report(
        records,
        measures,
        best,
        OUTPUT,
        examples=ExampleData(inputs, outputs, read_replies(SEARCH / "replies.jsonl")),
        numbers=read_json(DETAIL),
        title=f"{params['task']['name']}, {params['layout']['name']}",
        references={f"val_{name}": value for name, value in majority.items()},
        **settings.model_dump(exclude={"reference"}),
    )
    print(f"wrote {', '.join(map(str, paths))}", file=sys.stderr)
    winner = next(record for record in records if record.trial == best.trial)
    if warning := invalid_warning(winner.outcomes, "validation examples"):
        print(warning, file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
