"""A number over examples in the form that statistics need: what each example adds, and what becomes of the sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Direction", "Measure"]

#: Which way is better.
Direction = Literal["max", "min"]


@dataclass(frozen=True)
class Measure:
    """A named number over n examples (a reward, an F1 score, tokens per request).

    ``statistics`` has shape (n, k): one row an example, all zeros for an example that could not be scored, which so
    takes no part. ``reduce`` maps totals of shape (..., k) to values of shape (...); NaN where the value is undefined.
    ``proportion``: the value is the mean of what each example alone is worth, which may be yes or no.
    """

    name: str
    direction: Direction
    statistics: NDArray[np.float64]
    reduce: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    proportion: bool = False

    @property
    def value(self) -> float:
        """The measure over all examples; NaN where nothing could be measured."""
        return float(self.reduced(self.statistics.sum(axis=0)))

    def reduced(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """The values of totals; 0/0 is how an undefined one looks, and no warning about it is wanted."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.reduce(totals), dtype=np.float64)
