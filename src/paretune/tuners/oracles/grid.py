"""Every combination, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paretune.tuners.oracles.base import ReplayableOracle
from paretune.tuners.spaces import Values, combinations, grid_points, space_size
from paretune.tuners.tuner import Tuner

__all__ = ["GridOracle", "GridSearch"]


class GridOracle(ReplayableOracle):
    """Every combination exactly once, the defaults first; the hyperparameter declared last changes fastest."""

    _combinations: Iterator[Values] | None = None
    _given = 0

    def restart(self) -> None:
        super().restart()
        self._combinations, self._given = None, 0

    def total(self) -> int | None:
        for kind in self.hyperparameters.space:
            grid_points(kind)  # raises for what a grid cannot list
        return super().total()

    def size(self) -> int | None:
        return space_size(self.hyperparameters, grid_points)

    def propose(self, number: int) -> Values | None:
        if self._combinations is None:
            self._combinations, self._given = combinations(self.hyperparameters, grid_points), 0
        while self._given < number:  # trials that are known from a record were not asked for
            next(self._combinations, None)
            self._given += 1
        self._given += 1
        return next(self._combinations, None)


class GridSearch(Tuner):
    """Every combination of the hyperparameters exactly once, that of their defaults first.

    ``max_trials``: how many at most; raising it later continues a finished search. The other arguments are those of
    ``Tuner``.
    """

    oracle_class = GridOracle

    def __init__(
        self, hypermodel: Any, objective: Any = None, max_trials: int | None = None, *more: Any, **options: Any
    ) -> None:
        super().__init__(hypermodel, objective, *more, oracle_options={"max_trials": max_trials}, **options)
