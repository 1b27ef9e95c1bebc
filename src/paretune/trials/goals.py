"""What a search aims at: one metric or several, the scalar that ranks trials, and bounds that they must keep."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from paretune.errors import UsageError
from paretune.metrics.measures import OPERATIONAL

__all__ = ["Constraint", "Goals", "Objective", "Scale", "as_constraint", "as_goals"]

Scale = Literal["none", "range"]
#: A trial's metrics by name.
Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Objective:
    """A metric's name (``val_`` for validation) and what is better: ``max`` or ``min``.

    Where the direction is left out, operational measures (``val_cost``, ``val_latency`` …) are minimised and rewards
    maximised; that of any other metric stays None until a program tells it (see ``Goals.resolved``). ``weight`` counts
    in a list of objectives: the scalar by which trials are ranked is the weighted sum of the metrics to minimise less
    that of the metrics to maximise (Keras-Tuner's convention, with weights).
    """

    name: str
    direction: str = None  # type: ignore[assignment]  # None only before Goals.resolved
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise UsageError(f"an objective's name must be text (got {self.name!r})")
        plain = self.name.removeprefix("val_")
        direction: str | None = self.direction
        if direction is None:
            direction = "min" if plain in OPERATIONAL else "max" if plain == "reward" else None
        if direction not in ("min", "max", None):
            raise UsageError(f"objective {self.name!r}: the direction is 'max' or 'min' (got {direction!r})")
        if not (isinstance(self.weight, int | float) and self.weight > 0 and math.isfinite(self.weight)):
            raise UsageError(f"objective {self.name!r}: the weight must be a number above 0 (got {self.weight!r})")
        object.__setattr__(self, "direction", direction)
        object.__setattr__(self, "weight", float(self.weight))

    def describe(self) -> dict[str, Any]:
        """This objective as JSON values."""
        return {"name": self.name, "direction": self.direction, "weight": self.weight}


@dataclass(frozen=True)
class Constraint:
    """A bound that a trial's metric must keep, such as ``val_cost <= 0.002``."""

    name: str
    sign: Literal["<=", ">="]
    bound: float

    def __post_init__(self) -> None:
        if self.sign not in ("<=", ">="):
            raise UsageError(f"constraint on {self.name!r}: the sign must be '<=' or '>=' (got {self.sign!r})")
        object.__setattr__(self, "bound", float(self.bound))

    def violation(self, metrics: Metrics) -> float:
        """How far the metric is on the wrong side of the bound: above 0 where the constraint is broken, infinite where
        the metric could not be measured."""
        if self.name not in metrics:
            return math.inf
        excess = float(metrics[self.name]) - self.bound
        return excess if self.sign == "<=" else -excess

    def describe(self) -> str:
        """This constraint as ``as_constraint`` reads it."""
        return f"{self.name} {self.sign} {self.bound!r}"


@dataclass(frozen=True)
class Goals:
    """The objectives of a search, the scalar of them that ranks its trials, and its constraints.

    Of a single objective (not ``listed``) the scalar is the metric itself; of a list it is the weighted sum that
    ``Objective`` describes, and minimised. With ``scale="range"`` each metric of a list is first divided by its range
    over the trials, so that dollars and accuracies can be added: a trial's scalar then depends on the others.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    scale: Scale = "none"
    listed: bool = True

    def __post_init__(self) -> None:
        if self.scale not in ("none", "range"):
            raise UsageError(f"scale must be 'none' or 'range' (got {self.scale!r})")
        names = [objective.name for objective in self.objectives]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"a list of objectives needs at least one, each once (got {names})")

    @property
    def directions(self) -> list[str]:
        """What is better of each objective: "max" or "min"."""
        return [objective.direction for objective in self.objectives]

    @property
    def relative(self) -> bool:
        """Whether a trial's scalar depends on the other trials."""
        return self.listed and self.scale != "none"

    def point(self, metrics: Metrics) -> list[float]:
        """The value of each objective; NaN where it was not measured."""
        return [float(metrics.get(objective.name, math.nan)) for objective in self.objectives]

    def feasible(self, metrics: Metrics) -> bool:
        """Whether a trial's metrics keep every constraint."""
        return all(constraint.violation(metrics) <= 0 for constraint in self.constraints)

    def scores(self, trials: Sequence[Metrics]) -> list[float]:
        """The scalar of each of some completed trials' metrics, judged among themselves."""
        if not self.listed:
            return [float(metrics[self.objectives[0].name]) for metrics in trials]
        scores = [0.0] * len(trials)
        for objective in self.objectives:
            values = [float(metrics[objective.name]) for metrics in trials]
            width = (max(values) - min(values)) if self.scale == "range" and values else 1.0
            sign = objective.weight if objective.direction == "min" else -objective.weight
            for position, value in enumerate(values):
                scores[position] += sign * value / (width or 1.0)
        return scores

    def order(self, trials: Sequence[Metrics]) -> list[int]:
        """The places of some completed trials' metrics, the best first: those that keep the constraints before the
        others, each by the scalar; of equals the earlier one; where there is no number, last."""
        sign = -1.0 if not self.listed and self.objectives[0].direction == "max" else 1.0
        scores = [sign * score for score in self.scores(trials)]
        broken = [not self.feasible(metrics) for metrics in trials]
        return sorted(range(len(trials)), key=lambda place: (math.isnan(scores[place]), broken[place], scores[place]))

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

    def unscaled(self) -> Goals:
        """The same without ``scale``."""
        return replace(self, scale="none")


def as_goals(objective: Any, constraints: Any = (), scale: Scale = "none") -> Goals:
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
        scale,
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


def as_constraint(text: str | Constraint) -> Constraint:
    """What a tuner takes as a constraint: ``<metric> <= <number>`` or ``<metric> >= <number>``."""
    if isinstance(text, Constraint):
        return text
    found = re.fullmatch(r"\s*(\w+)\s*(<=|>=)\s*([-+.\deE]+)\s*", str(text))
    try:
        bound = float(found[3]) if found else math.nan
    except ValueError:
        bound = math.nan
    if found is None or not math.isfinite(bound):
        raise UsageError(f"a constraint is written `metric <= number` or `metric >= number` (got {text!r})")
    return Constraint(found[1], "<=" if found[2] == "<=" else ">=", bound)
