"""Every combination, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator

from paretune.tuners.oracles.base import ReplayableOracle
from paretune.tuners.spaces import Values, combinations, grid_values

__all__ = ["GridOracle"]


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
