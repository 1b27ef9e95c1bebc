"""Oracles whose proposals do not depend on results: a grid, and draws at random."""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np

from paretune.tuners.oracle import ReplayableOracle, same_point
from paretune.tuners.spaces import Values, combinations, draw, grid_values

__all__ = ["GridOracle", "RandomOracle", "untried"]

#: Draws that hit a point already tried, before the rest of a finite space is listed.
_COLLISIONS = 50


class GridOracle(ReplayableOracle):
    """Every combination exactly once; the hyperparameter declared last changes fastest."""

    _combinations: Iterator[Values] | None = None
    _given = 0

    def restart(self) -> None:
        super().restart()
        self._combinations, self._given = None, 0

    def total(self) -> int | None:
        for kind in self.hyperparameters.space:
            grid_values(kind)  # raises for what a grid cannot list
        return super().total()

    def propose(self, number: int) -> Values | None:
        if self._combinations is None:
            self._combinations, self._given = combinations(self.hyperparameters), 0
        while self._given < number:  # trials that are known from a record were not asked for
            next(self._combinations, None)
            self._given += 1
        self._given += 1
        return next(self._combinations, None)


class RandomOracle(ReplayableOracle):
    """Independent uniform draws without repeats; a small finite space is covered completely."""

    def propose(self, number: int) -> Values | None:
        return untried(self, np.random.default_rng([self.seed, number]))


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
