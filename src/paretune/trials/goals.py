"""What a search aims at: one metric or several, the scalar that ranks trials, and bounds that they must keep."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.errors import UsageError
from paretune.metrics.measures import OPERATIONAL
from paretune.stats.measure import Array
from paretune.stats.pareto import rounded as rounded_all
from paretune.trials.constraint import Constraint, Metrics, as_constraint
from paretune.wording import rounded

__all__ = ["Goals", "Objective", "as_goals"]

_UNKNOWN = np.array(np.nan)
#: Of the operational measures, what is worth as much as a reward of 1: a hundredth of a reward is worth 100 tokens
#: or 0.0001 US dollars an example, or a second a call.
_UNITS = {"tokens_per_request": 10_000.0, "cost": 0.01, "latency": 100.0}


@dataclass(frozen=True)
class Objective:
    """A metric's name (``val_`` for validation) and what is better: ``max`` or ``min``.

    Where the direction is left out, operational measures (``val_cost``, ``val_latency`` …) are minimised and rewards
    maximised; that of any other metric stays None until a program tells it (see ``Goals.resolved``).

    ``unit`` counts in a list of objectives: how much of each is worth the same. The scalar by which trials are ranked
    is the sum of the metrics to minimise, each divided by its unit, less that of the metrics to maximise: Keras-Tuner's
    convention, with units. Left out, it is 1 for rewards, metrics and shares; of the others 10,000 tokens and 0.01 US
    dollars an example and 100 seconds a call are worth as much as that. A trial's scalar so never depends on the other
    trials.
    """

    name: str
    direction: str = None  # type: ignore[assignment]  # None only before Goals.resolved
    unit: float = None  # type: ignore[assignment]  # nor here afterwards

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise UsageError(f"an objective's name must be text (got {self.name!r})")
        plain = self.name.removeprefix("val_")
        direction: str | None = self.direction
        if direction is None:
            direction = "min" if plain in OPERATIONAL else "max" if plain == "reward" else None
        if direction not in ("min", "max", None):
            raise UsageError(f"objective {self.name!r}: the direction is 'max' or 'min' (got {direction!r})")
        unit: Any = _UNITS.get(plain, 1.0) if self.unit is None else self.unit
        if not (isinstance(unit, int | float) and unit > 0 and math.isfinite(unit)):
            raise UsageError(f"objective {self.name!r}: the unit must be a number above 0 (got {unit!r})")
        object.__setattr__(self, "direction", direction)
        object.__setattr__(self, "unit", float(unit))


@dataclass(frozen=True)
class Goals:
    """The objectives of a search, the scalar of them that ranks its trials, and its constraints.

    Of a single objective (not ``listed``) the scalar is the metric itself; of a list it is the sum that ``Objective``
    describes, and minimised.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    listed: bool = True

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"a list of objectives needs at least one, each once (got {names})")

    @property
    def directions(self) -> list[str]:
        """What is better of each objective: "max" or "min"."""
        return [objective.direction for objective in self.objectives]

    def point(self, metrics: Metrics) -> list[float]:
        """The value of each objective; NaN where it was not measured."""
        return [float(metrics.get(objective.name, math.nan)) for objective in self.objectives]

    def feasible(self, metrics: Metrics) -> bool:
        """Whether a trial's metrics keep every constraint."""
        return self.violation(metrics) <= 0

    def kept(self, values: Mapping[str, Array]) -> NDArray[np.bool_]:
        """Where every constraint is kept, by the metrics' values of one shape; what was not measured (NaN) keeps none.
        All of them where there are no constraints."""
        found = np.ones_like(next(iter(values.values())), dtype=np.bool_)
        for bound in self.constraints:
            sign = 1.0 if bound.sign == "<=" else -1.0
            found &= rounded_all(sign * values.get(bound.name, _UNKNOWN)) <= sign * rounded(bound.bound)
        return found

    def violation(self, metrics: Metrics) -> float:
        """How far a trial breaks the constraints: the sum of what each is exceeded by, as a share of its bound (of a
        bound of 0, as it is); 0 where all are kept."""
        return math.fsum(
            max(0.0, constraint.violation(metrics)) / (abs(constraint.bound) or 1.0) for constraint in self.constraints
        )

    def score(self, metrics: Metrics) -> float:
        """The scalar of a completed trial's metrics."""
        if not self.listed:
            return float(metrics[self.objectives[0].name])
        return math.fsum(
            (1.0 if objective.direction == "min" else -1.0) * float(metrics[objective.name]) / objective.unit
            for objective in self.objectives
        )

    def loss(self, metrics: Metrics) -> float:
        """The scalar so that less is better."""
        return -self.score(metrics) if not self.listed and self.directions == ["max"] else self.score(metrics)

    def order(self, trials: Sequence[Metrics]) -> list[int]:
        """The places of some completed trials' metrics, the best first: those that keep the constraints by the scalar,
        then those that break them the least; of equals the earlier one; where there is no number, last."""
        keys = [(self.violation(metrics), rounded(self.loss(metrics))) for metrics in trials]
        return sorted(range(len(trials)), key=lambda place: (math.isnan(keys[place][1]), *keys[place]))

    def resolved(self, directions: Mapping[str, str]) -> Goals:
        """The same with the directions that were left out, from those of a program's measures by name (without
        ``val_``). Raises UsageError for an objective that is none of them."""
        objectives = []
        for objective in self.objectives:
            if objective.direction is None:
                direction = directions.get(objective.name.removeprefix("val_"))
                if direction is None:
                    known = ", ".join(f"val_{name}" for name in sorted(directions))
                    raise UsageError(f"objective {objective.name!r} is reported by no metric (there are: {known})")
                objective = replace(objective, direction=direction)
            objectives.append(objective)
        return replace(self, objectives=tuple(objectives))


def as_goals(objective: Any, constraints: Any = ()) -> Goals:
    """What a tuner takes as ``objective`` (a name, an Objective, or a list of these; Keras-Tuner's as well) and as
    ``constraints`` (one, or a list of them)."""
    if isinstance(objective, Goals):
        return objective
    bounds = constraints if isinstance(constraints, list | tuple) else [] if constraints is None else [constraints]
    objective = getattr(objective, "objectives", objective)  # Keras-Tuner's MultiObjective
    listed = isinstance(objective, list | tuple)
    return Goals(
        tuple(map(_as_objective, objective)) if listed else (_as_objective(objective),),
        tuple(map(as_constraint, bounds)),
        listed,
    )


def _as_objective(given: Any) -> Objective:
    if isinstance(given, Objective):
        return given
    if isinstance(given, str):
        return Objective(given)
    if hasattr(given, "direction") and not hasattr(given, "objectives"):  # Keras-Tuner's Objective
        return Objective(given.name, given.direction)
    raise UsageError(f"objective must be a name, an Objective, or a list of these (got {given!r})")
