"""Resamples of examples, the same ones for whatever they are applied to: one matrix product for any number of measures.

`Bootstrap` counts how often an example is drawn (Efron, Ann. Stat. 7, 1979, p. 1-26); `BayesianBootstrap` weighs it
(Rubin, Ann. Stat. 9, 1981, p. 130-134), so that two trials never tie by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.errors import UsageError
from paretune.stats.formulas import Interval, checked_confidence
from paretune.stats.measure import Array, Measure

__all__ = ["BayesianBootstrap", "Bootstrap", "percentile_interval", "weighted_values"]

_BLOCK_CELLS = 2_000_000  # counts drawn at a time: 16 MB as 64-bit indices
_COLUMNS = 4_000  # statistics that are resampled together: 64 MB of sums for 2,000 resamples
_CACHE_BYTES = 128_000_000  # beyond this the counts are drawn again for each use instead of kept


class Bootstrap:
    """``resamples`` multinomial resamples of ``n`` examples, the same ones for whatever they are applied to.

    Two numbers measured on the same examples with the same `Bootstrap` are compared in pairs. The weights depend on
    ``n``, ``resamples`` and ``seed`` alone. Memory stays below about 200 MB whatever ``n``: large sets of weights are
    drawn block by block, again for each use.
    """

    def __init__(self, n: int, *, resamples: int = 2000, seed: int = 0) -> None:
        """Raise UsageError when ``n`` is negative or ``resamples`` is not positive."""
        if n < 0 or resamples < 1:
            raise UsageError(f"a bootstrap needs n >= 0 and resamples >= 1 (got n={n}, resamples={resamples})")
        self.n = n
        self.resamples = resamples
        self.seed = seed
        self._blocks: list[NDArray[Any]] | None = None

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the (resamples, n) matrix of weights in blocks of rows; each row sums to ``n``."""
        keep = self.resamples * self.n * self._dtype().itemsize <= _CACHE_BYTES
        if self._blocks is None and keep:
            self._blocks = list(self._draw())
        yield from self._draw() if self._blocks is None else self._blocks

    def totals(self, statistics: NDArray[Any]) -> Array:
        """The resampled sums of per-example statistics: (n, k) -> (resamples, k)."""
        rows = np.asarray(statistics, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[0] != self.n:
            raise UsageError(f"statistics must have shape ({self.n}, k) for these resamples (got {rows.shape})")
        return np.concatenate([_totals(block, rows) for block in self.blocks()])

    def values(self, measures: Sequence[Measure]) -> Iterator[Array]:
        """For each measure one value a resample, shape (resamples,); NaN where the value is undefined."""
        return _values(measures, self.totals)

    def draws(self, trials: Sequence[Sequence[Measure]]) -> Array:
        """The values of m measures of each of t trials in each resample, shape (resamples, t, m)."""
        measures = [measure for group in trials for measure in group]
        found = np.empty((self.resamples, len(measures)))
        for place, values in enumerate(self.values(measures)):
            found[:, place] = values
        return found.reshape(self.resamples, len(trials), len(measures) // max(1, len(trials)))

    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16 if self.n <= np.iinfo(np.uint16).max else np.uint32)

    def _draw(self) -> Iterator[NDArray[Any]]:
        rng = np.random.default_rng(self.seed)
        for size in self._sizes():
            drawn = rng.integers(0, max(self.n, 1), size=(size, self.n), dtype=np.int64)
            drawn += np.arange(size, dtype=np.int64)[:, None] * self.n
            counts = np.bincount(drawn.ravel(), minlength=size * self.n)
            yield counts.reshape(size, self.n).astype(self._dtype())

    def _sizes(self) -> Iterator[int]:
        rows = max(1, _BLOCK_CELLS // max(self.n, 1))
        for start in range(0, self.resamples, rows):
            yield min(rows, self.resamples - start)


class BayesianBootstrap(Bootstrap):
    """The same with exponential weights in place of counts; no example's weight is ever 0."""

    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float64)

    def _draw(self) -> Iterator[NDArray[Any]]:
        rng = np.random.default_rng(self.seed)
        for size in self._sizes():
            weights = rng.exponential(size=(size, self.n))
            yield weights * (self.n / weights.sum(axis=1, keepdims=True))


def weighted_values(measures: Sequence[Measure], weights: NDArray[Any]) -> Array:
    """The values of some measures under weights of their n examples: (draws, n) -> (draws, measures)."""
    found = np.empty((len(weights), len(measures)))
    for place, values in enumerate(_values(measures, lambda statistics: _totals(weights, statistics))):
        found[:, place] = values
    return found


def percentile_interval(values: NDArray[Any], confidence: float = 0.95) -> Interval:
    """The central ``confidence`` share of bootstrap values, shape (resamples,) (Efron, Ann. Stat. 7, 1979).

    A NaN says that the value is undefined in that resample. Such resamples are left out, and when they are more than
    ``1 - confidence`` of all, or there are no values, no interval is given: both ends are NaN.
    """
    tail = (1 - checked_confidence(confidence)) / 2
    defined = np.asarray(values, dtype=np.float64)
    total = defined.size
    defined = defined[~np.isnan(defined)]
    if total == 0 or total - defined.size > total * 2 * tail:
        return Interval(math.nan, math.nan)
    lo, hi = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(lo), float(hi))


def _totals(weights: NDArray[Any], rows: Array) -> Array:
    columns = rows.T  # resamples side by side in memory: reducing a few statistics of each is then much faster
    with np.errstate(invalid="ignore"):  # a NaN in the statistics is a NaN in the totals, nothing more
        # Counts of 80 examples are 50 times smaller than a float matrix: converted here, one block at a time.
        return np.asarray((columns @ weights.T.astype(np.float64)).T)


def _values(measures: Sequence[Measure], totals_of: Callable[[Array], Array]) -> Iterator[Array]:
    """One value a draw for each measure.

    The weights are multiplied with the statistics of many measures at once: with one after the other, most of the
    time would go into converting the counts. Metrics of one kind differ in their reductions alone: equal statistics
    are multiplied once.
    """
    for group in _grouped(measures):
        keys = [(measure.statistics.shape, measure.statistics.tobytes()) for measure in group]
        distinct = dict(zip(keys, (measure.statistics for measure in group), strict=True))
        totals = totals_of(np.concatenate(list(distinct.values()), axis=1))
        ends = np.cumsum([statistics.shape[1] for statistics in distinct.values()])
        parts = dict(zip(distinct, np.split(totals, ends[:-1], axis=1), strict=True))
        for measure, key in zip(group, keys, strict=True):
            yield measure.reduced(parts[key])


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
