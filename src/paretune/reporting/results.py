"""The trials of a search with their intervals and their place on the frontier: computed once, then shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from paretune.errors import DataError
from paretune.stats import Bootstrap, Interval, Measure, intervals_of, quantile_interval, settled
from paretune.trials.frontier import frontier, frontier_draws
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord
from paretune.wording import compact, displayed

__all__ = ["Measurement", "Result", "results", "shared_bootstrap", "unsettled"]

_SOLID, _HOLLOW = 0.9, 0.1


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
    #: The share of draws of other examples in which it is on the frontier; NaN where that is not known.
    frontier_probability: float = math.nan

    @property
    def drawn(self) -> str:
        """How it is drawn: ``solid`` where it is on the frontier with a probability of 0.9 or more, ``hollow`` from 0.1
        on, else ``faint``; by its measured place where the probability is not known."""
        chance = float(self.on_frontier) if math.isnan(self.frontier_probability) else self.frontier_probability
        return "solid" if chance >= _SOLID else "hollow" if chance >= _HOLLOW else "faint"

    def metric(self, name: str) -> Measurement:
        """The measurement of one metric; all NaN when the trial has none."""
        return self.metrics.get(name, Measurement(math.nan))

    def displayed(self, name: str) -> Measurement:
        """The same in the unit that its words name (see ``wording.displayed``)."""
        return Measurement(*(displayed(name, value) for value in self.metric(name)))


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
    without a measure has no interval. ``val_latency_median`` and ``val_latency_p95`` are of the seconds that an example
    takes, all its calls together.
    """
    bootstrap = shared_bootstrap(measures.values(), resamples=resamples, seed=seed)
    found = iter(intervals_of([each for group in measures.values() for each in group], bootstrap, confidence))
    ends = {
        trial: {f"val_{each.name}": interval for each, interval in zip(group, found, strict=False)}
        for trial, group in measures.items()
    }
    draws = frontier_draws(records, measures, goals, resamples=resamples, seed=seed)
    chances = {} if draws is None else dict(zip(draws.names, draws.probability.tolist(), strict=True))
    return [
        Result(
            record=record,
            metrics=_measurements(record, ends.get(record.trial, {})) | _latencies(record, confidence),
            feasible=record.completed and goals.feasible(record.metrics),
            on_frontier=flag,
            is_winner=record.trial == winner,
            frontier_probability=chances.get(record.trial, math.nan),
        )
        for record, flag in zip(records, frontier(records, goals), strict=True)
    ]


def unsettled(found: Sequence[Result]) -> str:
    """A sentence where the frontier is not settled (see ``stats.settled``), else nothing."""
    known = [result for result in found if not math.isnan(result.frontier_probability)]
    chances = np.array([result.frontier_probability for result in known])
    wrong, is_settled = settled([result.on_frontier for result in known], chances)
    if is_settled:
        return ""
    return f"The frontier is not settled: {compact(wrong)} trials are expected to be on it wrongly, or missing."


def _measurements(record: TrialRecord, ends: Mapping[str, Interval]) -> dict[str, Measurement]:
    return {
        name: Measurement(value, *ends.get(name, ()))
        for name, value in record.metrics.items()
        if name.startswith("val_")
    }


def _latencies(record: TrialRecord, confidence: float) -> dict[str, Measurement]:
    """Quantiles of the seconds an example; of replicates, whose seconds are no independent examples, without ends."""
    took = [outcome.latency_s for outcome in record.outcomes if outcome.status != "failed"]
    seconds = [each for each in took if each is not None]
    if not seconds or len(seconds) < len(took):
        return {}
    found = {}
    for name, quantile in (("val_latency_median", 0.5), ("val_latency_p95", 0.95)):
        ends = quantile_interval(np.array(seconds), quantile, confidence) if len(record.replicates) == 1 else ()
        found[name] = Measurement(float(np.quantile(seconds, quantile)), *ends)
    return found
