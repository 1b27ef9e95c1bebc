"""Bounds that a trial's metrics must keep."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from paretune.errors import UsageError
from paretune.wording import rounded

__all__ = ["Constraint", "Metrics", "as_constraint"]

#: A trial's metrics by name.
Metrics = Mapping[str, float]


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
        excess = rounded(metrics[self.name]) - rounded(self.bound)
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
