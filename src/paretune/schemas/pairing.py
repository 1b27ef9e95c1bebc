"""The best one-to-one pairing of two lists, by how alike their items are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_in_order", "best_pairing"]

Array = NDArray[np.float64]


def best_pairing(alike: Array) -> float:
    """The largest sum of ``alike`` (shape (n, m), from 0 to 1) over pairs of a row and a column, each used once.

    The Hungarian method (Kuhn 1955) with potentials, row after row by shortest augmenting paths: O(n² m) for n <= m.
    """
    cost = -(alike if alike.shape[0] <= alike.shape[1] else alike.T)
    rows, columns = cost.shape
    row_potential, column_potential = np.zeros(rows), np.zeros(columns + 1)
    #: The row of each column; the last column is where a row that is still alone stands.
    partner = np.full(columns + 1, -1)
    for row in range(rows):
        partner[-1], column = row, columns
        least, before = np.full(columns, np.inf), np.full(columns, columns)
        reached = np.zeros(columns + 1, dtype=bool)
        while partner[column] >= 0:
            reached[column] = True
            here = partner[column]
            reduced = cost[here] - row_potential[here] - column_potential[:-1]
            better = ~reached[:-1] & (reduced < least)
            least[better], before[better] = reduced[better], column
            following = int(np.argmin(np.where(reached[:-1], np.inf, least)))
            step = least[following]
            row_potential[partner[reached]] += step
            column_potential[reached] -= step
            least[~reached[:-1]] -= step
            column = following
        while column != columns:
            partner[column], column = partner[before[column]], before[column]
    return math.fsum(-cost[row, column] for column, row in enumerate(partner[:-1]) if row >= 0)


def best_in_order(alike: Array) -> float:
    """The largest sum over such pairs of which no two cross: the later row has the later column."""
    best = np.zeros(alike.shape[1] + 1)
    for row in alike:
        paired = np.concatenate([[0.0], best[:-1] + row])
        best = np.maximum.accumulate(np.maximum(best, paired))
    return float(best[-1])
