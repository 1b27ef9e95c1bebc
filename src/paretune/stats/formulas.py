"""Intervals and tests in closed form, of plain numbers and arrays: no resampling, no randomness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paretune.errors import UsageError

__all__ = [
    "Interval",
    "agresti_min",
    "checked_confidence",
    "detectable_difference",
    "effective_n",
    "examples_needed",
    "holm",
    "mcnemar",
    "newcombe",
    "normal_quantile",
    "paired_scores",
    "quantile_interval",
    "wilson",
]


class Interval(NamedTuple):
    """A confidence interval, both ends in the unit of the value; both NaN when nothing can be said."""

    lo: float
    hi: float


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson, JASA 22, 1927, p. 209-212), inside [0, 1].

    Unlike the textbook p +- z*sqrt(p(1-p)/n) it does not collapse to a point at 0 or n successes. Neither number needs
    to be whole: of replicates, and of scores in [0, 1], n is an ``effective_n``. With ``n = 0`` nothing is known: both
    ends are NaN. Raise UsageError when ``successes`` is outside [0, n].
    """
    z = normal_quantile(confidence)
    if n < 0 or not 0 <= successes <= n:
        raise UsageError(f"successes must be between 0 and n (got successes={successes}, n={n})")
    if n == 0:
        return Interval(math.nan, math.nan)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the formula gives exactly 0 and 1; rounding must not move it past them.
    return Interval(
        0.0 if successes == 0 else max(0.0, centre - half),
        1.0 if successes == n else min(1.0, centre + half),
    )


def effective_n(values: NDArray[Any], answers: float = math.inf) -> float:
    """How many independent yes-or-no answers n examples worth 0 to 1 say as much as: in [n, answers].

    ``values`` has shape (n,): scores, or the mean of each example over its replicates, ``answers`` in all. It is
    n m(1-m) / v, with the mean m and the variance v of the examples and one more that is half right and half wrong, so
    that few examples that are alike promise nothing of the next. Of yes and no it is n.
    """
    n = len(values)
    mean = (float(np.sum(values)) + 0.5) / (n + 1)
    variance = (float(np.sum(np.square(values))) + 0.5) / (n + 1) - mean**2
    return min(max(n * mean * (1 - mean) / variance, n), answers)


def agresti_min(first_only: int, second_only: int, n: int, confidence: float = 0.95) -> Interval:
    """The difference of two shares of yes on the same n examples, in [-1, 1] (Agresti & Min, Stat. Med. 24, 2005).

    ``first_only`` examples have a yes in the first alone, ``second_only`` in the second alone. Half an example is added
    to each cell of the table, so that no width is 0. NaN for ``n = 0``.
    """
    if min(first_only, second_only) < 0 or first_only + second_only > n:
        raise UsageError(f"at most n examples can differ (got {first_only} + {second_only} of n={n})")
    return _paired(first_only - second_only, first_only + second_only, n, confidence)


def paired_scores(differences: NDArray[Any], confidence: float = 0.95) -> Interval:
    """The mean of differences between scores from 0 to 1, shape (n,), by the formula of ``agresti_min``: one example
    without a difference is added, and half a one with each of the largest, 1 and -1."""
    return _paired(float(np.sum(differences)), float(np.sum(np.square(differences))), len(differences), confidence)


def _paired(total: float, squares: float, n: int, confidence: float) -> Interval:
    z = normal_quantile(confidence)
    if n == 0:
        return Interval(math.nan, math.nan)
    centre, value = total / (n + 2), total / n
    half = z * math.sqrt(squares + 1 - total**2 / (n + 2)) / (n + 2)
    # the value is inside but at low confidences
    return Interval(max(-1.0, min(centre - half, value)), min(1.0, max(centre + half, value)))


def newcombe(first: float, first_interval: Interval, second: float, second_interval: Interval) -> Interval:
    """The difference of two numbers measured on different examples, from their own intervals.

    Newcombe, Stat. Med. 17, 1998, p. 873-890, method 10: the distances to the ends are added as squares. NaN where one
    of the intervals is.
    """
    down = math.hypot(first - first_interval.lo, second_interval.hi - second)
    up = math.hypot(first_interval.hi - first, second - second_interval.lo)
    return Interval(first - second - down, first - second + up)


