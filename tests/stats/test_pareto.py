"""Frontiers and hypervolumes: by hand, at the edges, under transformations, and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.stats import fronts, hypervolume, non_dominated, normalised_hypervolume

NAN, INF = float("nan"), float("inf")
clouds = st.integers(1, 4).flatmap(
    lambda m: st.tuples(
        st.lists(st.lists(st.integers(0, 4), min_size=m, max_size=m), min_size=1, max_size=12),
        st.lists(st.sampled_from(["max", "min"]), min_size=m, max_size=m),
    )
)


def brute_force(points: np.ndarray, directions: list[str]) -> list[bool]:
    """Compare every pair, as the definition says."""
    signed = points * np.array([1 if each == "max" else -1 for each in directions])
    return [not any((other >= one).all() and (other > one).any() for other in signed) for one in signed]


def test_a_frontier_by_hand() -> None:
    """Reward against tokens: (0.5, 100) and (0.7, 200) trade off; (0.6, 250) loses to the second in both."""
    points = np.array([[0.5, 100], [0.7, 200], [0.6, 250]])
    assert non_dominated(points, ["max", "min"]).tolist() == [True, True, False]


def test_duplicates_are_both_kept() -> None:
    """Equal points do not dominate each other; a point that is only as good in one objective loses."""
    points = np.array([[1, 1], [1, 1], [1, 0]])
    assert non_dominated(points, ["max", "max"]).tolist() == [True, True, False]


def test_unknown_and_infinite_values() -> None:
    """A NaN is on no frontier and keeps nobody off it; infinity is the best or the worst value."""
    points = np.array([[NAN, 9], [1, 1], [INF, 0], [-INF, 1]])
    assert non_dominated(points, ["max", "max"]).tolist() == [False, True, True, False]
    assert non_dominated(np.array([[NAN, NAN]]), ["max", "min"]).tolist() == [False]


def test_no_points_and_one_objective() -> None:
    """No points have an empty frontier; with one objective all the best are on it."""
    assert non_dominated(np.array([]), ["max", "min"]).tolist() == []
    assert non_dominated(np.array([[3], [1], [1]]), ["min"]).tolist() == [False, True, True]


@given(clouds)
@settings(max_examples=100, deadline=None)
def test_fronts_are_the_frontiers_of_what_is_left(cloud: tuple[list[list[int]], list[str]]) -> None:
    """The slow twin: take the frontier away, again and again."""
    points, directions = np.array(cloud[0], dtype=float), cloud[1]
    expected = np.full(len(points), -1)
    for front in range(len(points)):
        left = np.flatnonzero(expected < 0)
        expected[left[brute_force(points[left], directions)]] = front
    assert fronts(points, directions).tolist() == expected.tolist()


def test_fronts_at_the_edges() -> None:
    """No points have no fronts, one objective sorts, infinities compare, a NaN is refused."""
    assert fronts(np.array([]), ["max", "min"]).tolist() == []
    assert fronts(np.array([[3], [1], [1], [INF]]), ["min"]).tolist() == [1, 0, 0, 2]
    with pytest.raises(UsageError, match="NaN"):
        fronts(np.array([[NAN, 1.0]]), ["max", "max"])


@given(clouds)
@settings(max_examples=150, deadline=None)
def test_the_frontier_agrees_with_brute_force(cloud: tuple[list[list[int]], list[str]]) -> None:
    """The slow twin, on points with many ties; reversing the order changes nothing; the frontier is never empty."""
    points, directions = np.array(cloud[0], dtype=float), cloud[1]
    found = non_dominated(points, directions)
    assert found.tolist() == brute_force(points, directions)
    assert non_dominated(points[::-1], directions)[::-1].tolist() == found.tolist()
    assert found.any()


@pytest.mark.parametrize(
    ("points", "directions"), [([[1, 2]], ["max"]), ([[1]], ["up"]), ([1, 2], ["max"]), ([[1]], [])]
)
def test_points_must_fit_their_directions(points: list[list[float]], directions: list[str]) -> None:
    """A column without a direction, or a direction that is none, is an error."""
    with pytest.raises(UsageError):
        non_dominated(np.array(points), directions)


def test_a_hypervolume_by_hand() -> None:
    """Two overlapping rectangles: 0.5 x 100 and 0.7 x 50 from the reference (0, 200)."""
    points = np.array([[0.5, 100], [0.7, 150]])
    # 0.5 * (200-100) + (0.7-0.5) * (200-150) = 50 + 10 = 60
    assert hypervolume(points, ["max", "min"], [0, 200]) == pytest.approx(60)
    assert hypervolume(points[:, :1], ["max"], [0.1]) == pytest.approx(0.6)
    assert hypervolume(points[:, 1:], ["min"], [120]) == pytest.approx(20)


def test_points_beyond_the_reference_add_nothing() -> None:
    """A point no better than the reference, an unknown one, or none at all give 0."""
    assert hypervolume(np.array([[0.5, 300], [NAN, 1]]), ["max", "min"], [0, 200]) == 0
    assert hypervolume(np.empty((0, 2)), ["max", "min"], [0, 200]) == 0
    assert hypervolume(np.array([[-1.0]]), ["max"], [0]) == 0
    with pytest.raises(UsageError):
        hypervolume(np.array([[1, 1]]), ["max", "min"], [0])


def test_a_normalised_hypervolume_by_hand() -> None:
    """Rewards as they are, tokens as the share saved of the worst trial's."""
    points = np.array([[0.5, 100], [0.8, 200]])
    # (0.5, 1 - 100/200 = 0.5) and (0.8, 0): 0.5 * 0.5 + 0 = 0.25
    assert normalised_hypervolume(points, ["max", "min"]) == pytest.approx(0.25)


