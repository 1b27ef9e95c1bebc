"""Frontier probabilities and hypervolumes with intervals: by hand, invariances, slow twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.stats import Axis, frontier_probability, hypervolume_of, scaled_volume, settled

NAN = float("nan")
AXES = [Axis(0.0, 1.0), Axis(1000.0, 10.0, log=True)]
DIRECTIONS = ["max", "min"]
clouds = st.lists(st.tuples(st.floats(0, 1), st.floats(1, 2000)), min_size=1, max_size=7)


def test_probabilities_by_hand() -> None:
    """Three draws of three trials: the second wins alone once, the third never; the last draw is a tie of two."""
    draws = np.array(
        [
            [[0.5, 10], [0.6, 20], [0.4, 30]],
            [[0.5, 10], [0.6, 10], [0.5, 30]],
            [[0.5, 10], [0.5, 10], [0.5, 30]],
        ]
    )
    assert frontier_probability(draws, DIRECTIONS) == pytest.approx([2 / 3, 1, 0])


def test_a_trial_that_takes_no_part_in_a_draw_is_not_on_its_frontier() -> None:
    """It breaks a constraint in one of two draws, and keeps nobody off the frontier in it."""
    draws = np.array([[[0.9, 5], [0.5, 10]], [[NAN, NAN], [0.5, 10]]])
    assert frontier_probability(draws, DIRECTIONS) == pytest.approx([0.5, 0.5])


@given(st.integers(0, 1000), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_dominated_trial_changes_no_probability(seed: int, objectives: int) -> None:
    """Worse than the first in each draw, it gets 0 and the others keep theirs; mirrored goals give the same."""
    draws = np.random.default_rng(seed).integers(0, 5, (40, 4, objectives)).astype(float)
    more = np.concatenate([draws, draws[:, :1] - 1], axis=1)
    found = frontier_probability(draws, ["max"] * objectives)
    assert frontier_probability(more, ["max"] * objectives) == pytest.approx([*found, 0])
    assert frontier_probability(-draws, ["min"] * objectives) == pytest.approx(found)


def test_an_unsettled_frontier_by_hand() -> None:
    """Two members of .9 and .8 and one outside of .1: .4 wrong of 2.1; with members of .5 half of it is wrong."""
    found = settled([True, True, False], np.array([0.9, 0.8, 0.1]))
    assert found.wrong == pytest.approx(0.4) and found.settled
    found = settled([True, True, False], np.array([0.5, 0.6, 0.4]))
    assert found.wrong == pytest.approx(1.3) and not found.settled
    assert settled([], np.array([])) == (0.0, True)


def test_an_axis_by_hand() -> None:
    """From 1,000 to 10 tokens on a log scale, 100 is half the way; beyond the ends nothing is gained or lost."""
    assert AXES[1].scaled(np.array([2000, 1000, 100, 10, 1, 0])) == pytest.approx([0, 0, 0.5, 1, 1, 1])
    assert AXES[0].scaled(np.array([-1, 0.25, 3])) == pytest.approx([0, 0.25, 1])
    assert Axis(1.0, 0.0).scaled(np.array([0.25])) == pytest.approx([0.75])
    assert math.isnan(AXES[1].scaled(np.array([NAN]))[0])
    assert [axis.direction for axis in AXES] == ["max", "min"]


@pytest.mark.parametrize("ends", [(1.0, 1.0, False), (0.0, 1.0, True), (math.inf, 1.0, False), (5.0, -1.0, True)])
def test_an_axis_needs_two_ends(ends: tuple[float, float, bool]) -> None:
    """Equal ends have no way between them, and a log scale no 0."""
    with pytest.raises(UsageError, match="two different finite"):
        Axis(*ends)


def test_a_bad_trial_more_does_not_raise_the_volume() -> None:
    """(.8, 100 tokens) and (.6, 50): the dominated (.1, 1000) changes nothing, nor does a single token decide all."""
    points = np.array([[0.8, 100.0], [0.6, 50.0]])
    found = scaled_volume(points, AXES)
    # log10 of 1000/100 and 1000/50 over 2 decades: .5 and .6505; .8 * .5 + .6 * .1505
    assert found == pytest.approx(0.8 * 0.5 + 0.6 * (math.log10(20) / 2 - 0.5))
    assert scaled_volume(np.concatenate([points, [[0.1, 1000.0]]]), AXES) == found
    same = [scaled_volume(np.array([[0.8, 100.0], [0.7, tokens]]), AXES) for tokens in (100, 101)]
    assert same[0] == same[1] == pytest.approx(0.4)


@given(clouds, st.tuples(st.floats(0, 1), st.floats(1, 2000)))
@settings(max_examples=60, deadline=None)
def test_a_volume_is_a_share_that_only_better_trials_raise(
    points: list[tuple[float, float]], other: tuple[float, float]
) -> None:
    """In [0, 1]; a trial more never lowers it, one that is dominated leaves it as it is."""
    cloud = np.array(points)
    found = scaled_volume(cloud, AXES)
    assert 0 <= found <= 1
    assert scaled_volume(np.array([*points, other]), AXES) >= found - 1e-12
    worse = (points[0][0] / 2, points[0][1] * 2)
    assert scaled_volume(np.array([*points, worse]), AXES) == pytest.approx(found, abs=1e-12)
    assert scaled_volume(cloud * [1, 4], [AXES[0], Axis(4000.0, 40.0, log=True)]) == pytest.approx(found, abs=1e-9)


def test_the_volume_of_nothing() -> None:
    """No trial, and one without a number, cover nothing."""
    assert scaled_volume(np.zeros((0, 2)), AXES) == 0
    assert scaled_volume(np.array([[NAN, 3.0]]), AXES) == 0
    assert hypervolume_of(np.zeros((0, 2)), AXES, np.zeros((5, 0, 2))) == (0, 0, 0, 0)
    assert math.isnan(hypervolume_of(np.zeros((0, 2)), AXES, np.zeros((0, 0, 2))).lo)


def test_a_volume_is_corrected_by_what_the_draws_add() -> None:
    """Measured .25; the draws are .2 to .4 with the mean .3, .05 above it: .20 remains."""
    draws = np.linspace(0.2, 0.4, 101)[:, None, None]
    found = hypervolume_of(np.array([[0.25]]), [Axis(0.0, 1.0)], draws, 0.8)
    assert found.plug_in == 0.25 and found.value == pytest.approx(0.2)
    assert (found.lo, found.hi) == pytest.approx((0.12, 0.28))  # percentiles .22 to .38, less twice .05
