"""Frontiers and hypervolumes: by hand, at the edges, under transformations, and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.stats import fronts, hypervolume, non_dominated, rounded

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


def test_infinities_have_a_volume_or_none() -> None:
    """Infinitely dear adds nothing, infinitely good has no end; three objectives do not crash."""
    points = np.array([[0.5, INF, 1.0], [0.5, 100.0, 1.0], [NAN, 1.0, 1.0]])
    assert hypervolume(points, ["max", "min", "max"], [0, 200, 0]) == pytest.approx(50)
    assert hypervolume(np.array([[INF, 1.0]]), ["max", "max"], [0, 0]) == INF


def test_infinities_among_three_objectives() -> None:
    """They compare as usual, in the frontier and in the fronts."""
    points = np.array([[INF, 1, 1], [1, -INF, 1], [1, 1, 1], [INF, 0, 1]])
    assert non_dominated(points, ["max"] * 3).tolist() == [True, False, False, False]
    assert fronts(points, ["max"] * 3).tolist() == [0, 2, 1, 1]


def test_the_last_bit_of_a_float_decides_nothing() -> None:
    """Three right of ten in three replicates is .1 whichever way it is summed: the cheaper one dominates."""
    ways = [sum([0.0, 0.0, 0.3]) / 3, sum([0.0, 0.1, 0.2]) / 3]
    assert ways[0] != ways[1]
    points = np.array([[ways[0], 200], [ways[1], 100]])
    assert non_dominated(points, ["max", "min"]).tolist() == [False, True]
    assert fronts(points, ["max", "min"]).tolist() == [1, 0]
    assert non_dominated(points[:, :1], ["max"]).tolist() == [True, True]


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e20, max_value=1e20).filter(
    lambda value: value == 0 or abs(value) > 1e-12))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_rounding_is_that_of_the_files(value: float) -> None:
    """The slow twin is Python's own formatting with 10 significant digits, up to ties."""
    slow = float(f"{value:.10g}")
    found = float(rounded(value))
    assert found == slow or abs(found - value) == pytest.approx(abs(slow - value), rel=1e-5)
    assert float(rounded(found)) == found


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(-3e-16, 3e-16))
@settings(max_examples=200, deadline=None)
def test_rounding_takes_the_noise_of_sums(right: int, n: int, noise: float) -> None:
    """A share with the noise of a few additions rounds to the same float, unless it lies between two."""
    share = right / n
    digits = f"{share:.14e}".split("e")[0][11:]
    if not 4995 <= int(digits) <= 5005:
        assert rounded(share * (1 + noise)) == rounded(share)


def test_rounding_keeps_what_is_no_number() -> None:
    """NaN, infinities and 0 stay."""
    assert np.array_equal(rounded(np.array([NAN, INF, -INF, 0.0])), [NAN, INF, -INF, 0.0], equal_nan=True)
