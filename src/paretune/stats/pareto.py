"""Pareto frontiers: which points no other point beats, and how much of the objective space they cover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.errors import UsageError
from paretune.stats.measure import Array

__all__ = ["fronts", "hypervolume", "non_dominated", "rounded"]

# moocore is imported where it is used: it loads a C library and a quarter of the package's import time.

_DIGITS = 10  # the last digits of a float sum depend on the order of summation: they decide nothing


def rounded(values: NDArray[Any] | float) -> Array:
    """The values with 10 significant digits, as they stand in files; comparisons are of these."""
    numbers = np.asarray(values, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        places = _DIGITS - 1 - np.floor(np.log10(np.abs(numbers)))
        up, down = 10.0 ** np.clip(places, 0, 300), 10.0 ** np.clip(-places, 0, 300)
        # of whole numbers and powers of ten, so that equal decimals are equal floats
        found = np.round(numbers * up / down) * down / up
    return np.where(np.isfinite(numbers) & (numbers != 0), found, numbers + 0.0)


def non_dominated(points: NDArray[Any], directions: Sequence[str]) -> NDArray[np.bool_]:
    """Which points no other point dominates: shape (t, m) -> (t,) booleans.

    A point dominates another when it is at least as good in every objective and better in one, of values rounded to 10
    significant digits. Equal points do not dominate each other, so duplicates are both kept. ``directions`` holds "max"
    or "min" for each of the m columns. A point with a NaN is not comparable: it is never on the frontier and dominates
    nothing; infinities compare as usual.
    """
    columns, maximise = _checked(points, directions)
    complete = ~np.isnan(columns).any(axis=1)
    mask = np.zeros(len(columns), dtype=np.bool_)
    if complete.any():
        mask[complete] = _frontier(_comparable(columns[complete]), maximise)
    return mask


def fronts(points: NDArray[Any], directions: Sequence[str]) -> NDArray[np.intp]:
    """The front of each point: shape (t, m) -> (t,) numbers from 0 (non-dominated sorting; Deb et al., 2002).

    Front 0 is the frontier, front 1 what would be the frontier without front 0, and so on. Values are rounded to 10
    significant digits, infinities compare as usual; NaN is not allowed.
    """
    columns, maximise = _checked(points, directions)
    if np.isnan(columns).any():
        raise UsageError("fronts need numbers in every objective (got NaN)")
    if not len(columns):
        return np.zeros(0, dtype=np.intp)
    columns = _comparable(columns)
    if len(maximise) == 1:
        return np.unique(-columns[:, 0] if maximise[0] else columns[:, 0], return_inverse=True)[1]
    import moocore

    return np.asarray(moocore.pareto_rank(columns, maximise=maximise), dtype=np.intp)


def hypervolume(points: NDArray[Any], directions: Sequence[str], reference: Sequence[float]) -> float:
    """The volume between the reference point and what the points reach (Zitzler & Thiele, PPSN V, 1998).

    ``points`` has shape (t, m), ``reference`` m finite numbers. In the product of the objectives' units. A point that
    is not better than the reference in every objective adds nothing, nor does one with a NaN; no points give 0.
    """
    columns, maximise = _checked(points, directions)
    limits = np.asarray(reference, dtype=np.float64)
    if limits.shape != (len(maximise),) or not np.isfinite(limits).all():
        raise UsageError(f"the reference needs one finite number for each of {len(maximise)} objectives")
    gains = np.where(maximise, columns - limits, limits - columns)
    gains = gains[(gains > 0).all(axis=1)]
    if not len(gains) or not np.isfinite(gains).all():
        return math.inf if len(gains) else 0.0
    if len(maximise) == 1:
        return float(gains.max())
    import moocore

    return float(moocore.hypervolume(gains, ref=np.zeros(len(maximise)), maximise=True))


def _frontier(columns: Array, maximise: Sequence[bool]) -> NDArray[np.bool_]:
    """Which of some comparable points no other dominates."""
    if len(maximise) == 1:
        return np.asarray(columns[:, 0] == (columns.max() if maximise[0] else columns.min()))
    import moocore

    return np.asarray(moocore.is_nondominated(columns, maximise=list(maximise), keep_weakly=True))


def _comparable(columns: Array) -> Array:
    """Rounded; where a column has infinities, its ranks instead: dominance depends on the order alone, and moocore
    crashes on an infinity among three objectives."""
    columns = rounded(columns)
    for place in np.flatnonzero(np.isinf(columns).any(axis=0)):
        columns[:, place] = np.unique(columns[:, place], return_inverse=True)[1]
    return columns


def _checked(points: NDArray[Any], directions: Sequence[str]) -> tuple[Array, list[bool]]:
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
