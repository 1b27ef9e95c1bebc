"""Precision, recall, F1 and accuracy of classifications, defined as in scikit-learn with ``zero_division=0``.

For each class, from its true and false positives and negatives over n examples:

    precision   tp / (tp + fp)
    recall      tp / (tp + fn)
    F1          2 tp / (2 tp + fp + fn)
    accuracy    of one yes or no a class (Binary…, and Categorical… of a list of labels): (tp + tn) / n
                of one label an example (Categorical…): tp / (tp + fn), over the examples of the class

and 0 for 0 / 0: where a class is neither present nor predicted, and, for precision, never predicted. ``average``:
``macro`` is the plain mean over classes, ``weighted`` the mean by support (tp + fn), ``micro`` the same quotient of the
counts summed over classes; None gives one value per class. So with one label an example, ``micro`` accuracy is the
share of examples answered rightly, and ``macro`` accuracy the balanced accuracy (with 0 for a class without examples).

The labels of a categorical field are the values of its ``Literal`` or Enum, None among them where the field may be
None: it is an answer like the others (scikit-learn's scores with a further label for it; ``labels=[…]`` can leave it
out). A list, tuple or set of labels counts as a set, as one yes or no a label (scikit-learn's multilabel indicators);
where there is none at all (``list[…] | None``), as an empty one.

Every invalid output is a miss (fn) for each of its gold positives, no true negative, and no false positive. The score
of no examples is NaN.

As a reward these metrics score one example by its own positives (scikit-learn's ``average="samples"``), whatever
``average`` is: a class average would punish an example for the classes that it has nothing to do with. An example
without gold positives earns 1.0 when nothing is predicted either, else 0.0.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel

from paretune.errors import UsageError
from paretune.metrics.counts import Counts, Flags, pseudo_examples, statistics_of
from paretune.metrics.labels import classes_of, is_label
from paretune.metrics.metric import Array, Metric, Record
from paretune.metrics.wrapper import as_number
from paretune.schemas.data_model import is_score
from paretune.schemas.masks import Mask
from paretune.stats.measure import PseudoExamples

__all__ = [
    "Average",
    "BinaryAccuracy",
    "BinaryF1Score",
    "BinaryPrecision",
    "BinaryRecall",
    "CategoricalAccuracy",
    "CategoricalF1Score",
    "CategoricalPrecision",
    "CategoricalRecall",
]

Average = Literal["micro", "macro", "weighted"] | None


class _Classification(Metric):
    """A quotient of counts a class, averaged. The kind of fields and the quotient are mixed in."""

    def __init__(
        self,
        average: Average = None,
        name: str | None = None,
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
    ) -> None:
        if average not in ("micro", "macro", "weighted", None):
            raise UsageError(f"average must be 'micro', 'macro', 'weighted' or None (got {average!r})")
        self.average = average
        self.name = type(self).name if name is None else name
        self.scalar = average is not None
        self.mask = Mask.of(in_mask, out_mask)

    @abstractmethod
    def quotient(self, counts: Counts) -> tuple[Array, Array]:
        """Numerator and denominator of the score."""

    @abstractmethod
    def decisions(self, record: Record) -> Flags:
        """The classes that a record says yes to."""

    def statistics(self, y_true: Record, y_pred: Record | None) -> Array:
        true = self.decisions(y_true)
        pred = np.zeros_like(true) if y_pred is None else self.decisions(y_pred)
        return statistics_of(true, pred, valid=y_pred is not None)

    def reduce(self, totals: Array) -> Array:
        counts = Counts.of(totals)
        scores = _ratio(*self.quotient(counts.pooled() if self.average == "micro" else counts))
        if self.average == "weighted":
            support = counts.tp + counts.fn
            scores = _ratio((scores * support).sum(axis=-1, keepdims=True), support.sum(axis=-1, keepdims=True))
        scores = np.where(totals[..., -1:] > 0, scores, np.nan)
        return scores if self.average is None else np.asarray(scores.mean(axis=-1))

    def pseudo_examples(self, statistics: Array) -> PseudoExamples:
        return pseudo_examples(statistics)

    def rare_classes(self, y_true: Sequence[Record], least: int = 5) -> dict[Any, int]:
        support = sum((self.decisions(record) for record in y_true), np.zeros(len(self.classes), dtype=np.int64))
        return {label: int(n) for label, n in zip(self.classes, support, strict=True) if n < least}

    def reward(self, y_true: Record, y_pred: Record | None) -> float:
        counts = Counts.of(self.statistics(y_true, y_pred)).pooled()
        if y_pred is not None and not (counts.tp + counts.fp + counts.fn).any():
            return 1.0
        return float(_ratio(*self.quotient(counts))[0])


class _Precision(_Classification):
    def quotient(self, counts: Counts) -> tuple[Array, Array]:
        return counts.tp, counts.tp + counts.fp


class _Recall(_Classification):
    def quotient(self, counts: Counts) -> tuple[Array, Array]:
        return counts.tp, counts.tp + counts.fn


class _F1(_Classification):
    def quotient(self, counts: Counts) -> tuple[Array, Array]:
        return 2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn


class _Binary(_Classification):
    """Fields that are one bool or score a class, in the data model's field order."""

    def __init__(
        self,
        average: Average = None,
        threshold: float = 0.5,
        name: str | None = None,
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
    ) -> None:
        super().__init__(average, name, in_mask, out_mask)
        if not math.isfinite(as_number(threshold)):
            raise UsageError(f"{self.name}: threshold must be a number (got {threshold!r})")
        self.threshold = threshold

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        bound.classes = self.mask.fields(data_model)
        for field in bound.classes:
            if data_model.model_fields[field].annotation not in (bool, float) and not is_score(data_model, field):
                other = type(self).__name__.replace("Binary", "Categorical")
                raise UsageError(
                    f"{self.name} needs a bool, Score or float a class; {field!r} of {data_model.__name__!r} is none "
                    f"(drop it with out_mask, or use {other} for a Literal field)"
                )
        return bound

    def decisions(self, record: Record) -> Flags:
        return np.array([record[field] > self.threshold for field in self.classes])


