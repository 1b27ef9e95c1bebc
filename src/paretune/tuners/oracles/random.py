"""Draws at random, whose results decide nothing."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np

from paretune.tuners.oracles.base import ReplayableOracle, same_point
from paretune.tuners.spaces import Values, draw
from paretune.tuners.tuner import Tuner

__all__ = ["RandomOracle", "RandomSearch", "untried"]

#: Draws that hit a point already tried, before the rest of a finite space is listed.
_COLLISIONS = 50


class RandomOracle(ReplayableOracle):
    """Independent uniform draws without repeats; a small finite space is covered completely."""

    def propose(self, number: int) -> Values | None:
        return untried(self, np.random.default_rng([self.seed, number]))


class RandomSearch(Tuner):
    """Independent uniform draws without repeats; a small finite space is covered completely.

    ``max_trials``: how many at most (None: all points of a finite space); raising it later continues a finished search.
    The other arguments are those of ``Tuner``.
    """

    oracle_class = RandomOracle

    def __init__(
        self, hypermodel: Any, objective: Any = None, max_trials: int | None = 10, *more: Any, **options: Any
    ) -> None:
        super().__init__(hypermodel, objective, *more, oracle_options={"max_trials": max_trials}, **options)


def untried(oracle: ReplayableOracle, rng: np.random.Generator, avoided: Container[str] | None = None) -> Values | None:
    """A uniform draw of a point that was not tried yet; None when there is none (or none was found in an infinite
    space). ``avoided`` are the points that count as tried (as ``same_point`` writes them); by default those of all
    trials."""
    tried = oracle.points_tried if avoided is None else avoided
    for _ in range(_COLLISIONS):
        values = draw(oracle.hyperparameters, rng)
        if same_point(values) not in tried:
            return values
    left = [values for point, values in oracle.listing() if point not in tried]
    return dict(left[int(rng.integers(len(left)))]) if left else None
