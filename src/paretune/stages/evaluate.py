"""Stage evaluate: the winner and the baseline, once, on the held-out test split; writes reports/metrics.json."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from paretune.errors import SearchError
from paretune.eventloop import run_maybe_nested
from paretune.files import read_json, read_jsonl, write_json, write_jsonl
from paretune.lm.ledger.attribution import attributed_to
from paretune.metrics.measure import Measure
from paretune.metrics.outcome import too_many_failures
from paretune.pipeline.evaluation import baseline, evaluation_rows, rebuild
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.scoring import measures_of_trial
from paretune.pipeline.sections.base import read_params, section
from paretune.pipeline.sections.evaluate import EvaluateParams
from paretune.pipeline.sections.report import ReportParams
from paretune.programs.trainer import Evaluation
from paretune.reporting.metrics_json import Evaluation as Summarised
from paretune.reporting.metrics_json import summary
from paretune.reporting.results import objectives_from

SPLITS = Path("data/splits")
TEST = Path("data/materialized/test.jsonl")
SEARCH = Path("data/search")
OUTPUT = Path("data/evaluation")
METRICS = Path("reports/metrics.json")


def main() -> None:
    """Evaluate, and write every prediction beside the numbers made of them."""
    run_maybe_nested(_main())


async def _main() -> None:
    params = read_params()
    setup = ProgramSetup(params)
    scoring = setup.scoring
    compare, report = section(params, "evaluate", EvaluateParams), section(params, "report", ReportParams)
    train, val, test = scoring.read(SPLITS / "train.jsonl"), scoring.read(SPLITS / "val.jsonl"), scoring.read(TEST)
    best, trials = read_json(SEARCH / "best.json"), list(read_jsonl(SEARCH / "trials.jsonl"))
    winner = await rebuild(setup, best)
    with attributed_to(search="evaluate", trial=best["trial"], example="test"):
        tested = await winner.evaluation(*test)
    if error := too_many_failures(tested.outcomes, setup.search.max_failure_rate):
        raise SearchError(f"the winner could not be evaluated: {error}")
    write_jsonl(OUTPUT / "predictions.jsonl", evaluation_rows(tested, *test))
    compared = None
    if compare.baseline is not None:
        with attributed_to(search="evaluate", trial="baseline"):
            base = await baseline(setup, compare.baseline, train)
        with attributed_to(search="evaluate", trial="baseline", example="test"):
            compared = await base.evaluation(*test)
        write_jsonl(OUTPUT / "baseline.jsonl", evaluation_rows(compared, *test))
    searched = next(trial for trial in trials if trial["trial"] == best["trial"])
    numbers = summary(
        test=_summarised(tested),
        val=_validated(searched, measures_of_trial(searched, val[1], winner.metrics)),
        trials=trials,
        objectives=objectives_from(best["objectives"]),
        baseline=None if compared is None else _summarised(compared),
        majority=scoring.majority([*train[1], *val[1]], test[1]),
        confidence=report.confidence,
        resamples=report.resamples,
        seed=report.seed,
    )
    write_json(METRICS, numbers)
    print(f"{METRICS}: test reward {numbers['test']['reward']:.3f} on {numbers['test']['n']} examples", file=sys.stderr)


def _validated(trial: dict[str, Any], measures: list[Measure]) -> Summarised:
    return Summarised(measures, trial["n"], sum(_failed(one["examples"]) for one in trial["replicates"]))


def _summarised(evaluation: Evaluation) -> Summarised:
    rows = [outcome.row() for outcome in evaluation.outcomes]
    return Summarised(evaluation.measures, len(rows), _failed(rows))


def _failed(rows: list[dict[str, object]]) -> int:
    return sum(row["status"] == "failed" for row in rows)


if __name__ == "__main__":
    run_stage(main)