def test_maximised_values_outside_0_and_1_are_scaled_by_their_range() -> None:
    """A score of 10, 20 and 30 becomes 0, 0.5 and 1."""
    points = np.array([[10, 0.9], [20, 0.4], [30, 0.2]])
    # (0, .9), (.5, .4), (1, .2): 0.5*0.4 + 0.5*0.2 = 0.3
    assert normalised_hypervolume(points, ["max", "max"]) == pytest.approx(0.3)


def test_minimised_values_below_zero_are_scaled_by_their_range() -> None:
    """Losses of -2 and 2: the best is the ideal, since 0 is not."""
    assert normalised_hypervolume(np.array([[-2.0], [2.0]]), ["min"]) == pytest.approx(1.0)


def test_an_objective_without_extent_is_left_out() -> None:
    """When every trial costs the same, or nothing, the volume is that of the other objectives."""
    assert normalised_hypervolume(np.array([[0.5, 0], [0.6, 0]]), ["max", "min"]) == pytest.approx(0.6)
    assert normalised_hypervolume(np.array([[0.6, 300]]), ["max", "min"]) == pytest.approx(0.6)


def test_no_finite_points_have_no_volume() -> None:
    """Nothing, NaN and infinity alone reach nothing."""
    assert normalised_hypervolume(np.array([]), ["max", "min"]) == 0
    assert normalised_hypervolume(np.array([[NAN, 1], [1, INF]]), ["max", "min"]) == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 900), st.floats(0, 1)), min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_a_normalised_hypervolume_is_a_share_and_ignores_dominated_points(
    points: list[tuple[float, float, float]],
) -> None:
    """It lies in [0, 1], does not depend on the order or the unit of cost, and agrees with counting random points."""
    cloud, directions = np.array(points), ["max", "min", "max"]
    found = normalised_hypervolume(cloud, directions)
    assert 0 <= found <= 1
    assert normalised_hypervolume(cloud[::-1], directions) == pytest.approx(found, abs=1e-9)
    assert normalised_hypervolume(cloud * [1, 4, 1], directions) == pytest.approx(found, abs=1e-9)
    worst = cloud[:, 1].max()
    if cloud[:, 1].min() < worst:
        shares = np.stack([cloud[:, 0], 1 - cloud[:, 1] / worst, cloud[:, 2]], axis=1)
        darts = np.random.default_rng(0).random((4000, 3))
        hit = (shares[None] >= darts[:, None]).all(axis=2).any(axis=1).mean()
        assert hit == pytest.approx(found, abs=0.05)
