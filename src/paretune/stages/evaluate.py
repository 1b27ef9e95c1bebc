"""Stage evaluate: the winner and the baseline, once, on the held-out test split; writes reports/metrics.json."""

from __future__ import annotations

import sys
from pathlib import Path

from paretune.errors import SearchError
from paretune.eventloop import run_maybe_nested
from paretune.files import write_json, write_jsonl
from paretune.lm.ledger.attribution import attributed_to
from paretune.metrics.outcome import too_many_failures
from paretune.pipeline.evaluation import baseline, evaluation_rows, rebuild
from paretune.pipeline.human_scores import human_scores
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.scoring import measures_of_trial
from paretune.pipeline.sections.base import read_params, section
from paretune.pipeline.sections.evaluate import EvaluateParams
from paretune.pipeline.sections.report import ReportParams
from paretune.programs.running import Evaluation
from paretune.reporting.metrics_json import metrics_json
from paretune.trials.store import read_trials
from paretune.trials.winner import Best

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
    best, records = Best.read(SEARCH / "best.json"), read_trials(SEARCH / "trials.jsonl")
    winner = await rebuild(setup, best)
    with attributed_to(search="evaluate", trial=best.trial, example="test"):
        tested = await winner.evaluation(*test)
    if error := too_many_failures(tested.outcomes, setup.search.max_failure_rate):
        raise SearchError(f"the winner could not be evaluated: {error}")
    answers = evaluation_rows(tested, *test)
    write_jsonl(OUTPUT / "predictions.jsonl", answers)
    compared = None
    if compare.baseline is not None:
        with attributed_to(search="evaluate", trial="baseline"):
            base = await baseline(setup, compare.baseline, train)
        with attributed_to(search="evaluate", trial="baseline", example="test"):
            compared = await base.evaluation(*test)
        write_jsonl(OUTPUT / "baseline.jsonl", evaluation_rows(compared, *test))
    searched = next(record for record in records if record.trial == best.trial)
    numbers = metrics_json(
        test=tested,
        val=Evaluation(searched.outcomes, tuple(measures_of_trial(searched, val[1], winner.metrics))),
        records=records,
        goals=best.goals,
        baseline=compared,
        majority=scoring.majority([*train[1], *val[1]], test[1]),
        human=None if compare.human is None else human_scores(compare.human, answers),
        confidence=report.confidence,
        resamples=report.resamples,
        seed=report.seed,
    )
    write_json(METRICS, numbers)
    print(f"{METRICS}: test reward {numbers['test']['reward']:.3f} on {numbers['test']['n']} examples", file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
