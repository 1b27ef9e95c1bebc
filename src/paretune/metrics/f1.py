"""F1 scores for classification, defined as in scikit-learn with ``zero_division=0``.

For each class F1 = 2 tp / (2 tp + fp + fn), and 0 where a class is neither present nor predicted. ``macro`` is the
plain mean over classes, ``weighted`` the mean by support (tp + fn), ``micro`` the F1 of the counts summed over classes;
None gives one value per class. Every invalid output is a miss (fn) for each of its gold positives. The score of no
examples is NaN.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from paretune.errors import UsageError
from paretune.metrics.base import Array, Metric, Record
from paretune.schemas.data_model import field_labels, is_score
from paretune.schemas.masks import Mask

__all__ = ["Average", "BinaryF1Score", "CategoricalF1Score"]

Average = Literal["micro", "macro", "weighted"] | None


class _F1(Metric):
    """Counts of true positives, false positives and false negatives a class, and of examples: (3 * classes + 1,)."""

    def __init__(
        self,
        average: Average,
        name: str,
        in_mask: Sequence[str] | None,
        out_mask: Sequence[str] | None,
    ) -> None:
        if average not in ("micro", "macro", "weighted", None):
            raise UsageError(f"average must be 'micro', 'macro', 'weighted' or None (got {average!r})")
        self.average = average
        self.name = name
        self.scalar = average is not None
        self.mask = Mask.of(in_mask, out_mask)

    def reduce(self, totals: Array) -> Array:
        counts, examples = totals[..., :-1], totals[..., -1:]
        tp, fp, fn = np.moveaxis(np.reshape(counts, (*np.shape(counts)[:-1], 3, -1)), -2, 0)
        if self.average == "micro":
            tp, fp, fn = (count.sum(axis=-1, keepdims=True) for count in (tp, fp, fn))
        scores: Array = _ratio(2 * tp, 2 * tp + fp + fn)
        if self.average == "weighted":
            support = tp + fn
            scores = _ratio((scores * support).sum(axis=-1, keepdims=True), support.sum(axis=-1, keepdims=True))
        scores = np.where(examples > 0, scores, np.nan)
        return scores if self.average is None else np.asarray(scores.mean(axis=-1))

    def reward(self, y_true: Record, y_pred: Record | None) -> float:
        """The F1 of this example's own positives (scikit-learn's ``average="samples"``), whatever ``average`` is.

        A class average would punish an example for the classes that it has nothing to do with. An example without
        gold positives earns 1.0 when nothing is predicted either.
        """
        tp, fp, fn = self.statistics(y_true, y_pred)[:-1].reshape(3, -1).sum(axis=-1)
        if y_pred is not None and tp + fp + fn == 0:
            return 1.0
        return float(_ratio(2 * tp, 2 * tp + fp + fn))


class BinaryF1Score(_F1):
    """F1 over fields that are one bool or score a class, in the data model's field order.

    A value above ``threshold`` (strictly) is positive.
    """

    def __init__(
        self,
        average: Average = None,
        threshold: float = 0.5,
        name: str = "binary_f1_score",
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
    ) -> None:
        super().__init__(average, name, in_mask, out_mask)
        self.threshold = threshold

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        bound.classes = self.mask.fields(data_model)
        for field in bound.classes:
            if data_model.model_fields[field].annotation not in (bool, float) and not is_score(data_model, field):
                raise UsageError(
                    f"{self.name} needs a bool, Score or float a class; {field!r} of {data_model.__name__!r} is none "
                    "(drop it with out_mask, or use CategoricalF1Score for a Literal field)"
                )
        return bound

    def statistics(self, y_true: Record, y_pred: Record | None) -> Array:
        true = np.array([y_true[field] > self.threshold for field in self.classes])
        pred = np.array([y_pred is not None and y_pred[field] > self.threshold for field in self.classes])
        return _counts(true, pred)


class CategoricalF1Score(_F1):
    """F1 over the labels of one categorical field; ``labels`` come from the ``Literal`` field when not given."""

    def __init__(
        self,
        average: Average = None,
        labels: Sequence[Any] | None = None,
        name: str = "categorical_f1_score",
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
    ) -> None:
        super().__init__(average, name, in_mask, out_mask)
        self.labels = None if labels is None else tuple(labels)
        self.field = ""

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        fields = self.mask.fields(data_model)
        if len(fields) != 1:
            raise UsageError(
                f"{self.name} scores one field, {data_model.__name__!r} has {', '.join(fields)}: choose with in_mask"
            )
        labels = self.labels or field_labels(data_model, fields[0])
        if not labels:
            raise UsageError(f"{self.name}: {fields[0]!r} is no Literal field, so labels=[…] must be given")
        bound.field, bound.classes = fields[0], tuple(labels)
        return bound

    def statistics(self, y_true: Record, y_pred: Record | None) -> Array:
        true = np.array([y_true[self.field] == label for label in self.classes])
        pred = np.array([y_pred is not None and y_pred[self.field] == label for label in self.classes])
        return _counts(true, pred)


def _counts(true: npt.NDArray[np.bool_], pred: npt.NDArray[np.bool_]) -> Array:
    """One example's statistics from the classes that are right and those that were predicted."""
    return np.concatenate([true & pred, ~true & pred, true & ~pred, [True]]).astype(np.float64)


def _ratio(numerator: Any, denominator: Any) -> Array:
    """Division with 0 / 0 = 0."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    ratio: Array = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    return ratio