def quantile_interval(values: NDArray[Any], quantile: float, confidence: float = 0.95) -> Interval:
    """Order statistics around a quantile, of any continuous distribution (David & Nagaraja, Order Statistics, 7.1).

    ``values`` has shape (n,), without NaN. An end that n examples cannot give is infinite: with fewer than 72, nothing
    bounds the 95th percentile from above at 95 %. NaN for no values.
    """
    if not 0 < quantile < 1:
        raise UsageError(f"a quantile is > 0 and < 1 (got {quantile})")
    tail = (1 - checked_confidence(confidence)) / 2
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if not n:
        return Interval(math.nan, math.nan)
    logs = np.array([math.lgamma(k + 1) + math.lgamma(n - k + 1) for k in range(n + 1)])
    k = np.arange(n + 1)
    below = np.cumsum(np.exp(math.lgamma(n + 1) - logs + k * math.log(quantile) + (n - k) * math.log1p(-quantile)))
    lower = int((below <= tail).sum())  # the largest rank that is too high with at most the tail's probability
    upper = int((below < 1 - tail).sum()) + 1  # the smallest rank that is high enough
    return Interval(
        float(ordered[lower - 1]) if lower else -math.inf,
        float(ordered[upper - 1]) if upper <= n else math.inf,
    )


def mcnemar(first_only: int, second_only: int) -> float:
    """The mid-p value, two-sided, of McNemar's test that two shares of yes on the same examples are equal.

    X ~ Binomial(first_only + second_only, 1/2), p = 2 P(X <= min) - P(X = min), and 1 - P(X = b)/2 for b = c
    (Fagerland, Lydersen & Laake, BMC Med. Res. Methodol. 13:91, 2013). The exact test is conservative, and so is its
    rule of use below 25 differing examples. 1 where none differs.
    """
    n, fewer = first_only + second_only, min(first_only, second_only)
    if n == 0:
        return 1.0
    term = below = 1  # binomial coefficients, exact whole numbers
    for k in range(1, fewer + 1):
        term = term * (n - k + 1) // k
        below += term
    if first_only == second_only:
        return float(1 - _ratio(term, n) / 2)
    return float(2 * _ratio(below, n) - _ratio(term, n))


def _ratio(count: int, n: int) -> float:
    """count / 2^n, of whole numbers that may be too large for a float."""
    return count / (1 << n)


def detectable_difference(n: int, differing: float, *, power: float = 0.8, confidence: float = 0.95) -> float:
    """The smallest difference of two shares of yes that n paired examples show with this power.

    ``differing`` is the share of examples on which the two differ. NaN where not even a difference of that whole share
    would be shown. The inverse of ``examples_needed``.
    """
    z, z_power = _normal_quantiles(differing, power, confidence)
    reach = n + z_power**2 - z**2
    if n < 1 or reach < 0:
        return math.nan
    found = math.sqrt(differing) * (z * math.sqrt(n) + z_power * math.sqrt(reach)) / (n + z_power**2)
    return found if found <= differing else math.nan


def examples_needed(difference: float, differing: float, *, power: float = 0.8, confidence: float = 0.95) -> int:
    """How many paired examples show a difference of two shares of yes with this power.

    ((z sqrt(pi) + z_power sqrt(pi - d^2)) / d)^2, pi being the share of examples on which the two differ (Connor,
    Biometrics 43, 1987, p. 207-211). Raise UsageError for a difference that is 0 or larger than ``differing``.
    """
    z, z_power = _normal_quantiles(differing, power, confidence)
    if not 0 < difference <= differing:
        raise UsageError(f"a difference is > 0 and at most the share that differs (got {difference} of {differing})")
    root = (z * math.sqrt(differing) + z_power * math.sqrt(differing - difference**2)) / difference
    return math.ceil(root**2)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several (Holm, Scand. J. Stat. 6, 1979, p. 65-70), in the order given.

    Those at most alpha may all be called shown: the chance of one false claim among them is at most alpha.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def normal_quantile(confidence: float) -> float:
    """The z of a two-sided interval: 1.96 for .95. Raise UsageError for a confidence that is not in (0, 1)."""
    return NormalDist().inv_cdf((1 + checked_confidence(confidence)) / 2)


def checked_confidence(confidence: float) -> float:
    """The confidence; UsageError when it is not in (0, 1)."""
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be > 0 and < 1 (got {confidence})")
    return confidence


def _normal_quantiles(differing: float, power: float, confidence: float) -> tuple[float, float]:
    if not 0 < differing <= 1 or not 0.5 <= power < 1:
        raise UsageError(
            f"the share that differs is > 0 and at most 1, power >= 0.5 and < 1 (got {differing}, {power})"
        )
    return normal_quantile(confidence), NormalDist().inv_cdf(power)
