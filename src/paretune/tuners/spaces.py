"""A declared space as points: every value of a hyperparameter, every combination, and draws at random."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from paretune.errors import UsageError
from paretune.tuners.kt import HyperParameters, ParentCondition, hyperparameter_kinds

__all__ = [
    "LISTED",
    "UnitCube",
    "Values",
    "combinations",
    "draw",
    "even_grid",
    "grid_values",
    "listed",
    "nearest",
    "plain",
    "space_size",
    "under",
]

Values = dict[str, Any]
#: A finite space with more points than this is never listed.
LISTED = 100_000


def combinations(space: HyperParameters) -> Iterator[Values]:
    """All points of a space, conditions respected. Raises UsageError for a float without a step."""
    point = space.copy()
    point.values = {}
    kinds = list(point.space)

    def walk(position: int) -> Iterator[Values]:
        if position == len(kinds):
            yield dict(point.values)
            return
        kind = kinds[position]
        if not point.is_active(kind):
            yield from walk(position + 1)
            return
        for value in grid_values(kind):
            point.values[kind.name] = value
            yield from walk(position + 1)
        del point.values[kind.name]

    return walk(0)


def draw(space: HyperParameters, rng: np.random.Generator) -> Values:
    """A uniform draw of a point, conditions respected."""
    values: Values = {}
    for kind in space.space:
        if all(condition.is_active(values) for condition in kind.conditions):
            values[kind.name] = nearest(kind, float(rng.random()))
    return values


def nearest(kind: Any, probability: float) -> Any:
    """The value at a point of [0, 1]. Where a grid has values, it is one of them: Keras-Tuner's own sums of steps
    (0.30000000000000004) would be further points, and miss the end of a range."""
    values = even_grid(kind)
    if values is None:  # rounding may lead out of the range
        return min(max(plain(kind.prob_to_value(probability)), kind.min_value), kind.max_value)
    return values[min(int(probability * len(values)), len(values) - 1)]


def even_grid(kind: Any) -> Sequence[Any] | None:
    """The values that divide [0, 1] into equal parts; None for continuous and logarithmic ranges."""
    if isinstance(kind, hyperparameter_kinds.Int) and kind.sampling not in (None, "linear"):
        return None
    try:
        return grid_values(kind)
    except UsageError:
        return None


def grid_values(kind: Any) -> Sequence[Any]:
    """The values of one hyperparameter in a grid, end points included. Raises UsageError when there is no end."""
    if isinstance(kind, hyperparameter_kinds.Fixed):
        return [kind.value]
    if isinstance(kind, hyperparameter_kinds.Boolean):
        return [False, True]
    if isinstance(kind, hyperparameter_kinds.Choice):
        return [plain(value) for value in kind.values]
    if isinstance(kind, hyperparameter_kinds.Int) and kind.step is None:
        return range(kind.min_value, kind.max_value + 1)
    if kind.step is None or kind.sampling not in (None, "linear"):
        raise UsageError(
            f"a grid cannot list the values of {kind.name!r}: give it a step (linear), or a choice of values"
        )
    if isinstance(kind, hyperparameter_kinds.Int):
        return range(int(kind.min_value), int(kind.max_value) + 1, int(kind.step))
    return _decimals(*(repr(plain(number)) for number in (kind.min_value, kind.max_value, kind.step)))


@functools.lru_cache
def _decimals(low: str, high: str, step: str) -> Sequence[float]:
    """The numbers from ``low`` to ``high`` in decimals, as they are written: sums of binary floats would miss the end
    of 0.1, 0.2, 0.3."""
    first, last, width = Decimal(low), Decimal(high), Decimal(step)
    return tuple(float(first + index * width) for index in range(int((last - first) // width) + 1))


def space_size(space: HyperParameters) -> int | None:
    """How many points a space has (at most ``LISTED`` + 1 are counted); None when it is not finite."""
    try:
        return sum(1 for _ in itertools.islice(combinations(space), LISTED + 1))
    except UsageError:
        return None


@contextlib.contextmanager
def under(hp: HyperParameters, conditions: Mapping[str, Sequence[Any]]) -> Iterator[None]:
    """Declare hyperparameters that exist only when others (by name) have one of some values.

    As ``hp.conditional_scope``, but for several parents that do not depend on each other, which Keras-Tuner refuses.
    """
    before = list(hp._conditions)
    hp._conditions += [ParentCondition(name, list(values)) for name, values in conditions.items()]
    try:
        yield
    finally:
        hp._conditions[:] = before


def listed(space: HyperParameters, most: int) -> list[Values] | None:
    """All points of a space; None when there are more than ``most``."""
    try:
        points = list(itertools.islice(combinations(space), most + 1))
    except UsageError:
        return None
    return points if len(points) <= most else None


class UnitCube:
    """The points of a space as vectors in [0, 1]: one coordinate for each hyperparameter that is not fixed.

    One that a point does not have (its condition does not hold) stands at its default, as in Keras-Tuner.
    """

    def __init__(self, space: HyperParameters) -> None:
        self._point = space.copy()
        self._axes = [
            (kind, even_grid(kind)) for kind in space.space if not isinstance(kind, hyperparameter_kinds.Fixed)
        ]

    @property
    def dimensions(self) -> int:
        """How many coordinates a point has."""
        return len(self._axes)

    def vector(self, values: Values) -> list[float]:
        """The coordinates of a point: ``values`` takes them back to it."""
        self._point.values = dict(values)
        coordinates = []
        for kind, grid in self._axes:
            if not self._point.is_active(kind):
                coordinates.append(float(kind.value_to_prob(kind.default)))
            elif grid is None:
                coordinates.append(float(kind.value_to_prob(values[kind.name])))
            else:
                coordinates.append((grid.index(values[kind.name]) + 0.5) / len(grid))
        return coordinates

    def values(self, vector: Iterable[float]) -> Values:
        """The point at some coordinates, conditions respected and values on their grids."""
        self._point.values = {}
        coordinates = iter(vector)
        for kind in self._point.space:
            coordinate = 0.5 if isinstance(kind, hyperparameter_kinds.Fixed) else float(next(coordinates))
            if self._point.is_active(kind):
                self._point.values[kind.name] = nearest(kind, coordinate)
        return dict(self._point.values)


def plain(value: Any) -> Any:
    """A hyperparameter's value as a plain JSON value."""
    return value.item() if isinstance(value, np.generic) else value
