"""The trials of a search with their intervals and their place on the frontier: computed once, then shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from paretune.errors import DataError
from paretune.stats import Bootstrap, Interval, Measure, intervals_of
from paretune.trials.frontier import frontier
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord

__all__ = ["Measurement", "Result", "results", "shared_bootstrap"]


class Measurement(NamedTuple):
    """A number with the ends of its interval; NaN where there is none."""

    value: float
    lo: float = math.nan
    hi: float = math.nan


@dataclass(frozen=True)
class Result:
    """One trial: its record, its validation metrics with their intervals, and where it stands among the others."""

    record: TrialRecord
    metrics: Mapping[str, Measurement]
    feasible: bool
    on_frontier: bool
    is_winner: bool

    def metric(self, name: str) -> Measurement:
        """The measurement of one metric; all NaN when the trial has none."""
        return self.metrics.get(name, Measurement(math.nan))


def shared_bootstrap(measures: Iterable[Sequence[Measure]], *, resamples: int, seed: int) -> Bootstrap:
    """The one set of resamples for groups of measures on the same examples. Raise DataError when their n differ."""
    sizes = {len(measure.statistics) for group in measures for measure in group}
    if len(sizes) > 1:
        raise DataError(
            f"trials are compared on the same examples, but their numbers of examples differ: {sorted(sizes)}; "
            "delete data/search and search again"
        )
    return Bootstrap(sizes.pop() if sizes else 0, resamples=resamples, seed=seed)


def results(
    records: Sequence[TrialRecord],
    measures: Mapping[str, Sequence[Measure]],
    goals: Goals,
    winner: str,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Result]:
    """Every trial with the intervals of its validation metrics, in the order given.

    ``measures`` holds by trial the measures of the validation examples (the reward, the metrics, the operational ones)
    under their bare names; they appear as ``val_<name>``, those that the search recorded. A recorded ``val_`` metric
    without a measure has no interval.
    """
    bootstrap = shared_bootstrap(measures.values(), resamples=resamples, seed=seed)
    found = iter(intervals_of([each for group in measures.values() for each in group], bootstrap, confidence))
    ends = {
        trial: {f"val_{each.name}": interval for each, interval in zip(group, found, strict=False)}
        for trial, group in measures.items()
    }
    return [
        Result(
            record=record,
            metrics=_measurements(record, ends.get(record.trial, {})),
            feasible=record.completed and goals.feasible(record.metrics),
            on_frontier=flag,
            is_winner=record.trial == winner,
        )
        for record, flag in zip(records, frontier(records, goals), strict=True)
    ]


def _measurements(record: TrialRecord, ends: Mapping[str, Interval]) -> dict[str, Measurement]:
    return {
        name: Measurement(value, *ends.get(name, ()))
        for name, value in record.metrics.items()
        if name.startswith("val_")
    }
