"""What goes to reports/metrics.json: scalars in nested objects, as DVC shows and compares them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paretune.errors import DataError
from paretune.reporting.numbers import exact
from paretune.reporting.results import COMPLETED, Objective, frontier, shared_bootstrap
from paretune.stats import Bootstrap, Measured, difference_interval, interval, normalised_hypervolume, value

__all__ = ["Evaluation", "evaluation_summary", "search_summary", "summary"]

Scalars = dict[str, int | float]
_LEFT_OUT = {"latency"}  # it says more about the machine than about the configuration: trials.csv has it


@dataclass(frozen=True)
class Evaluation:
    """One configuration on one split: its measures, all over the same ``n`` examples, ``failures`` of them failed."""

    measures: Sequence[Measured]
    n: int
    failures: int

    def measure(self, name: str) -> Measured | None:
        """The measure of that bare name (``reward``, without ``val_``), if there is one."""
        return next((each for each in self.measures if each.name.removeprefix("val_") == name), None)


def summary(
    *,
    test: Evaluation,
    val: Evaluation,
    trials: Sequence[Mapping[str, Any]],
    objectives: Sequence[Objective],
    baseline: Evaluation | None = None,
    majority: Mapping[str, float] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Scalars]:
    """The whole of metrics.json; what has no value or no interval is left out, so no NaN and no null appears.

    ``test`` and ``val`` are the winner's, ``baseline`` the declared baseline's on the same test examples as ``test``
    (DataError when their numbers differ). ``majority`` holds the reward and metrics of always giving the most common
    training output. ``optimism.reward`` is validation minus test; ``gain.reward`` is test minus baseline with its
    paired bootstrap interval. ``trials`` are the rows of trials.jsonl.
    """

    def numbers(evaluation: Evaluation) -> Scalars:
        return evaluation_summary(evaluation, confidence=confidence, resamples=resamples, seed=seed)

    sections: dict[str, Scalars] = {"test": numbers(test), "val": numbers(val)}
    sections["optimism"] = _scalars({"reward": _value(val, "reward") - _value(test, "reward")})
    if baseline is not None:
        sections["baseline"] = numbers(baseline)
        sections["gain"] = _gain(test, baseline, confidence=confidence, resamples=resamples, seed=seed)
    sections["majority"] = _scalars(majority or {})
    sections["search"] = search_summary(trials, objectives)
    return {name: section for name, section in sections.items() if section}


def evaluation_summary(
    evaluation: Evaluation, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Scalars:
    """Each measure with ``_lo`` and ``_hi``, then ``n`` (examples) and ``failures``, under bare names."""
    bootstrap = _bootstrap(evaluation, resamples=resamples, seed=seed)
    found: dict[str, float | int] = {}
    for measured in evaluation.measures:
        name = measured.name.removeprefix("val_")
        if name in _LEFT_OUT:
            continue
        lo, hi = interval(measured, bootstrap, confidence)
        found |= {name: value(measured), f"{name}_lo": lo, f"{name}_hi": hi}
    return _scalars(found) | {"n": evaluation.n, "failures": evaluation.failures}


def search_summary(trials: Sequence[Mapping[str, Any]], objectives: Sequence[Objective]) -> Scalars:
    """Counts of trials, the frontier's size, the normalised hypervolume in [0, 1], LM calls, retries and US dollars.

    Calls and dollars are those of all trials, failed ones too, as if nothing had been served from the ledger. When a
    trial that made calls has no known cost, the sum is not known either and ``cost_usd`` is left out.
    """
    completed = [trial for trial in trials if trial["status"] == COMPLETED]
    points = [[_number(trial["metrics"].get(objective.name)) for objective in objectives] for trial in completed]
    costs = [_number(trial.get("cost_usd")) for trial in trials if trial.get("calls") or trial.get("cost_usd")]
    counts: Scalars = {
        "trials": len(trials),
        "completed": len(completed),
        "failed": len(trials) - len(completed),
        "frontier_size": sum(frontier(trials, objectives)),
        "lm_calls": sum(int(trial.get("calls") or 0) for trial in trials),
        "retries": sum(int(trial.get("retries") or 0) for trial in trials),
    }
    volume = normalised_hypervolume(np.asarray(points), [objective.direction for objective in objectives])
    return counts | _scalars({"hypervolume": volume, "cost_usd": math.fsum(costs)})


def _gain(test: Evaluation, baseline: Evaluation, *, confidence: float, resamples: int, seed: int) -> Scalars:
    first, second = test.measure("reward"), baseline.measure("reward")
    if first is None or second is None:
        return {}
    if test.n != baseline.n:
        raise DataError(
            f"the winner and the baseline are compared on the same test examples (got {test.n} and {baseline.n})"
        )
    lo, hi = difference_interval(first, second, _bootstrap(test, resamples=resamples, seed=seed), confidence)
    return _scalars({"reward": value(first) - value(second), "reward_lo": lo, "reward_hi": hi})


def _bootstrap(evaluation: Evaluation, *, resamples: int, seed: int) -> Bootstrap:
    bootstrap = shared_bootstrap([evaluation.measures], resamples=resamples, seed=seed)
    if evaluation.measures and bootstrap.n != evaluation.n:
        raise DataError(f"measures of {bootstrap.n} examples cannot describe {evaluation.n} of them")
    return bootstrap


def _value(evaluation: Evaluation, name: str) -> float:
    measured = evaluation.measure(name)
    return math.nan if measured is None else value(measured)


def _scalars(numbers: Mapping[str, float | None]) -> Scalars:
    """What can be written: rounded numbers, without those that are not known."""
    return {name: number for name, each in numbers.items() if (number := exact(each)) is not None}


def _number(found: Any) -> float:
    return math.nan if found is None else float(found)
