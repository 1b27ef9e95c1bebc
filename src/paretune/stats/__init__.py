"""Pure statistics: intervals, differences and Pareto frontiers of plain arrays, without files and without randomness of
their own.

A number is described by a `Measure`: one row of additive statistics an example, and a function that reduces their
sum to the value. Everything here follows from that one idea: a bootstrap resample is `reduce(weights @ statistics)`.
"""

from __future__ import annotations

from paretune.stats.formulas import (
    Interval,
    agresti_min,
    detectable_difference,
    effective_n,
    examples_needed,
    holm,
    mcnemar,
    newcombe,
    quantile_interval,
    wilson,
)
from paretune.stats.frontiers import (
    Axis,
    Hypervolume,
    Settled,
    frontier_probability,
    hypervolume_of,
    scaled_volume,
    settled,
)
from paretune.stats.intervals import Difference, difference, intervals_of, plus_delta
from paretune.stats.measure import Measure, PseudoExamples
from paretune.stats.pareto import fronts, hypervolume, non_dominated, rounded
from paretune.stats.resampling import BayesianBootstrap, Bootstrap, percentile_interval, weighted_values
from paretune.stats.selection import BestSet, Corrected, best_set, confidence_at, corrected_score

__all__ = [
    "Axis",
    "BayesianBootstrap",
    "BestSet",
    "Bootstrap",
    "Corrected",
    "Difference",
    "Hypervolume",
    "Interval",
    "Measure",
    "PseudoExamples",
    "Settled",
    "agresti_min",
    "best_set",
    "confidence_at",
    "corrected_score",
    "detectable_difference",
    "difference",
    "effective_n",
    "examples_needed",
    "frontier_probability",
    "fronts",
    "holm",
    "hypervolume",
    "hypervolume_of",
    "intervals_of",
    "mcnemar",
    "newcombe",
    "non_dominated",
    "percentile_interval",
    "plus_delta",
    "quantile_interval",
    "rounded",
    "scaled_volume",
    "settled",
    "weighted_values",
    "wilson",
]
