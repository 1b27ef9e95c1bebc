"""How much of an objective's spread over the trials goes with a hyperparameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Importance", "importance"]

#: Numbers with more values than this are cut at their quantiles into so many groups.
_GROUPS = 4


class Importance(NamedTuple):
    """``share`` of the variance (NaN where it cannot be told) that ``groups`` groups of trials explain."""

    share: float
    groups: int


def importance(options: Sequence[Any], values: Sequence[float]) -> Importance:
    """Kelley's epsilon squared, the adjusted R² of one hyperparameter: 1 - (SSW / (t - k)) / (SST / (t - 1)), >= 0.

    ``options`` (t,) are the hyperparameter's values in t trials, None where a trial does not have it (a group of its
    own); ``values`` (t,) the objective's. SSW is the sum of squares within the k groups of equal options, SST the whole
    one. Unlike eta squared it does not grow with the number of groups (Kelley, PNAS 21, 1935, p. 554-559). Shares of
    hyperparameters that were not varied independently overlap. NaN with one group, a group for each trial, or values
    that are all equal.
    """
    known = [(option, value) for option, value in zip(options, values, strict=True) if math.isfinite(value)]
    if not known:
        return Importance(math.nan, 0)
    groups = _groups([option for option, _ in known])
    amounts = np.array([value for _, value in known])
    t, k = len(amounts), len(set(groups))
    total = float(((amounts - amounts.mean()) ** 2).sum())
    if not 1 < k < t or total <= 1e-20 * max(1.0, float((amounts**2).sum())):
        return Importance(math.nan, k)
    labels = np.array([sorted(set(groups)).index(group) for group in groups])
    within = sum(float(((amounts[labels == g] - amounts[labels == g].mean()) ** 2).sum()) for g in range(k))
    return Importance(max(0.0, 1 - (within / (t - k)) / (total / (t - 1))), k)


def _groups(options: Sequence[Any]) -> list[str]:
    """A name for the group of each trial."""
    numbers = [each for each in options if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(set(numbers)) <= _GROUPS or any(isinstance(each, str | bool | list) for each in options):
        return [repr(each) for each in options]
    cuts = np.quantile(numbers, np.arange(1, _GROUPS) / _GROUPS)
    return ["absent" if each is None else str(int(np.searchsorted(cuts, each))) for each in options]
