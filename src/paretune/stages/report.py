"""Stage report: reports/trials.csv, pareto.json, pareto.png, report.md and report.html from the finished search."""

from __future__ import annotations

import sys
from pathlib import Path

from paretune.files import read_json
from paretune.metrics.invalid import invalid_warning
from paretune.pipeline.reported import Reported
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.scoring import measures_of_trial
from paretune.pipeline.sections.base import read_params
from paretune.reporting.html.blocks import ExampleData
from paretune.reporting.report import report
from paretune.trials.replies import read_replies
from paretune.trials.store import read_trials
from paretune.trials.winner import Best

SEARCH = Path("data/search")
DETAIL = Path("reports/detail.json")
OUTPUT = Path("reports")


def main() -> None:
    """Draw what the search found; no language model is called."""
    shown = Reported.read(read_params())
    records, best = read_trials(SEARCH / "trials.jsonl"), Best.read(SEARCH / "best.json")
    completed = [record for record in records if record.completed]
    paths = report(
        records,
        {record.trial: measures_of_trial(record, shown.gold, shown.metrics) for record in completed},
        best,
        OUTPUT,
        examples=ExampleData(shown.inputs, shown.outputs, read_replies(SEARCH / "replies.jsonl")),
        numbers=read_json(DETAIL),
        **shown.options,
    )
    print(f"wrote {', '.join(map(str, paths))}", file=sys.stderr)
    winner = next(record for record in records if record.trial == best.trial)
    if warning := invalid_warning(winner.outcomes, "validation examples"):
        print(warning, file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
