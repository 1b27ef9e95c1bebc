"""The Pareto frontier of a search's trials, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from paretune.stats.frontiers import frontier_probability
from paretune.stats.measure import Array, Measure
from paretune.stats.pareto import non_dominated
from paretune.stats.resampling import BayesianBootstrap
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord

__all__ = ["FrontierDraws", "frontier", "frontier_draws"]


def frontier(records: Sequence[TrialRecord], goals: Goals) -> list[bool]:
    """Which trials keep the constraints, and are beaten by no other trial that does, by their recorded metrics.

    A trial that failed, that lacks an objective or that breaks a constraint is not on the frontier and keeps nobody off
    it.
    """
    absent = [math.nan] * len(goals.objectives)
    points = [
        goals.point(record.metrics) if record.completed and goals.feasible(record.metrics) else absent
        for record in records
    ]
    return [bool(flag) for flag in non_dominated(np.asarray(points), goals.directions)]


@dataclass(frozen=True)
class FrontierDraws:
    """What the frontier would have been with other examples: ``values`` (draws, t, m) are the objectives of t trials in
    each draw, NaN for a trial that breaks a constraint in it; ``names`` are theirs. ``probability`` (t,) is the share
    of draws in which a trial is on the frontier."""

    names: tuple[str, ...]
    values: Array
    probability: Array


def frontier_draws(
    records: Sequence[TrialRecord],
    measures: Mapping[str, Sequence[Measure]],
    goals: Goals,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> FrontierDraws | None:
    """The frontier in draws of the Bayesian bootstrap over the validation examples, of the completed trials.

    ``measures`` are theirs, by trial, on the same n examples. None where an objective or a bounded metric is not among
    them, and where there is no completed trial.
    """
    needed = [*(goal.name for goal in goals.objectives), *(bound.name for bound in goals.constraints)]
    completed = [record for record in records if record.completed]
    named = [{f"val_{one.name}": one for one in measures.get(record.trial, ())} for record in completed]
    if not named or any(name not in each for each in named for name in needed):
        return None
    groups = [[each[name] for name in needed] for each in named]
    n = len(groups[0][0].statistics)
    draws = BayesianBootstrap(n, resamples=resamples, seed=seed).draws(groups)
    count = len(goals.objectives)
    values, bounded = draws[:, :, :count], draws[:, :, count:]
    if goals.constraints:
        by_name = {bound.name: bounded[:, :, place] for place, bound in enumerate(goals.constraints)}
        values[~goals.kept(by_name)] = np.nan
    names = tuple(record.trial for record in completed)
    return FrontierDraws(names, values, frontier_probability(values, goals.directions))
