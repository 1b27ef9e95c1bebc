"""The interval of each measure and of each paired difference, by what is known of the number.

============================  ==================================================================================
share, worth 0 to 1           Wilson; of scores and replicates on an effective n (``benchmarks/``: coverage, recorded)
other share, mean             below 100 examples the bootstrap's t (Efron & Tibshirani, 1993, 12.5), then percentiles
smooth function of counts     plus-delta: every F1, precision, recall and accuracy of classes, averaged or not
anything else                 percentiles of the bootstrap
paired, worth 0 to 1          Agresti-Min, of scores too
other pairs                   percentiles of the bootstrap
============================  ==================================================================================

An interval that cannot be known is ``Interval(nan, nan)``, never a guess and never a point: no example, a value that
is undefined in more than ``1 - confidence`` of the resamples, fewer than 20 amounts that are all equal. (From 20 on,
amounts that are all equal are believed: a free model costs nothing.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from paretune.stats.formulas import Interval, effective_n, mcnemar, normal_quantile, paired_scores, wilson
from paretune.stats.measure import Array, Measure
from paretune.stats.resampling import Bootstrap, percentile_interval

__all__ = ["Difference", "difference", "intervals_of", "plus_delta"]

_UNKNOWN = Interval(math.nan, math.nan)
_FEW = 100  # examples below which percentiles of a skewed mean hold the truth too seldom
_CERTAIN = 20  # equal amounts that are believed
_STEP = 1e-4  # of an example: where a gradient is measured


class Difference(NamedTuple):
    """``first - second`` on the ``n`` examples that both scored, with its interval; ``p_value`` is McNemar's (mid-p) of
    answers that are yes or no, else NaN."""

    value: float
    lo: float
    hi: float
    n: int
    p_value: float


def intervals_of(measures: Sequence[Measure], bootstrap: Bootstrap, confidence: float = 0.95) -> list[Interval]:
    """The interval of each measure, see above; all on the same resamples."""
    found = [_closed_form(measure, confidence) for measure in measures]
    if bootstrap.n <= 1:
        return [interval or _UNKNOWN for interval in found]
    waiting = [measure for measure, interval in zip(measures, found, strict=True) if interval is None]
    values = bootstrap.values([_studentised(measure) if _is_small(measure) else measure for measure in waiting])
    return [
        _resampled(measure, next(values), confidence) if interval is None else interval
        for measure, interval in zip(measures, found, strict=True)
    ]


def difference(first: Measure, second: Measure, bootstrap: Bootstrap, confidence: float = 0.95) -> Difference:
    """``first`` minus ``second``, paired: both on the same examples, row by row, those that both scored."""
    common = first.scored & second.scored
    n = int(common.sum())
    if _is_bounded(first) and _is_bounded(second):
        one, other = first.example_values[common], second.example_values[common]
        binary = n > 0 and _binary(one) and _binary(other)
        p_value = mcnemar(int((one > other).sum()), int((one < other).sum())) if binary else math.nan
        value = float(np.mean(one - other)) if n else math.nan
        return Difference(value, *paired_scores(one - other, confidence), n, p_value)
    pair = [replace(each, statistics=np.where(common[:, None], each.statistics, 0.0)) for each in (first, second)]
    ends = _UNKNOWN
    if n > 1:
        one, other = bootstrap.values(pair)
        ends = percentile_interval(one - other, confidence)
        ends = _UNKNOWN if ends.lo == ends.hi else ends
    return Difference(pair[0].value - pair[1].value, *ends, n, math.nan)


def plus_delta(measure: Measure, confidence: float = 0.95) -> Interval:
    """The delta method on the examples and some pseudo-examples, cut to [0, 1].

    The linearised value of an example is the gradient of the reduction at the totals times its statistics, and the
    variance the sum of the squares, as for every function of shares (Agresti, Categorical Data Analysis, 16.1). With
    the pseudo-examples no class is without a right or a wrong answer, so that the width is never 0.
    """
    assert measure.pseudo is not None
    rows = np.concatenate([measure.statistics, measure.pseudo.rows])
    weights = np.concatenate([np.ones(len(measure.statistics)), measure.pseudo.weights])
    totals = weights @ rows
    steps = _STEP * np.eye(len(totals))
    above, below = np.split(measure.reduced(totals + np.concatenate([steps, -steps])), 2)
    influence = rows @ ((above - below) / (2 * _STEP))
    half = normal_quantile(confidence) * math.sqrt(weights @ influence**2)
    centre, value = float(measure.reduced(totals)), measure.value
    return Interval(max(0.0, min(centre - half, value)), min(1.0, max(centre + half, value)))


def _closed_form(measure: Measure, confidence: float) -> Interval | None:
    """The interval that needs no resamples; None where they are needed."""
    value = measure.value
    if math.isnan(value):
        return _UNKNOWN
    if measure.pseudo is not None:
        return plus_delta(measure, confidence)
    if measure.kind == "other":
        return None
    if _is_bounded(measure):
        n = equivalent_n(measure)
        return wilson(min(value, 1.0) * n, n, confidence)
    values = measure.example_values[measure.scored]
    constant = bool(np.ptp(values) <= 1e-12 * abs(value))
    if constant:
        return Interval(value, value) if len(values) >= _CERTAIN else _UNKNOWN
    return None


def _resampled(measure: Measure, values: Array, confidence: float) -> Interval:
    """The interval from what the resamples gave: the measure itself, or its distance in standard errors."""
    n = int(measure.scored.sum())
    lo, hi = percentile_interval(values, confidence)
    if not _is_small(measure):
        return _UNKNOWN if lo == hi and n < _CERTAIN else Interval(lo, hi)
    value = measure.value
    if math.isnan(lo):  # most resamples hold one amount only
        return _UNKNOWN
    error = float(_standard_error(_with_products(measure).sum(axis=0)))
    least = 0.0 if (measure.statistics >= 0).all() else -math.inf
    return Interval(max(least, min(value - hi * error, value)), max(value - lo * error, value))


def _studentised(measure: Measure) -> Measure:
    """How far a resample's mean lies from the measured one, in the resample's own standard errors."""
    value, k = measure.value, measure.statistics.shape[1]

    def t(totals: Array) -> Array:
        found = (measure.reduced(totals[..., :k]) - value) / _standard_error(totals)
        return np.where(np.isfinite(found), found, np.nan)

    return Measure(measure.name, measure.direction, _with_products(measure), t)


def _with_products(measure: Measure) -> Array:
    """The statistics z of a mean, (n, k), and the products of any two of them: (n, k + k * k)."""
    z = measure.statistics
    return np.concatenate([z, np.einsum("ni,nj->nij", z, z).reshape(len(z), -1)], axis=1)


def _standard_error(totals: Array) -> Array:
    """Of a mean of ratios, from summed z and products: its square is the sum of (g z)^2 = g' (sum of z z') g, with g
    the gradient of the mean at the totals (the delta method)."""
    k = math.isqrt(totals.shape[-1])  # k + k^2 lies between k^2 and (k + 1)^2
    amounts, counts = totals[..., 0:k:2], totals[..., 1:k:2]
    gradient = np.stack([1 / counts, -amounts / counts**2], axis=-1).reshape(*totals.shape[:-1], k) / (k // 2)
    products = totals[..., k:].reshape(*totals.shape[:-1], k, k)
    squared = np.einsum("...i,...ij,...j->...", gradient, products, gradient)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def _is_small(measure: Measure) -> bool:
    return measure.kind != "other" and int(measure.scored.sum()) < _FEW


def equivalent_n(measure: Measure) -> float:
    """How many yes-or-no answers a share of examples worth 0 to 1 is measured by; see ``effective_n``."""
    answers = float(measure.pairs[..., 1].sum()) if _binary(measure.pairs) else math.inf
    return effective_n(measure.example_values[measure.scored], answers)


def _is_bounded(measure: Measure) -> bool:
    """Whether it is a share of examples worth 0 to 1."""
    amounts = measure.pairs[..., 0] if measure.kind == "share" else np.array([np.nan])
    return bool(((amounts >= 0) & (amounts <= 1)).all())


def _binary(values: Array) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())
