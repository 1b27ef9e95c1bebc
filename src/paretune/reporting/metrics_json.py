"""What goes to reports/metrics.json: scalars in nested objects, as DVC shows and compares them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from paretune.errors import DataError
from paretune.programs.running import Evaluation
from paretune.reporting.numbers import exact
from paretune.reporting.results import shared_bootstrap
from paretune.stats import Measure, difference_interval, intervals_of, normalised_hypervolume
from paretune.trials.frontier import frontier
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord, race_savings

__all__ = ["evaluation_summary", "metrics_json", "search_summary"]

Scalars = dict[str, int | float]
_LEFT_OUT = {"latency"}  # it says more about the machine than about the configuration: trials.csv has it


def metrics_json(
    *,
    test: Evaluation,
    val: Evaluation,
    records: Sequence[TrialRecord],
    goals: Goals,
    baseline: Evaluation | None = None,
    majority: Mapping[str, float] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Scalars]:
    """The whole of metrics.json; what has no value or no interval is left out, so no NaN and no null appears.

    ``test`` and ``val`` are the winner's (with replicates, ``val`` has the outcomes of all), ``baseline`` the declared
    baseline's on the same test examples as ``test`` (DataError when their numbers differ). ``majority`` holds the
    reward and metrics of always giving the most common training output. ``optimism.reward`` is validation minus test;
    ``gain.reward`` is test minus baseline with its paired bootstrap interval. ``records`` are all trials.
    """

    def numbers(evaluation: Evaluation) -> Scalars:
        return evaluation_summary(evaluation, confidence=confidence, resamples=resamples, seed=seed)

    sections: dict[str, Scalars] = {"test": numbers(test), "val": numbers(val)}
    sections["optimism"] = _scalars({"reward": _value(val, "reward") - _value(test, "reward")})
    if baseline is not None:
        sections["baseline"] = numbers(baseline)
        sections["gain"] = _gain(test, baseline, confidence=confidence, resamples=resamples, seed=seed)
    sections["majority"] = _scalars(majority or {})
    sections["search"] = search_summary(records, goals)
    return {name: section for name, section in sections.items() if section}


def evaluation_summary(
    evaluation: Evaluation, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Scalars:
    """Each measure with ``_lo`` and ``_hi``, then ``n`` (examples) and ``failures``."""
    shown = [measure for measure in evaluation.measures if measure.name not in _LEFT_OUT]
    bootstrap = shared_bootstrap([shown], resamples=resamples, seed=seed)
    found: dict[str, float | int] = {}
    for measure, (lo, hi) in zip(shown, intervals_of(shown, bootstrap, confidence), strict=True):
        found |= {measure.name: measure.value, f"{measure.name}_lo": lo, f"{measure.name}_hi": hi}
    failures = sum(outcome.status == "failed" for outcome in evaluation.outcomes)
    return _scalars(found) | {"n": bootstrap.n, "failures": failures}


def search_summary(records: Sequence[TrialRecord], goals: Goals) -> Scalars:
    """Counts of trials, the frontier's size, the normalised hypervolume in [0, 1], LM calls, retries and US dollars.

    Frontier and hypervolume are those of the trials that keep the constraints. Where a race has dropped trials, their
    number and that of the calls saved are there too.
    Calls and dollars are those of all trials, failed ones too, as if nothing had been served from the ledger. When a
    trial that made calls has no known cost, the sum is not known either and ``cost_usd`` is left out.
    """
    completed = [record for record in records if record.completed]
    costs = [record.cost_usd for record in records if record.calls or record.cost_usd]
    counts: Scalars = {
        "trials": len(records),
        "completed": len(completed),
        "failed": sum(record.failed for record in records),
        "frontier_size": sum(frontier(records, goals)),
        "lm_calls": sum(record.calls for record in records),
        "retries": sum(record.retries for record in records),
    }
    if any(record.dropped for record in records):
        counts |= race_savings(records)
    points = np.asarray([goals.point(record.metrics) for record in completed if goals.feasible(record.metrics)])
    spent = math.fsum(math.nan if cost is None else cost for cost in costs)
    return counts | _scalars({"hypervolume": normalised_hypervolume(points, goals.directions), "cost_usd": spent})


def _gain(test: Evaluation, baseline: Evaluation, *, confidence: float, resamples: int, seed: int) -> Scalars:
    first, second = _measure(test, "reward"), _measure(baseline, "reward")
    if first is None or second is None:
        return {}
    if len(first.statistics) != len(second.statistics):
        raise DataError(
            "the winner and the baseline are compared on the same test examples "
            f"(got {len(first.statistics)} and {len(second.statistics)})"
        )
    bootstrap = shared_bootstrap([[first]], resamples=resamples, seed=seed)
    lo, hi = difference_interval(first, second, bootstrap, confidence)
    return _scalars({"reward": first.value - second.value, "reward_lo": lo, "reward_hi": hi})


def _measure(evaluation: Evaluation, name: str) -> Measure | None:
    return next((measure for measure in evaluation.measures if measure.name == name), None)


def _value(evaluation: Evaluation, name: str) -> float:
    measure = _measure(evaluation, name)
    return math.nan if measure is None else measure.value


def _scalars(numbers: Mapping[str, float | None]) -> Scalars:
    """What can be written: rounded numbers, without those that are not known."""
    return {name: number for name, each in numbers.items() if (number := exact(each)) is not None}
