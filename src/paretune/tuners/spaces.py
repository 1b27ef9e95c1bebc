"""A declared space as points: every value of a hyperparameter, every combination, and draws at random."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from paretune.errors import UsageError
from paretune.files import canonical_json
from paretune.tuners.keras_api import HyperParameters, ParentCondition, hyperparameter_kinds

__all__ = [
    "LISTED",
    "UnitCube",
    "Values",
    "combinations",
    "draw",
    "even_grid",
    "grid_points",
    "grid_values",
    "listed",
    "nearest",
    "plain",
    "space_size",
    "conditional_on",
]

Values = dict[str, Any]
#: A finite space with more points than this is never listed, only counted.
LISTED = 100_000


def combinations(space: HyperParameters, values_of: Callable[[Any], Sequence[Any]] | None = None) -> Iterator[Values]:
    """All points of a space, conditions respected; ``values_of`` lists the values of one hyperparameter
    (``grid_values``). Raises UsageError for a float without a step."""
    kinds, values_of = list(space.space), values_of or grid_values

    def walk(position: int, values: Values) -> Iterator[Values]:
        if position == len(kinds):
            yield values
            return
        kind = kinds[position]
        if _is_settled(kind, values):
            yield from walk(position + 1, values)
            return
        for value in values_of(kind):
            yield from walk(position + 1, {**values, kind.name: value})

    return walk(0, {})


def _is_settled(kind: Any, values: Values) -> bool:
    """Whether a hyperparameter has no values of its own at a point: it does not exist there, or another one that exists
    there has the name."""
    return kind.name in values or not all(condition.is_active(values) for condition in kind.conditions)


def draw(space: HyperParameters, rng: np.random.Generator) -> Values:
    """A uniform draw of a point, conditions respected."""
    values: Values = {}
    for kind in space.space:
        if not _is_settled(kind, values):
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
    """The values that divide [0, 1] into equal parts; None for a range that has no steps."""
    if isinstance(kind, hyperparameter_kinds.Int) and kind.step is None and kind.sampling != "linear":
        return None
    try:
        return grid_values(kind)
    except UsageError:
        return None


def grid_values(kind: Any) -> Sequence[Any]:
    """The values of one hyperparameter in a grid, each once, end points included. Raises UsageError when there is no
    end. In a logarithmic range the step is a factor."""
    if isinstance(kind, hyperparameter_kinds.Fixed):
        return [kind.value]
    if isinstance(kind, hyperparameter_kinds.Boolean):
        return [False, True]
    if isinstance(kind, hyperparameter_kinds.Choice):
        return list(dict.fromkeys(plain(value) for value in kind.values))
    whole = isinstance(kind, hyperparameter_kinds.Int)
    low, high, step = (plain(number) for number in (kind.min_value, kind.max_value, kind.step))
    if low == high:
        return [low]
    if step is None and not whole:
        raise UsageError(f"a grid cannot list the values of {kind.name!r}: give it a step, or a choice of values")
    if whole and kind.sampling in ("linear", None):
        return range(low, high + 1, step)
    if step is None:
        return range(low, high + 1)
    return _decimals(repr(low), repr(high), repr(step), kind.sampling, int if whole else float)


def grid_points(kind: Any) -> Sequence[Any]:
    """The values that a grid search tries of one hyperparameter, as Keras-Tuner does: its default first, then those of
    ``grid_values``; but of whole numbers on a logarithmic scale without a step those at ten even places of it. A range
    of more than ``LISTED`` values keeps its order. Raises UsageError as ``grid_values`` does."""
    if isinstance(kind, hyperparameter_kinds.Int) and kind.step is None:
        values: Sequence[Any] = sorted({plain(value) for value in kind.values})
    else:
        values = grid_values(kind)
    default = plain(kind.default)
    if values[0] == default or len(values) > LISTED:
        return values
    return [default, *(value for value in values if value != default)]


@functools.lru_cache
def _decimals(low: str, high: str, step: str, sampling: str, number: type) -> Sequence[Any]:
    """The numbers from ``low`` to ``high`` in decimals, as they are written: sums of binary floats would miss the end
    of 0.1, 0.2, 0.3."""
    first, last, width = Decimal(low), Decimal(high), Decimal(step)
    if sampling in ("linear", None):
        return tuple(number(first + index * width) for index in range(int((last - first) // width) + 1))
    powers = [first]
    while (power := powers[-1] * width) <= last:
        powers.append(power)
    if sampling == "reverse_log":  # the steps grow from the upper end downwards
        powers = [last + first - power for power in reversed(powers)]
    return tuple(number(power) for power in powers)


def space_size(space: HyperParameters, values_of: Callable[[Any], Sequence[Any]] | None = None) -> int | None:
    """How many points a space has; None when it is not finite. ``values_of`` is that of ``combinations``."""
    kinds, values_of = _by_family(space.space), values_of or grid_values
    try:
        grids = [values_of(kind) for kind in kinds]
    except UsageError:
        return None
    #: By position, the names that matter from there on: those of the hyperparameters, and of their conditions.
    decisive: list[set[str]] = [set()]
    for kind in reversed(kinds):
        decisive.append(decisive[-1] | {kind.name} | {condition.name for condition in kind.conditions})
    decisive.reverse()
    counted: dict[str, int] = {}

    def count(position: int, values: Values) -> int:
        """The points of the hyperparameters from a position on, given those of the ones before."""
        if position == len(kinds):
            return 1
        known = {name: values[name] for name in decisive[position] if name in values}
        key = canonical_json([position, known])
        if key not in counted:
            kind, grid = kinds[position], grids[position]
            if _is_settled(kind, known):
                counted[key] = count(position + 1, known)
            elif kind.name not in decisive[position + 1]:
                counted[key] = len(grid) * count(position + 1, known)
            else:
                counted[key] = sum(count(position + 1, {**known, kind.name: value}) for value in grid)
        return counted[key]

    return count(0, {})


def _by_family(kinds: Iterable[Any]) -> list[Any]:
    """Hyperparameters in their order, but those that names and conditions connect side by side: then few of them are
    decisive at any position."""
    families: list[tuple[set[str], list[tuple[int, Any]]]] = []
    for place, kind in enumerate(kinds):
        names, members = {kind.name, *(condition.name for condition in kind.conditions)}, [(place, kind)]
        for family in [family for family in families if family[0] & names]:
            families.remove(family)
            names, members = names | family[0], family[1] + members
        families.append((names, sorted(members, key=lambda member: member[0])))
    return [kind for _, members in families for _, kind in members]


@contextlib.contextmanager
def conditional_on(hp: HyperParameters, conditions: Mapping[str, Sequence[Any]]) -> Iterator[None]:
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
