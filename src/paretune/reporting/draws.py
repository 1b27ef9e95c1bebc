"""The objectives of all trials in each resample of the validation examples: how sure a frontier is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from paretune.stats import BayesianBootstrap, Measure, frontier_probability
from paretune.stats.measure import Array
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord

__all__ = ["frontier_chances", "objective_draws"]


def objective_draws(
    records: Sequence[TrialRecord],
    measures: Mapping[str, Sequence[Measure]],
    goals: Goals,
    bootstrap: BayesianBootstrap,
) -> Array:
    """The value of each objective of each trial in each draw, shape (draws, trials, objectives).

    ``measures`` holds by trial those of the validation examples, under their bare names. A trial that breaks a
    constraint in a draw is NaN in it; one that failed, or lacks an objective, is NaN in all.
    """
    wanted = [objective.name for objective in goals.objectives] + [bound.name for bound in goals.constraints]
    draws = np.full((bootstrap.resamples, len(records), len(goals.objectives)), np.nan)
    known: dict[int, list[Measure]] = {}
    for place, record in enumerate(records):
        named = {f"val_{measure.name}": measure for measure in measures.get(record.trial, ())}
        if record.completed and named.keys() >= set(wanted):
            known[place] = [named[name] for name in wanted]
    if not known:
        return draws
    values = bootstrap.draws(list(known.values()))
    width = len(goals.objectives)
    for place, bound in enumerate(goals.constraints, start=width):
        excess = values[:, :, place] - bound.bound
        values[:, :, :width][~(excess <= 0 if bound.sign == "<=" else excess >= 0)] = np.nan
    draws[:, list(known)] = values[:, :, :width]
    return draws


def frontier_chances(records: Sequence[TrialRecord], draws: Array, goals: Goals) -> Array:
    """The frontier probability of each trial: (trials,); NaN for a failed trial, and for one without draws."""
    broken = [record.completed and not goals.feasible(record.metrics) for record in records]
    unknown = np.isnan(draws).all(axis=(0, 2)) & ~np.array(broken, dtype=np.bool_)
    return np.where(unknown, np.nan, frontier_probability(draws, goals.directions))
