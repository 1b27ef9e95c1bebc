"""The trials of a search with their intervals and their place on the frontier: computed once, then shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from paretune.errors import DataError
from paretune.stats import Bootstrap, Measured, interval, non_dominated, value

__all__ = ["Estimate", "Objective", "Result", "frontier", "objectives_from", "results", "shared_bootstrap"]

COMPLETED = "COMPLETED"


class Estimate(NamedTuple):
    """A number with the ends of its interval; NaN where there is none."""

    value: float
    lo: float = math.nan
    hi: float = math.nan


class Objective(NamedTuple):
    """A metric's name as the trials record it (``val_reward``) and its direction, "max" or "min"."""

    name: str
    direction: str


@dataclass(frozen=True)
class Result:
    """One trial: its row of trials.jsonl, its metrics as estimates, and where it stands among the others."""

    row: Mapping[str, Any]
    metrics: Mapping[str, Estimate]
    on_frontier: bool
    is_winner: bool

    @property
    def trial(self) -> str:
        return str(self.row["trial"])

    @property
    def completed(self) -> bool:
        return bool(self.row["status"] == COMPLETED)

    @property
    def values(self) -> dict[str, Any]:
        """The hyperparameters."""
        return dict(self.row.get("values") or {})

    def metric(self, name: str) -> Estimate:
        """The estimate of one metric; all NaN when the trial has none."""
        return self.metrics.get(name, Estimate(math.nan))


def objectives_from(rows: Iterable[Mapping[str, Any]]) -> list[Objective]:
    """The objectives as best.json lists them (name, direction, weight). Raise DataError when there are none."""
    objectives = [Objective(str(row["name"]), str(row["direction"])) for row in rows]
    if not objectives:
        raise DataError("a report needs at least one objective (got none)")
    return objectives


def shared_bootstrap(measures: Iterable[Sequence[Measured]], *, resamples: int, seed: int) -> Bootstrap:
    """The one set of resamples for groups of measures on the same examples. Raise DataError when their n differ."""
    sizes = {int(np.shape(measured.statistics)[0]) for group in measures for measured in group}
    if len(sizes) > 1:
        raise DataError(
            f"trials are compared on the same examples, but their numbers of examples differ: {sorted(sizes)}; "
            "delete data/search and search again"
        )
    return Bootstrap(sizes.pop() if sizes else 0, resamples=resamples, seed=seed)


def frontier(trials: Sequence[Mapping[str, Any]], objectives: Sequence[Objective]) -> list[bool]:
    """Which trials no other completed trial beats, by their recorded metrics.

    A failed trial, or one that lacks an objective, is not on the frontier and keeps nobody off it.
    """
    points = [
        [
            _number((trial.get("metrics") or {}).get(objective.name)) if trial["status"] == COMPLETED else math.nan
            for objective in objectives
        ]
        for trial in trials
    ]
    return [bool(flag) for flag in non_dominated(np.asarray(points), [each.direction for each in objectives])]


def results(
    trials: Sequence[Mapping[str, Any]],
    measures_of: Callable[[Mapping[str, Any]], Sequence[Measured]],
    objectives: Sequence[Objective],
    winner: str,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Result]:
    """Every trial with the intervals of its validation metrics, in the order given.

    ``measures_of`` gives the measures of one completed trial's validation examples (the reward, the metrics, the
    operational ones) under their bare names; they appear as ``val_<name>``. A metric's value is the one that the
    search recorded, else the measure's. A recorded ``val_`` metric without a measure has no interval.
    """
    measured = {str(trial["trial"]): list(measures_of(trial)) for trial in trials if trial["status"] == COMPLETED}
    bootstrap = shared_bootstrap(measured.values(), resamples=resamples, seed=seed)
    return [
        Result(
            row=trial,
            metrics=_estimates(trial, measured.get(str(trial["trial"]), []), bootstrap, confidence),
            on_frontier=flag,
            is_winner=str(trial["trial"]) == winner,
        )
        for trial, flag in zip(trials, frontier(trials, objectives), strict=True)
    ]


def _estimates(
    trial: Mapping[str, Any], measures: Sequence[Measured], bootstrap: Bootstrap, confidence: float
) -> dict[str, Estimate]:
    recorded = {
        name: _number(number) for name, number in (trial.get("metrics") or {}).items() if name.startswith("val_")
    }
    estimates = {name: Estimate(number) for name, number in recorded.items()}
    for measured in measures:
        name = "val_" + measured.name.removeprefix("val_")
        number = recorded.get(name, math.nan)
        lo, hi = interval(measured, bootstrap, confidence)
        estimates[name] = Estimate(value(measured) if math.isnan(number) else number, lo, hi)
    return estimates


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
