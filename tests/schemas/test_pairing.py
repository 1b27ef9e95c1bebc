"""The best pairing of two lists is the best there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from paretune.schemas.pairing import best_in_order, best_pairing

sizes = st.tuples(st.integers(0, 5), st.integers(0, 5))
alikes = sizes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])))


@given(alikes)
def test_any_order_is_the_assignment_problem(alike: np.ndarray) -> None:
    """The sum is that of SciPy's solver, whichever side is longer."""
    rows, columns = linear_sum_assignment(alike, maximize=True)
    assert best_pairing(alike) == pytest.approx(alike[rows, columns].sum())


@given(alikes)
def test_in_order_is_the_best_of_all_choices_that_do_not_cross(alike: np.ndarray) -> None:
    """Against every choice of equally many rows and columns, both rising."""
    rows, columns = alike.shape
    sums = [
        sum(alike[pair] for pair in zip(some, others, strict=True))
        for size in range(min(rows, columns) + 1)
        for some in itertools.combinations(range(rows), size)
        for others in itertools.combinations(range(columns), size)
    ]
    assert best_in_order(alike) == pytest.approx(max(sums))


def test_a_greedy_pairing_would_not_do() -> None:
    """0.9 + 0.9 beats 1.0 + 0.0: the best pair is not part of the best pairing."""
    alike = np.array([[1.0, 0.9], [0.9, 0.0]])
    assert best_pairing(alike) == pytest.approx(1.8)
    assert best_in_order(alike) == 1.0
