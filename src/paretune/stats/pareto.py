"""Pareto frontiers: which points no other point beats, and how much of the objective space they cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.errors import UsageError

__all__ = ["fronts", "hypervolume", "non_dominated", "normalised_hypervolume"]

# moocore is imported where it is used: it loads a C library and a quarter of the package's import time.


def non_dominated(points: NDArray[Any], directions: Sequence[str]) -> NDArray[np.bool_]:
    """Which points no other point dominates: shape (t, m) -> (t,) booleans.

    A point dominates another when it is at least as good in every objective and better in one. Equal points do not
    dominate each other, so duplicates are both kept. ``directions`` holds "max" or "min" for each of the m columns. A
    point with a NaN is not comparable: it is never on the frontier and dominates nothing; infinities compare as usual.
    """
    columns, maximise = _checked(points, directions)
    complete = ~np.isnan(columns).any(axis=1)
    mask = np.zeros(len(columns), dtype=np.bool_)
    if not complete.any():
        return mask
    if len(maximise) == 1:
        best = columns[complete].max() if maximise[0] else columns[complete].min()
        mask[complete] = columns[complete, 0] == best
        return mask
    import moocore

    mask[complete] = moocore.is_nondominated(columns[complete], maximise=maximise, keep_weakly=True)
    return mask


def fronts(points: NDArray[Any], directions: Sequence[str]) -> NDArray[np.intp]:
    """The front of each point: shape (t, m) -> (t,) numbers from 0 (non-dominated sorting; Deb et al., 2002).

    Front 0 is the frontier, front 1 what would be the frontier without front 0, and so on. Infinities compare as usual;
    NaN is not allowed.
    """
    columns, maximise = _checked(points, directions)
    if np.isnan(columns).any():
        raise UsageError("fronts need numbers in every objective (got NaN)")
    if not len(columns):
        return np.zeros(0, dtype=np.intp)
    if len(maximise) == 1:
        return np.unique(-columns[:, 0] if maximise[0] else columns[:, 0], return_inverse=True)[1]
    import moocore

    return np.asarray(moocore.pareto_rank(columns, maximise=maximise), dtype=np.intp)


def hypervolume(points: NDArray[Any], directions: Sequence[str], reference: Sequence[float]) -> float:
    """The volume between the reference point and what the points reach (Zitzler & Thiele, PPSN V, 1998).

    ``points`` has shape (t, m), ``reference`` m numbers. In the product of the objectives' units. A point that is not
    better than the reference in every objective adds nothing, nor does one with a NaN; no points give 0.
    """
    columns, maximise = _checked(points, directions)
    if len(reference) != len(maximise):
        raise UsageError(
            f"the reference needs one number for each of {len(maximise)} objectives (got {len(reference)})"
        )
    columns = columns[~np.isnan(columns).any(axis=1)]
    if not len(columns):
        return 0.0
    if len(maximise) == 1:
        gains = columns[:, 0] - reference[0] if maximise[0] else reference[0] - columns[:, 0]
        return float(max(0.0, gains.max()))
    import moocore

    return float(moocore.hypervolume(columns, ref=np.asarray(reference, dtype=np.float64), maximise=maximise))


def normalised_hypervolume(points: NDArray[Any], directions: Sequence[str]) -> float:
    """A search's hypervolume in [0, 1]: 1 is a configuration that is ideal in every objective at once.

    Each objective is first mapped to [0, 1], 0 being its reference and 1 its ideal:

    - maximised with all values in [0, 1] (a reward, an F1 score): as it is, reference 0, ideal 1;
    - minimised with all values >= 0 (tokens, cost, seconds): reference = the worst point's value, ideal = 0;
    - any other: reference = the worst point's value, ideal = the best point's.

    An objective of the last two kinds in which all points are equal tells them apart in nothing and has no extent: it
    is left out (mapped to 1). The references come from the points given, so compare only searches over similar
    configurations. Points with a NaN or an infinity are left out; no points give 0.
    """
    columns, maximise = _checked(points, directions)
    columns = columns[np.isfinite(columns).all(axis=1)]
    if not len(columns):
        return 0.0
    scaled = np.ones_like(columns)
    for index, larger_is_better in enumerate(maximise):
        column = columns[:, index]
        low, high = float(column.min()), float(column.max())
        if larger_is_better and low >= 0 and high <= 1:
            scaled[:, index] = column
        elif high > low:
            worst, best = (low, high) if larger_is_better else (high, min(low, 0.0))
            scaled[:, index] = (column - worst) / (best - worst)
    return min(1.0, max(0.0, hypervolume(scaled, ["max"] * len(maximise), [0.0] * len(maximise))))


def _checked(points: NDArray[Any], directions: Sequence[str]) -> tuple[NDArray[np.float64], list[bool]]:
    """The points as floats, and for each objective whether it is maximised."""
    columns = np.asarray(points, dtype=np.float64)
    wrong = [direction for direction in directions if direction not in ("max", "min")]
    if wrong or not directions:
        raise UsageError(f"a direction is 'max' or 'min', one for each objective (got {list(directions)!r})")
    if columns.size == 0:
        columns = columns.reshape(0, len(directions))
    if columns.ndim != 2 or columns.shape[1] != len(directions):
        raise UsageError(f"points must have shape (t, {len(directions)}), one column a direction (got {columns.shape})")
    return columns, [direction == "max" for direction in directions]
