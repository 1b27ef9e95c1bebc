"""True and false positives and negatives of each class, as the statistics of examples."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from paretune.stats.measure import Array, PseudoExamples

__all__ = ["Counts", "Flags", "pseudo_examples", "statistics_of"]

Flags: TypeAlias = NDArray[np.bool_]


class Counts(NamedTuple):
    """True and false positives and negatives, and decisions (the false negatives of invalid outputs included)."""

    tp: Array
    fp: Array
    fn: Array
    tn: Array
    n: Array

    @classmethod
    def of(cls, totals: Array) -> Counts:
        """From summed statistics (..., 4 * classes + 1) to five arrays (..., classes)."""
        counts = np.reshape(totals[..., :-1], (*np.shape(totals)[:-1], 4, -1))
        tp, fp, fn, tn = np.moveaxis(counts, -2, 0)
        return cls(tp, fp, fn, tn, np.broadcast_to(totals[..., -1:], np.shape(tp)))

    def pooled(self) -> Counts:
        """Summed over the classes, which stay as an axis of length one."""
        return Counts(*(count.sum(axis=-1, keepdims=True) for count in self))


def statistics_of(true: Flags, pred: Flags, valid: bool = True) -> Array:
    """The statistics of examples from their gold and predicted classes: (..., classes) -> (..., 4 * classes + 1)."""
    counts = [true & pred, ~true & pred, true & ~pred, ~true & ~pred & valid, np.ones_like(true[..., :1])]
    return np.concatenate(counts, axis=-1).astype(np.float64)


def pseudo_examples(statistics: Array) -> PseudoExamples:
    """For each class a quarter of an example answered rightly, and a quarter answered with the other classes in
    proportion to their gold examples (with all alike where no other has any).

    A class like the others is "none of them", where some example has no gold class and where there is only one class.
    No invalid output is added: it has no gold examples. ``statistics`` has shape (n, 4 * classes + 1).
    """
    counts = Counts.of(statistics)
    support = (counts.tp + counts.fn).sum(axis=0)
    none = float((counts.n[:, 0] - (counts.tp + counts.fn).max(axis=1)).sum())
    classes = len(support)
    flags = np.eye(classes, dtype=np.bool_)
    if none > 0 or classes == 1:
        flags = np.concatenate([flags, np.zeros((1, classes), dtype=np.bool_)])
        support = np.append(support, none)
    size = len(flags)
    gold, answer = np.repeat(np.arange(size), size), np.tile(np.arange(size), size)
    shares = np.where(gold == answer, 0.0, support[answer]).reshape(size, size)
    shares = np.where(shares.any(axis=1, keepdims=True), shares, 1.0 - np.eye(size))
    weights = 0.25 * (np.eye(size) + shares / shares.sum(axis=1, keepdims=True))
    return PseudoExamples(statistics_of(flags[gold], flags[answer]), weights.ravel())
