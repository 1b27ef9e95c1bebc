"""The share of an objective's variance that goes with a hyperparameter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.reporting.html.importance import importance


def test_by_hand() -> None:
    """Values 1, 3 | 5, 7: SSW = 2 + 2 = 4, SST = 9 + 1 + 1 + 9 = 20; 1 - (4 / 2) / (20 / 3) = 0.7."""
    assert importance(["a", "a", "b", "b"], [1.0, 3.0, 5.0, 7.0]) == (pytest.approx(0.7), 2)


def test_what_changes_nothing_has_no_share() -> None:
    """Where both groups have the same mean, the adjusted share would be below 0, and is 0."""
    assert importance([0, 0, 1, 1], [1.0, 3.0, 1.0, 3.0]).share == 0.0


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ([], []),
        (["a", "a"], [1.0, 2.0]),  # one group
        (["a", "b"], [1.0, 2.0]),  # a group a trial
        (["a", "a", "b"], [2.0, 2.0, 2.0]),  # nothing varies
        (["a", "a", "b"], [1.0, math.nan, 2.0]),  # a group a trial that was measured
    ],
)
def test_what_cannot_be_told_is_nan(options: list[str], values: list[float]) -> None:
    """No share is made up where the trials do not tell one."""
    assert math.isnan(importance(options, values).share)


def test_many_numbers_are_cut_at_their_quartiles() -> None:
    """Forty different temperatures are four groups, and a trial without one is in a fifth."""
    assert importance([*np.linspace(0, 1, 40).tolist(), None], [*range(40), 3.0]).groups == 5


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-1e3, 1e3)), min_size=2, max_size=30))
def test_a_share_is_one_and_independent_of_order_and_scale(rows: list[tuple[str, float]]) -> None:
    """It is in [0, 1] or NaN, and the same for shuffled trials and in another unit."""
    options, values = [row[0] for row in rows], [row[1] for row in rows]
    share = importance(options, values).share
    other = importance(options[::-1], [2 * value + 1 for value in values[::-1]]).share
    assert math.isnan(share) or 0 <= share <= 1
    assert math.isnan(share) or math.isnan(other) or other == pytest.approx(share, abs=1e-6)
