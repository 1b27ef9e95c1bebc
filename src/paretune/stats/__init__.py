"""Pure statistics: intervals and Pareto frontiers of plain arrays, without files and without randomness of their own.

A number is described by a `Measured`: one row of additive statistics an example, and a function that reduces their
sum to the value. Everything here follows from that one idea: a bootstrap resample is `reduce(weights @ statistics)`.
"""

from __future__ import annotations

from paretune.stats.intervals import (
    Bootstrap,
    Interval,
    Measured,
    difference_interval,
    interval,
    percentile_interval,
    value,
    wilson,
)
from paretune.stats.pareto import fronts, hypervolume, non_dominated, normalised_hypervolume

__all__ = [
    "Bootstrap",
    "Interval",
    "Measured",
    "difference_interval",
    "fronts",
    "hypervolume",
    "interval",
    "non_dominated",
    "normalised_hypervolume",
    "percentile_interval",
    "value",
    "wilson",
]
