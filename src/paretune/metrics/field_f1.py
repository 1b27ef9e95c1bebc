"""FieldF1: how many of the values in records are found, and how many of those given are right."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel

from paretune.errors import UsageError
from paretune.metrics.metric import Array, Metric, Record
from paretune.schemas.comparing import Comparison, Found, accepted, comparisons_of, matches_in
from paretune.schemas.masks import Mask

__all__ = ["FieldF1"]


class FieldF1(Metric):
    """F1 of the values that records hold: 2 right / (gold + given), the counts summed over the examples.

    A plain field that is not None counts one value, a list one for each item, a record those of its fields. So a None
    that is right counts nothing, a value in the place of None is one given too many, None in the place of a value one
    missed, and a wrong value is both. How values are compared is said in ``FieldMatch``; what is partly right counts
    as a part. An invalid output gives no value. The score is 1.0 where there is nothing to find and nothing is given,
    and NaN for no examples. As a reward it is the score of the example alone.

    ``average``: ``micro`` sums the counts over the fields too, ``macro`` is the mean of the fields' own scores; None
    gives one value a field.
    """

    name = "field_f1"

    def __init__(
        self,
        average: Literal["micro", "macro"] | None = "micro",
        name: str | None = None,
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
    ) -> None:
        if average not in ("micro", "macro", None):
            raise UsageError(f"average must be 'micro', 'macro' or None (got {average!r})")
        self.average = average
        self.name = type(self).name if name is None else name
        self.scalar = average is not None
        self.mask = Mask.of(in_mask, out_mask)
        self._compared: dict[str, tuple[Comparison, float]] = {}

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        bound.classes = self.mask.fields(data_model)
        bound._compared = comparisons_of(data_model, bound.classes)
        arguments, keywords = self._arguments
        bound._arguments = arguments, {**keywords, "matches": matches_in(data_model)}
        return bound

    def statistics(self, y_true: Record, y_pred: Record | None) -> Array:
        """What was right, gold and given of each field, and 1: shape (3 * fields + 1,)."""
        found = [self._found(name, y_true, y_pred or {}) for name in self.classes]
        return np.array([*(number for one in found for number in one), 1.0], np.float64)

    def _found(self, name: str, y_true: Record, y_pred: Record) -> Found:
        one = self._compared[name][0]
        return max((one.found(gold, y_pred.get(name)) for gold in accepted(y_true, name)), key=lambda found: found.f1)

    def reduce(self, totals: Array) -> Array:
        counts = totals[..., :-1].reshape(*totals.shape[:-1], -1, 3)
        if self.average == "micro":
            counts = counts.sum(axis=-2, keepdims=True)
        right, values = counts[..., 0], counts[..., 1] + counts[..., 2]
        scores: Any = np.divide(2 * right, values, out=np.ones_like(right), where=values > 0)
        scores = np.where(totals[..., -1:] > 0, scores, np.nan)
        return np.asarray(scores if self.average is None else scores.mean(axis=-1))
