"""How sure a frontier is: the probability that a trial is on it, and the hypervolume with an interval.

Both take the same draws: the objectives' values of all trials in each resample of a `BayesianBootstrap`, of shape
(draws, t, m), with a NaN where a trial takes no part in a draw (it breaks a constraint in it). Two trials that answer
alike move alike in them, so that only their differences count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paretune.errors import UsageError
from paretune.stats.measure import Array, Direction
from paretune.stats.pareto import hypervolume, non_dominated
from paretune.stats.resampling import percentile_interval

__all__ = ["Axis", "Hypervolume", "Settled", "frontier_probability", "hypervolume_of", "scaled_volume", "settled"]


def frontier_probability(draws: NDArray[Any], directions: Sequence[str]) -> Array:
    """The share of draws in which no other trial beats a trial in all objectives: (draws, t, m) -> (t,).

    How often a trial that is given .9 really is on the frontier: about as often (``benchmarks/coverage.py``).
    """
    counts = np.zeros(draws.shape[1])
    for draw in draws:
        counts += non_dominated(draw, directions)
    return counts / max(len(draws), 1)


class Settled(NamedTuple):
    """How many trials are expected to be ``wrong``: on the frontier as it was measured though not truly, or the
    reverse; and whether that is little enough to believe the picture."""

    wrong: float
    settled: bool


def settled(on_frontier: Sequence[bool] | NDArray[np.bool_], probability: Array) -> Settled:
    """Whether a frontier is settled: of its trials and those missing, at most a quarter is expected to be wrong.

    ``on_frontier`` and ``probability`` have shape (t,). The expected number of wrong trials is the sum of 1 - p over
    those on the frontier and of p over the others; it is compared with the expected size of the union of the measured
    and the true frontier, their number plus the p of the others.
    """
    flags, chances = np.asarray(on_frontier, dtype=np.bool_), np.asarray(probability, dtype=np.float64)
    missing = float(chances[~flags].sum())
    wrong = float((1 - chances[flags]).sum()) + missing
    return Settled(wrong, wrong <= 0.25 * (float(flags.sum()) + missing))


@dataclass(frozen=True)
class Axis:
    """How an objective counts in a hypervolume: 0 at ``reference`` and beyond it, 1 at ``ideal`` and beyond it.

    Both are declared, never taken from the trials: a bad trial more would change the value. ``log``: between them equal
    ratios count equally, as they do for prices; then both are positive.
    """

    reference: float
    ideal: float
    log: bool = False

    def __post_init__(self) -> None:
        ends = (self.reference, self.ideal)
        if not all(map(math.isfinite, ends)) or ends[0] == ends[1] or (self.log and min(ends) <= 0):
            rule = "two different finite numbers" + (", both positive" if self.log else "")
            raise UsageError(f"an axis needs {rule} (got reference={self.reference}, ideal={self.ideal})")

    @property
    def direction(self) -> Direction:
        """What is better on it."""
        return "max" if self.ideal > self.reference else "min"

    def scaled(self, values: NDArray[Any]) -> Array:
        """Values in the objective's unit as shares of the way from the reference to the ideal; NaN stays NaN."""
        start, end, places = self.reference, self.ideal, np.asarray(values, dtype=np.float64)
        if self.log:
            with np.errstate(divide="ignore"):
                places = np.log(np.maximum(places, 0.0))
            start, end = math.log(start), math.log(end)
        return np.clip((places - start) / (end - start), 0.0, 1.0)


class Hypervolume(NamedTuple):
    """The share of the space between references and ideals that the trials cover, corrected for bias, with its
    interval; ``plug_in`` is that of the measured values, which is too large, by luck of the best."""

    value: float
    lo: float
    hi: float
    plug_in: float


def hypervolume_of(
    points: NDArray[Any], axes: Sequence[Axis], draws: NDArray[Any], confidence: float = 0.95
) -> Hypervolume:
    """The hypervolume in [0, 1] of measured ``points`` (t, m), and its interval from ``draws`` (draws, t, m).

    The luck of the best makes a measured volume too large, and resamples, which add luck to luck, exceed it by about as
    much again (Efron & Tibshirani, 1993, 10.2): that is taken off the measured value, and twice off the draws, whose
    percentiles are the interval. (Without it they hold the truth .62 to .92 of the time, with it .89 to .97.)
    """
    plug_in = scaled_volume(points, axes)
    volumes = np.array([scaled_volume(draw, axes) for draw in draws])
    excess = float(volumes.mean()) - plug_in if len(volumes) else math.nan
    value, lo, hi = (
        min(max(each, 0.0), 1.0) if not math.isnan(each) else each
        for each in (plug_in - excess, *(end - 2 * excess for end in percentile_interval(volumes, confidence)))
    )
    return Hypervolume(value, lo, hi, plug_in)


def scaled_volume(points: NDArray[Any], axes: Sequence[Axis]) -> float:
    """The share of the space between references and ideals that points (t, m) cover, in [0, 1]."""
    values = np.asarray(points, dtype=np.float64).reshape(-1, len(axes))
    columns = [axis.scaled(values[:, place]) for place, axis in enumerate(axes)]
    return min(1.0, hypervolume(np.stack(columns, axis=1), ["max"] * len(axes), [0.0] * len(axes)))
