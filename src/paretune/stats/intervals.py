"""Intervals of means, ratios and F1 scores: Wilson for proportions, a paired bootstrap over examples for the rest.

An interval that cannot be known is ``Interval(nan, nan)``, never a guess: no example at all, a single example where a
bootstrap would be needed (its resamples are all alike and would claim certainty), or a value that is undefined in
more than ``1 - confidence`` of the resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from paretune.errors import UsageError
from paretune.stats.measure import Measure

__all__ = [
    "Array",
    "Bootstrap",
    "Interval",
    "difference_interval",
    "intervals_of",
    "percentile_interval",
    "wilson",
]

Array: TypeAlias = NDArray[np.float64]

_BLOCK_CELLS = 2_000_000  # counts drawn at a time: 16 MB as 64-bit indices
_COLUMNS = 4_000  # statistics that are resampled together: 64 MB of sums for 2,000 resamples
_CACHE_BYTES = 128_000_000  # beyond this the counts are drawn again for each use instead of kept


class Interval(NamedTuple):
    """A confidence interval, both ends in the unit of the value; both NaN when nothing can be said."""

    lo: float
    hi: float


class Bootstrap:
    """``resamples`` multinomial resamples of ``n`` examples, the same ones for whatever they are applied to.

    Two numbers measured on the same examples with the same `Bootstrap` are compared in pairs. The counts depend on
    ``n``, ``resamples`` and ``seed`` alone. Memory stays below about 200 MB whatever ``n``: large sets of counts are
    drawn block by block, again for each use.
    """

    def __init__(self, n: int, *, resamples: int = 2000, seed: int = 0) -> None:
        """Raise UsageError when ``n`` is negative or ``resamples`` is not positive."""
        if n < 0 or resamples < 1:
            raise UsageError(f"a bootstrap needs n >= 0 and resamples >= 1 (got n={n}, resamples={resamples})")
        self.n = n
        self.resamples = resamples
        self.seed = seed
        self._dtype = np.uint16 if n <= np.iinfo(np.uint16).max else np.uint32
        self._keep = resamples * n * np.dtype(self._dtype).itemsize <= _CACHE_BYTES
        self._blocks: list[NDArray[Any]] | None = None

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the (resamples, n) matrix of counts in blocks of rows; each row sums to ``n``."""
        if self._blocks is None and self._keep:
            self._blocks = list(self._draw())
        yield from self._draw() if self._blocks is None else self._blocks

    def totals(self, statistics: NDArray[Any]) -> Array:
        """The resampled sums of per-example statistics: (n, k) -> (resamples, k)."""
        rows = np.asarray(statistics, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[0] != self.n:
            raise UsageError(f"statistics must have shape ({self.n}, k) for these resamples (got {rows.shape})")
        columns = rows.T  # resamples side by side in memory: reducing a few statistics of each is then much faster
        # Counts of 80 examples are 50 times smaller than a float matrix: convert one block at a time.
        with np.errstate(invalid="ignore"):  # a NaN in the statistics is a NaN in the totals, nothing more
            return np.concatenate([columns @ block.T.astype(np.float64) for block in self.blocks()], axis=1).T

    def values(self, measures: Sequence[Measure]) -> Iterator[Array]:
        """For each measure one value a resample, shape (resamples,); NaN where the value is undefined.

        The counts are multiplied with the statistics of many measures at once: with one after the other, most of the
        time would go into converting the counts. Metrics of one kind differ in their reductions alone: equal statistics
        are multiplied once.
        """
        for group in _grouped(measures):
            keys = [(measure.statistics.shape, measure.statistics.tobytes()) for measure in group]
            distinct = dict(zip(keys, (measure.statistics for measure in group), strict=True))
            totals = self.totals(np.concatenate(list(distinct.values()), axis=1))
            ends = np.cumsum([statistics.shape[1] for statistics in distinct.values()])
            parts = dict(zip(distinct, np.split(totals, ends[:-1], axis=1), strict=True))
            for measure, key in zip(group, keys, strict=True):
                yield measure.reduced(parts[key])

    def _draw(self) -> Iterator[NDArray[Any]]:
        rng = np.random.default_rng(self.seed)
        rows = max(1, _BLOCK_CELLS // max(self.n, 1))
        for start in range(0, self.resamples, rows):
            size = min(rows, self.resamples - start)
            drawn = rng.integers(0, max(self.n, 1), size=(size, self.n), dtype=np.int64)
            drawn += np.arange(size, dtype=np.int64)[:, None] * self.n
            counts = np.bincount(drawn.ravel(), minlength=size * self.n)
            yield counts.reshape(size, self.n).astype(self._dtype)


def _grouped(measures: Sequence[Measure]) -> Iterator[list[Measure]]:
    """The measures in their order, in groups of so many columns as are resampled together."""
    group: list[Measure] = []
    columns = 0
    for measure in measures:
        if group and columns + measure.statistics.shape[1] > _COLUMNS:
            yield group
            group, columns = [], 0
        group.append(measure)
        columns += measure.statistics.shape[1]
    if group:
        yield group


def wilson(successes: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson, JASA 22, 1927, p. 209-212), inside [0, 1].

    Unlike the textbook p +- z*sqrt(p(1-p)/n) it does not collapse to a point at 0 or n successes. With ``n = 0``
    nothing is known: both ends are NaN. Raise UsageError when ``successes`` is outside [0, n].
    """
    z = NormalDist().inv_cdf((1 + _checked(confidence)) / 2)
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


def percentile_interval(values: NDArray[Any], confidence: float = 0.95) -> Interval:
    """The central ``confidence`` share of bootstrap values, shape (resamples,) (Efron, Ann. Stat. 7, 1979).

    A NaN says that the value is undefined in that resample. Such resamples are left out, and when they are more than
    ``1 - confidence`` of all, or there are no values, no interval is given: both ends are NaN.
    """
    tail = (1 - _checked(confidence)) / 2
    defined = np.asarray(values, dtype=np.float64)
    total = defined.size
    defined = defined[~np.isnan(defined)]
    if total == 0 or total - defined.size > total * 2 * tail:
        return Interval(math.nan, math.nan)
    lo, hi = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(lo), float(hi))


def intervals_of(measures: Sequence[Measure], bootstrap: Bootstrap, confidence: float = 0.95) -> list[Interval]:
    """The interval of each measure: Wilson for a proportion of yes and no, the bootstrap's percentiles otherwise.

    A proportion of yes and no is a measure with ``proportion`` whose scored examples are each worth 0 or 1 (an
    exact-match reward); its n is the number of scored examples.
    """
    known = [_proportion_interval(measure, confidence) for measure in measures]
    others = [measure for measure, interval in zip(measures, known, strict=True) if interval is None]
    if bootstrap.n <= 1:
        return [interval or Interval(math.nan, math.nan) for interval in known]
    values = bootstrap.values(others)
    return [interval or percentile_interval(next(values), confidence) for interval in known]


def _proportion_interval(measure: Measure, confidence: float) -> Interval | None:
    if measure.proportion:
        alone = measure.reduced(measure.statistics)
        hits = alone[~np.isnan(alone)]
        if hits.size and np.isin(hits, (0.0, 1.0)).all():
            return wilson(float(hits.sum()), hits.size, confidence)
    return None


def difference_interval(first: Measure, second: Measure, bootstrap: Bootstrap, confidence: float = 0.95) -> Interval:
    """The percentile interval of ``first.value - second.value``, paired: both on the same examples, row by row.

    Resamples in which either value is undefined are treated as in `percentile_interval`; a single example gives no
    interval.
    """
    if bootstrap.n <= 1:
        return Interval(math.nan, math.nan)
    one, other = bootstrap.values([first, second])
    return percentile_interval(one - other, confidence)


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be > 0 and < 1 (got {confidence})")
    return confidence
