"""Stage evaluate: the winner and the baseline, once, on the held-out test split; writes reports/metrics.json and
detail.json."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paretune.errors import SearchError
from paretune.eventloop import run_maybe_nested
from paretune.files import write_json, write_jsonl
from paretune.metrics.invalid import invalid_warning
from paretune.metrics.outcome import too_many_failures
from paretune.pipeline.evaluation import evaluation_rows, reward_rows, tested_baseline, tested_trial
from paretune.pipeline.human_scores import human_scores
from paretune.pipeline.looks import count_looks
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.scoring import measures_of_trial
from paretune.pipeline.sections.base import read_params, section
from paretune.pipeline.sections.evaluate import EvaluateParams
from paretune.pipeline.sections.report import ReportParams
from paretune.pipeline.tuners import replying
from paretune.reporting.metrics_json import compared, detail_json
from paretune.reporting.volume import volume_axes
from paretune.terminal import note
from paretune.trials.store import read_trials
from paretune.trials.winner import Best

SPLITS = Path("data/splits")
TEST = Path("data/materialized/test.jsonl")
SEARCH = Path("data/search")
OUTPUT = Path("data/evaluation")
METRICS = Path("reports/metrics.json")
DETAIL = Path("reports/detail.json")
REWARDS = Path("reports/test_rewards.jsonl")


def main() -> None:
    """Evaluate, and write every prediction beside the numbers made of them."""
    run_maybe_nested(_main())


async def _main() -> None:
    params = read_params()
    setup = ProgramSetup(params)
    try:
        await _evaluate(params, setup)
    finally:
        await setup.close()


async def _evaluate(params: Mapping[str, Any], setup: ProgramSetup) -> None:
    scoring = setup.scoring
    settings, report = section(params, "evaluate", EvaluateParams), section(params, "report", ReportParams)
    train, val, test = scoring.read(SPLITS / "train.jsonl"), scoring.read(SPLITS / "val.jsonl"), scoring.read(TEST)
    best, records = Best.read(SEARCH / "best.json"), read_trials(SEARCH / "trials.jsonl")
    volume_axes(best.goals.objectives, report.reference)  # a wrong one is told before anything is paid
    by_name = {record.trial: record for record in records}
    others = [name for name in best.frontier if settings.frontier and name != best.trial]
    tested = {name: await tested_trial(setup, by_name[name], test) for name in (best.trial, *others)}
    winner = tested[best.trial]
    if error := too_many_failures(winner.outcomes, setup.search.max_failure_rate):
        raise SearchError(f"the winner could not be evaluated: {error}")
    answers = evaluation_rows(winner, *test)
    write_jsonl(OUTPUT / "predictions.jsonl", answers)
    baseline = None
    if settings.baseline is not None:
        replicates = len(by_name[best.trial].replicates)
        baseline = await tested_baseline(setup, settings.baseline, replicates, train, test)
        write_jsonl(OUTPUT / "baseline.jsonl", evaluation_rows(baseline, *test))
    if settings.frontier:
        rows = ({"trial": name, **row} for name, one in tested.items() for row in evaluation_rows(one, *test))
        write_jsonl(OUTPUT / "frontier.jsonl", rows)
    write_jsonl(REWARDS, reward_rows(winner, baseline, *test))
    replies = replying(params)
    completed = [record for record in records if record.completed]
    detail = detail_json(
        winner=best,
        tested=tested,
        looks=count_looks(TEST, ([replies, by_name[name].values, by_name[name].state] for name in tested)),
        records=records,
        measures={record.trial: measures_of_trial(record, val[1], scoring.metrics) for record in completed},
        baseline=baseline,
        majority=scoring.majority([*train[1], *val[1]], test[1]),
        human=None if settings.human is None else human_scores(settings.human, answers),
        references=report.reference,
        **report.model_dump(include={"confidence", "resamples", "seed"}),
    )
    write_json(DETAIL, detail)
    write_json(METRICS, compared(detail))
    _say(detail["test"], scoring.too_few(test[1]), invalid_warning(winner.outcomes, "test examples"))


def _say(test: Mapping[str, Any], too_few: str, invalid: str | None) -> None:
    print(f"{METRICS}: test reward {test['reward']:.3f} on {test['n']} examples", file=sys.stderr)
    if too_few:
        note(f"{too_few} in the test split")
    if invalid:
        print(invalid, file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
