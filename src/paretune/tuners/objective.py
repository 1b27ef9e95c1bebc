"""Objectives: what a search aims at, one metric or several at once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from paretune.errors import UsageError
from paretune.metrics.measure import OPERATIONAL
from paretune.tuners.keras_api import KerasMultiObjective, KerasObjective

__all__ = [
    "Constraint",
    "MultiObjective",
    "Objective",
    "Scale",
    "as_constraint",
    "as_constraints",
    "as_objective",
    "keeps",
    "parts_of",
]

Scale = Literal["none", "range"]


class Objective(KerasObjective):  # type: ignore[misc]
    """A metric's name (``val_`` for validation) and what is better: ``max`` or ``min``.

    The direction may be left out for the operational measures (``val_cost``, ``val_latency`` …), which are minimised,
    and for rewards. ``weight`` counts in a list of objectives: the scalar by which trials are ranked is the weighted
    sum of the metrics to minimise less that of the metrics to maximise (Keras-Tuner's convention, with weights).
    """

    def __init__(self, name: str, direction: str | None = None, weight: float = 1.0) -> None:
        plain = name.removeprefix("val_")
        if direction is None:
            direction = "min" if plain in OPERATIONAL else "max" if plain == "reward" else None
        if direction not in ("min", "max"):
            raise UsageError(f"objective {name!r} needs a direction, 'max' or 'min' (got {direction!r})")
        if not (isinstance(weight, int | float) and weight > 0 and math.isfinite(weight)):
            raise UsageError(f"objective {name!r}: the weight must be a number above 0 (got {weight!r})")
        super().__init__(name, direction)
        self.weight = float(weight)

    def describe(self) -> dict[str, Any]:
        """This objective as JSON values."""
        return {"name": self.name, "direction": self.direction, "weight": self.weight}


class MultiObjective(KerasMultiObjective):  # type: ignore[misc]
    """Several objectives, ranked by one scalar that is minimised.

    With ``scale="range"`` each metric is first divided by its range over the completed trials, so that dollars and
    accuracies can be added; the scores of earlier trials then change as trials come in, and are kept up to date.
    """

    def __init__(self, objectives: Sequence[Objective], scale: Scale = "none") -> None:
        if scale not in ("none", "range"):
            raise UsageError(f"scale must be 'none' or 'range' (got {scale!r})")
        names = [objective.name for objective in objectives]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"a list of objectives needs at least one, each once (got {names})")
        super().__init__(list(objectives))
        self.scale = scale

    def get_value(self, logs: Mapping[str, float]) -> float:
        return self.scores([logs])[0] if self.scale == "none" else math.nan

    def scores(self, trials: Sequence[Mapping[str, float]]) -> list[float]:
        """The scalar of each of some completed trials' metrics."""
        scores = [0.0] * len(trials)
        for objective in self.objectives:
            values = [float(logs[objective.name]) for logs in trials]
            width = (max(values) - min(values)) if self.scale == "range" and values else 1.0
            sign = objective.weight if objective.direction == "min" else -objective.weight
            for position, value in enumerate(values):
                scores[position] += sign * value / (width or 1.0)
        return scores


@dataclass(frozen=True)
class Constraint:
    """A bound that a trial's metric must keep, such as ``val_cost <= 0.002``."""

    name: str
    sign: Literal["<=", ">="]
    bound: float

    def violation(self, logs: Mapping[str, float]) -> float:
        """How far the metric is on the wrong side of the bound: above 0 where the constraint is broken, infinite where
        the metric could not be measured."""
        if self.name not in logs:
            return math.inf
        excess = float(logs[self.name]) - self.bound
        return excess if self.sign == "<=" else -excess

    def describe(self) -> str:
        """This constraint as ``as_constraint`` reads it."""
        return f"{self.name} {self.sign} {self.bound!r}"


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


def as_constraints(given: str | Constraint | Sequence[str | Constraint]) -> list[Constraint]:
    """What a tuner takes as its constraints: one, or a list of them."""
    return [as_constraint(each) for each in ([given] if isinstance(given, str | Constraint) else given)]


def keeps(constraints: Sequence[Constraint], logs: Mapping[str, float]) -> bool:
    """Whether a trial's metrics keep every constraint."""
    return all(constraint.violation(logs) <= 0 for constraint in constraints)


def parts_of(objective: Objective | MultiObjective) -> list[Objective]:
    """The single objectives that an objective consists of."""
    return list(objective.objectives) if isinstance(objective, MultiObjective) else [objective]


def as_objective(objective: Any, scale: Scale = "none") -> Objective | MultiObjective:
    """What a tuner takes as ``objective``: a name, an Objective, or a list of these."""
    if isinstance(objective, list | tuple):
        parts = [as_objective(part) for part in objective if not isinstance(part, list | tuple | MultiObjective)]
        if len(parts) < len(objective):
            raise UsageError(f"a list of objectives holds names and Objectives, no further lists (got {objective!r})")
        return MultiObjective([part for part in parts if isinstance(part, Objective)], scale)
    if isinstance(objective, Objective | MultiObjective):
        return objective
    if isinstance(objective, KerasObjective):
        return Objective(objective.name, objective.direction)
    if isinstance(objective, str):
        return Objective(objective)
    raise UsageError(f"objective must be a name, an Objective, or a list of these (got {objective!r})")
