"""What a metric is: a vector of statistics for each example, and a reduction of their sum.

Written this way, a metric needs one pass over the examples, and a bootstrap of any metric is one matrix product: the
reduction of ``weights @ statistics``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from pydantic import BaseModel

from paretune.configurable import Configurable
from paretune.errors import UsageError
from paretune.stats.measure import Array, Direction, Kind, PseudoExamples

__all__ = ["Array", "Metric", "Record", "mean"]

#: A record as plain JSON values.
Record = Mapping[str, Any]


def mean(totals: Array) -> Array:
    """Sum over count, for statistics of (value, 1): (..., 2) -> (...); NaN without a count."""
    total, count = totals[..., 0], totals[..., 1]
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


class Metric(Configurable, ABC):
    """Base class of metrics.

    ``name`` is how the metric is called in histories and objectives (there with ``val_`` in front), ``direction`` says
    what is better, ``kind`` what is known of its intervals. ``scalar`` is False for a metric that reports one value per
    class, of ``classes`` once bound.
    """

    name: str
    direction: Direction = "max"
    kind: Kind = "other"
    scalar: bool = True
    classes: tuple[Any, ...] = ()

    def bind(self, data_model: type[BaseModel]) -> Self:
        """Learn the fields from the data model of the gold records; raises UsageError when they do not fit."""
        return self

    @abstractmethod
    def statistics(self, y_true: Record, y_pred: Record | None) -> Array:
        """One example's statistics, shape (k,). ``y_pred`` is None for an invalid output, which counts as wrong."""

    @abstractmethod
    def reduce(self, totals: Array) -> Array:
        """The metric's value from summed statistics: (..., k) -> (...), or (..., classes) when not ``scalar``."""

    def pseudo_examples(self, statistics: Array) -> PseudoExamples | None:
        """For a smooth function of counts, what is added to the ``statistics`` (n, k) for its interval."""
        return None

    def rare_classes(self, y_true: Sequence[Record], least: int = 5) -> dict[Any, int]:
        """The classes with fewer than ``least`` gold examples, and how many these are: too few for an interval to mean
        much. Empty for a metric without classes."""
        return {}

    def reward(self, y_true: Record, y_pred: Record | None) -> float:
        """This metric as a reward: the score of one example alone."""
        return float(self.reduce(self.statistics(y_true, y_pred)))

    def __call__(self, y_true: Sequence[Any], y_pred: Sequence[Any]) -> Any:
        """The metric over sequences of data models (None in ``y_pred`` is an invalid output).

        Returns a float, or a list of floats for a metric per class. Raises UsageError for empty or unequal sequences.
        """
        if len(y_true) != len(y_pred) or not len(y_true):
            raise UsageError(f"{self.name} needs as many predictions as examples (got {len(y_true)} and {len(y_pred)})")
        for record in (*y_true, *y_pred):
            if not hasattr(record, "get_json") and record is not None:
                raise UsageError(f"{self.name} compares records of a DataModel (got a {type(record).__name__})")
        bound = self.bind(type(y_true[0]))
        rows = [
            bound.statistics(true.get_json(), None if pred is None else pred.get_json())
            for true, pred in zip(y_true, y_pred, strict=True)
        ]
        return bound.reduce(np.sum(rows, axis=0)).tolist()
