"""A number over examples in the form that statistics need: what each example adds, and what becomes of the sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Direction", "Kind", "Measure", "PseudoExamples"]

Array: TypeAlias = NDArray[np.float64]

#: Which way is better.
Direction = Literal["max", "min"]

#: What is known of a number beyond its reduction, and so which interval fits it:
#: ``share``: the mean of what each example is worth, in [0, 1] as a rule, and often yes or no (a reward);
#: ``mean``: a ratio of sums, of amounts that may be skewed (dollars an example, tokens a call); ``other``: anything.
#: The statistics of the first two are pairs (amount, count), one pair a replicate.
Kind = Literal["share", "mean", "other"]


class PseudoExamples(NamedTuple):
    """Parts of examples that are added to those seen, so that what did not happen is not taken for impossible.

    ``rows`` has shape (m, k), as a measure's statistics; ``weights`` has shape (m,), in examples.
    """

    rows: Array
    weights: Array


@dataclass(frozen=True)
class Measure:
    """A named number over n examples (a reward, an F1 score, tokens per request).

    ``statistics`` has shape (n, k): one row an example, all zeros for an example that could not be scored, which so
    takes no part. ``reduce`` maps totals of shape (..., k) to values of shape (...); NaN where the value is undefined.
    ``pseudo`` is there for a smooth function of counts, such as an F1 score: see ``plus_delta``.
    """

    name: str
    direction: Direction
    statistics: Array
    reduce: Callable[[Array], Array]
    kind: Kind = "other"
    pseudo: PseudoExamples | None = None

    @property
    def value(self) -> float:
        """The measure over all examples; NaN where nothing could be measured."""
        return float(self.reduced(self.statistics.sum(axis=0)))

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which examples take part, shape (n,)."""
        return np.asarray(self.statistics.any(axis=1))

    @property
    def pairs(self) -> Array:
        """The statistics of a share or a mean as (n, replicates, 2): amount and count."""
        return self.statistics.reshape(len(self.statistics), -1, 2)

    @property
    def example_values(self) -> Array:
        """What each example alone is worth, of a share or a mean, over its replicates: (n,); NaN where not scored."""
        amounts, counts = self.pairs.sum(axis=1).T
        values: Array = np.divide(amounts, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        return values

    def reduced(self, totals: NDArray[Any]) -> Array:
        """The values of totals; 0/0 is how an undefined one looks, and no warning about it is wanted."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.reduce(totals), dtype=np.float64)