class _Categorical(_Classification):
    """The labels of one categorical field."""

    def __init__(
        self,
        average: Average = None,
        labels: Sequence[Any] | None = None,
        name: str | None = None,
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
    ) -> None:
        super().__init__(average, name, in_mask, out_mask)
        if isinstance(labels, str):
            raise UsageError(f"{self.name}: labels must be a list (got the string {labels!r})")
        self.labels = None if labels is None else tuple(labels)
        self.field = ""
        #: Whether the field holds several labels.
        self.many = False

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        bound.field, *more = self.mask.fields(data_model)
        if more:
            fields = ", ".join((bound.field, *more))
            raise UsageError(f"{self.name} scores one field, {data_model.__name__!r} has {fields}: choose with in_mask")
        bound.classes, bound.many = classes_of(data_model, bound.field, self.labels, self.name)
        return bound

    def decisions(self, record: Record) -> Flags:
        value = record[self.field]
        found = (value or ()) if self.many else (value,)
        return np.array([any(is_label(each, label) for each in found) for label in self.classes])


class BinaryPrecision(_Binary, _Precision):
    """How often a yes is right, over fields that are one bool or score a class: tp / (tp + fp).

    A value above ``threshold`` (strictly) is a yes. A class that is never predicted has precision 0.
    """

    name = "binary_precision"


class BinaryRecall(_Binary, _Recall):
    """How much of what is there is found, over fields that are one bool or score a class: tp / (tp + fn).

    A value above ``threshold`` (strictly) is a yes. A class without examples has recall 0.
    """

    name = "binary_recall"


class BinaryF1Score(_Binary, _F1):
    """F1 over fields that are one bool or score a class: 2 tp / (2 tp + fp + fn).

    A value above ``threshold`` (strictly) is a yes. A class neither present nor predicted has F1 0.
    """

    name = "binary_f1_score"


class BinaryAccuracy(_Binary):
    """How many yes-or-no decisions are right, over fields that are one bool or score a class: (tp + tn) / n.

    A value above ``threshold`` (strictly) is a yes; an invalid output decides nothing rightly. Every class has as many
    decisions, so ``micro`` equals ``macro``. Where most answers are no, always saying no scores high: look at F1 too.
    To have every class of an example right is ``ExactMatch``.
    """

    name = "binary_accuracy"

    def quotient(self, counts: Counts) -> tuple[Array, Array]:
        return counts.tp + counts.tn, counts.n


class CategoricalPrecision(_Categorical, _Precision):
    """How often a label is right where it is given: tp / (tp + fp); 0 for a label that is never given.

    ``labels`` come from the ``Literal`` field when not given.
    """

    name = "categorical_precision"


class CategoricalRecall(_Categorical, _Recall):
    """How many of a label's examples are answered rightly: tp / (tp + fn); 0 for a label without examples.

    ``labels`` come from the ``Literal`` field when not given.
    """

    name = "categorical_recall"


class CategoricalF1Score(_Categorical, _F1):
    """F1 over the labels of one field: 2 tp / (2 tp + fp + fn); 0 for a label neither present nor given.

    ``labels`` come from the ``Literal`` field when not given.
    """

    name = "categorical_f1_score"


class CategoricalAccuracy(_Categorical, _Recall):
    """The share of examples answered rightly (``micro``, and ``weighted``); for one label, the share of its examples.

    ``macro`` is the mean over labels, the balanced accuracy, which always giving the most common label cannot raise.
    ``labels`` come from the ``Literal`` field when not given; an example whose gold label is none of them has no part.
    Of a list of labels it is the share of right decisions, one a label and example, as ``BinaryAccuracy``.
    """

    name = "categorical_accuracy"

    def quotient(self, counts: Counts) -> tuple[Array, Array]:
        return (counts.tp + counts.tn, counts.n) if self.many else super().quotient(counts)


def _ratio(numerator: Any, denominator: Any) -> Array:
    """Division with 0 / 0 = 0."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    ratio: Array = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    return ratio
