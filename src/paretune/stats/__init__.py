"""Pure statistics: intervals and Pareto frontiers of plain arrays, without files and without randomness of their own.

A number is described by a `Measure`: one row of additive statistics an example, and a function that reduces their
sum to the value. Everything here follows from that one idea: a bootstrap resample is `reduce(weights @ statistics)`.
"""

from __future__ import annotations

from paretune.stats.intervals import (
    Bootstrap,
    Interval,
    difference_interval,
    intervals_of,
    percentile_interval,
    wilson,
)
from paretune.stats.judging import (
    Agreement,
    Corrected,
    VarianceSplit,
    agreement,
    bias,
    corrected_mean,
    variance_split,
)
from paretune.stats.measure import Measure
from paretune.stats.pareto import fronts, hypervolume, non_dominated, normalised_hypervolume

__all__ = [
    "Agreement",
    "Bootstrap",
    "Corrected",
    "Interval",
    "Measure",
    "VarianceSplit",
    "agreement",
    "bias",
    "corrected_mean",
    "difference_interval",
    "fronts",
    "hypervolume",
    "intervals_of",
    "non_dominated",
    "normalised_hypervolume",
    "percentile_interval",
    "variance_split",
    "wilson",
]
