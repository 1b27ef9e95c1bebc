"""The Pareto frontier of a search's trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from paretune.stats.pareto import non_dominated
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord

__all__ = ["frontier"]


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
