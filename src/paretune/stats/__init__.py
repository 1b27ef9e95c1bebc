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
    paired_scores,
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
from paretune.stats.judging import (
    Agreement,
    CorrectedMean,
    VarianceSplit,
    agreement,
    bias,
    corrected_mean,
    variance_split,
)
from paretune.stats.measure import Measure, PseudoExamples
from paretune.stats.pareto import fronts, hypervolume, non_dominated, rounded
from paretune.stats.resampling import BayesianBootstrap, Bootstrap, percentile_interval, weighted_values
from paretune.stats.selection import BestSet, Corrected, best_set, confidence_at, corrected_score

__all__ = [
    "Agreement",
    "Axis",
    "BayesianBootstrap",
    "BestSet",
    "Bootstrap",
    "Corrected",
    "CorrectedMean",
    "Difference",
    "Hypervolume",
    "Interval",
    "Measure",
    "PseudoExamples",
    "Settled",
    "VarianceSplit",
    "agreement",
    "agresti_min",
    "best_set",
    "bias",
    "confidence_at",
    "corrected_mean",
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
    "paired_scores",
    "percentile_interval",
    "plus_delta",
    "quantile_interval",
    "rounded",
    "scaled_volume",
    "settled",
    "variance_split",
    "weighted_values",
    "wilson",
]
