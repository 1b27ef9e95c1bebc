"""Stage report: reports/trials.csv, pareto.json and pareto.png from the finished search."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paretune.files import read_json, read_jsonl
from paretune.metrics.measure import Measure
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.scoring import Scoring, measures_of_trial
from paretune.pipeline.sections.base import read_params, section
from paretune.pipeline.sections.report import ReportParams
from paretune.reporting.report import ReportSettings, report

SPLITS = Path("data/splits")
SEARCH = Path("data/search")
OUTPUT = Path("reports")


def main() -> None:
    """Draw what the search found; no language model is called."""
    params = read_params()
    scoring, settings = Scoring(params), section(params, "report", ReportParams)
    train, gold = (scoring.read(SPLITS / f"{part}.jsonl")[1] for part in ("train", "val"))
    majority = scoring.majority([*train, *gold], gold)
    best = read_json(SEARCH / "best.json")

    def measures_of(trial: Mapping[str, Any]) -> list[Measure]:
        measures = measures_of_trial(trial, gold, scoring.metrics)
        return [measure for measure in measures if f"val_{measure.name}" in trial["metrics"]]

    paths = report(
        list(read_jsonl(SEARCH / "trials.jsonl")),
        measures_of,
        best["objectives"],
        best["trial"],
        ReportSettings(
            x=settings.x,
            y=settings.y,
            confidence=settings.confidence,
            resamples=settings.resamples,
            seed=settings.seed,
            references={f"val_{name}": value for name, value in majority.items()},
        ),
        OUTPUT,
    )
    print(f"wrote {', '.join(map(str, paths))}", file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
