"""Intervals: hand-derived values, edge cases, invariants, a reference twin, and the share of intervals that hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from paretune.errors import UsageError
from paretune.stats import (
    Bootstrap,
    Interval,
    Measure,
    difference_interval,
    intervals_of,
    percentile_interval,
    wilson,
)


def measure_of(
    statistics: Any,
    reduce: Callable[[Any], Any] = lambda totals: totals[..., 0] / totals[..., 1],
    *,
    proportion: bool = False,
) -> Measure:
    """A measure as the metrics make it."""
    return Measure("reward", "max", statistics, reduce, proportion)


def interval(measure: Measure, bootstrap: Bootstrap, confidence: float = 0.95) -> Interval:
    (found,) = intervals_of([measure], bootstrap, confidence)
    return found


def mean_of(values: list[float] | np.ndarray, *, proportion: bool = True) -> Measure:
    """The mean of some rewards; a NaN is a failed example, which has a row of zeros."""
    column = np.asarray(values, dtype=float)
    scored = ~np.isnan(column)
    return measure_of(np.stack([np.where(scored, column, 0.0), scored], axis=1), proportion=proportion)


def f1_of(tp: list[int], fp: list[int], fn: list[int]) -> Measure:
    """A pooled F1 score: 2 TP / (2 TP + FP + FN)."""
    return measure_of(
        np.array([tp, fp, fn], dtype=float).T,
        lambda t: 2 * t[..., 0] / (2 * t[..., 0] + t[..., 1] + t[..., 2]),
    )


def resampled(bootstrap: Bootstrap, measure: Measure) -> Any:
    """The values of one measure."""
    (values,) = bootstrap.values([measure])
    return values


def is_nan(found: Interval) -> bool:
    return math.isnan(found.lo) and math.isnan(found.hi)


def test_wilson_by_hand() -> None:
    """8 of 10 at 95 %, worked out with z = 1.959964."""
    # z^2 = 3.841459; denominator 1 + 3.841459/10 = 1.3841459
    # centre (0.8 + 3.841459/20) / 1.3841459 = 0.99207295 / 1.3841459 = 0.7167402
    # half   1.959964 * sqrt(0.8*0.2/10 + 3.841459/400) / 1.3841459
    #      = 1.959964 * sqrt(0.016 + 0.0096036) / 1.3841459 = 1.959964 * 0.1600114 / 1.3841459 = 0.2265777
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)


def test_wilson_of_nothing_and_of_one() -> None:
    """No example says nothing; one success of one leaves z^2/(1+z^2) = 3.8415/4.8415 of the line below it open."""
    assert is_nan(wilson(0, 0))
    # lower end = 1/(1 + z^2) = 1/4.841459 = 0.2065493
    assert wilson(1, 1) == pytest.approx((0.2065493, 1.0), abs=1e-6)
    assert wilson(0, 1) == pytest.approx((0.0, 0.7934507), abs=1e-6)


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_wilson_agrees_with_scipy(n: int, share: float, confidence: float) -> None:
    """The reference twin: scipy's interval of a binomial proportion, and the mirror image of the failures."""
    successes = round(share * n)
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    found = wilson(successes, n, confidence)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= found.lo <= successes / n <= found.hi <= 1
    mirrored = wilson(n - successes, n, confidence)
    assert (1 - mirrored.hi, 1 - mirrored.lo) == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("call", [lambda: wilson(3, 2), lambda: wilson(-1, 2), lambda: wilson(1, 2, 1.0)])
def test_wilson_refuses_what_is_no_proportion(call: Callable[[], Interval]) -> None:
    """Successes outside [0, n] and a confidence of 1 are errors, not numbers."""
    with pytest.raises(UsageError):
        call()


def test_percentiles_by_hand() -> None:
    """The central 80 % of 0..10 runs from 1 to 9."""
    assert percentile_interval(np.arange(11.0), 0.8) == pytest.approx((1.0, 9.0))


def test_undefined_resamples_are_left_out_until_they_are_too_many() -> None:
    """Of 100 resamples at 95 %, 5 may be undefined; with 6 nothing is claimed."""
    values = np.full(100, 0.5)
    values[:5] = np.nan
    assert percentile_interval(values) == (0.5, 0.5)
    values[5] = np.nan
    assert is_nan(percentile_interval(values))
    assert is_nan(percentile_interval(np.array([])))


def test_weights_are_multinomial_counts_that_depend_on_the_seed_alone() -> None:
    """Each row distributes n draws over n examples, with mean 1; equal seeds give equal counts."""
    counts = np.concatenate(list(Bootstrap(7, resamples=3000, seed=4).blocks()))
    assert counts.shape == (3000, 7)
    assert (counts.sum(axis=1) == 7).all()
    # A count is binomial(7, 1/7) with variance 6/7; the mean of 3000 has a standard error of 0.017.
    assert counts.mean(axis=0) == pytest.approx(np.ones(7), abs=0.08)
    again = Bootstrap(7, resamples=3000, seed=4)
    assert (np.concatenate(list(again.blocks())) == counts).all()
    assert (np.concatenate(list(Bootstrap(7, resamples=3000, seed=5).blocks())) != counts).any()


def test_blocks_do_not_change_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts drawn in small blocks, and drawn again instead of kept, give the same totals."""
    statistics = np.random.default_rng(0).random((50, 3))
    whole = Bootstrap(50, resamples=200, seed=1).totals(statistics)
    monkeypatch.setattr("paretune.stats.intervals._BLOCK_CELLS", 350)
    monkeypatch.setattr("paretune.stats.intervals._CACHE_BYTES", 0)
    blockwise = Bootstrap(50, resamples=200, seed=1)
    assert blockwise.totals(statistics) == pytest.approx(whole, abs=1e-12)
    assert blockwise.totals(statistics) == pytest.approx(whole, abs=1e-12)


def test_totals_agree_with_explicit_resampling() -> None:
    """The reference twin: repeat each example as often as its count says, and add up."""
    statistics = np.random.default_rng(0).random((6, 2))
    bootstrap = Bootstrap(6, resamples=20)
    slow = [np.repeat(statistics, row, axis=0).sum(axis=0) for block in bootstrap.blocks() for row in block]
    assert bootstrap.totals(statistics) == pytest.approx(np.array(slow))


def test_a_proportion_gets_wilson_over_the_scored_examples() -> None:
    """2 right, 1 wrong and 1 failed example are 2 of 3."""
    number = mean_of([1, 1, 0, math.nan])
    assert number.value == pytest.approx(2 / 3)
    assert interval(number, Bootstrap(4)) == wilson(2, 3)


def test_a_reward_between_0_and_1_gets_the_bootstrap() -> None:
    """One value of 0.5 makes it a mean like any other; its resamples' percentiles stay within the values' range."""
    number = mean_of([0, 0.5] * 20)
    found = interval(number, Bootstrap(40))
    # The mean is 0.25 with standard error 0.25/sqrt(40) = 0.0395: about 0.25 +- 1.96 * 0.0395 = (0.173, 0.327)
    assert found == pytest.approx((0.173, 0.327), abs=0.015)


def test_f1_is_no_proportion_even_when_each_example_scores_0_or_1() -> None:
    """An F1 pools its counts: Wilson would be wrong, though every single example has an F1 of 0 or 1."""
    number = f1_of(tp=[1] * 10 + [0] * 10, fp=[0] * 10 + [1] * 10, fn=[0] * 20)
    # value = 20/(20 + 10) = 2/3, while the mean over examples is 1/2
    assert number.value == pytest.approx(2 / 3)
    bootstrap = Bootstrap(20)
    assert interval(number, bootstrap) == percentile_interval(resampled(bootstrap, number))


def test_a_cost_of_nothing_is_no_proportion() -> None:
    """Forty calls that cost 0 dollars cost 0 for sure: [0, 0], where 0 right of 40 leaves room up to 0.09."""
    free = mean_of([0] * 40, proportion=False)
    assert interval(free, Bootstrap(40)) == (0.0, 0.0)
    # Wilson's upper end for 0 of 40 is z^2 / (40 + z^2) = 3.841459 / 43.841459
    assert interval(mean_of([0] * 40), Bootstrap(40)) == pytest.approx((0.0, 0.0876216), abs=1e-6)


@pytest.mark.parametrize("values", [[1.0] * 30, [0.0] * 20 + [1.0] * 10])
def test_a_cost_of_0_or_1_gets_the_bootstrap(values: list[float]) -> None:
    """Dollars that happen to be 0 or 1 are still dollars."""
    bootstrap, number = Bootstrap(30), mean_of(values, proportion=False)
    assert interval(number, bootstrap) == percentile_interval(resampled(bootstrap, number))
    assert is_nan(interval(mean_of([1], proportion=False), Bootstrap(1)))


@pytest.mark.parametrize("number", [mean_of([]), mean_of([0.3]), mean_of([math.nan]), mean_of([math.nan] * 5)])
def test_no_interval_where_nothing_can_be_said(number: Measure) -> None:
    """No example, one that is not binary, or only failed ones: NaN, not a point that claims certainty."""
    assert is_nan(interval(number, Bootstrap(len(number.statistics))))


def test_one_binary_example_has_a_wilson_interval() -> None:
    """One right answer of one is a proportion, and a wide interval is known for it."""
    assert interval(mean_of([1]), Bootstrap(1)) == wilson(1, 1)


def test_mostly_failed_examples_have_no_bootstrap_interval() -> None:
    """With 2 of 40 scored, exp(-2) = 13 % of the resamples hold neither: too many for a 95 % interval."""
    assert is_nan(interval(mean_of([0.2, 0.7] + [math.nan] * 38), Bootstrap(40)))


def test_an_unknown_number_in_the_statistics_stays_unknown() -> None:
    """One example without a known cost leaves the mean cost and its interval unknown, without a warning."""
    number = measure_of(np.array([[1.0, 1.0], [np.nan, 1.0], [2.0, 1.0]]))
    assert math.isnan(number.value)
    assert is_nan(interval(number, Bootstrap(3)))


def test_statistics_of_other_examples_are_refused() -> None:
    """Resamples of 4 examples cannot be applied to 3."""
    with pytest.raises(UsageError, match=r"\(4, k\)"):
        Bootstrap(4).totals(np.ones((3, 2)))


def test_a_paired_difference_knows_what_the_two_share() -> None:
    """A number against itself differs by exactly 0, and swapping the two flips the interval."""
    rng = np.random.default_rng(0)
    first, second = mean_of(rng.random(30)), mean_of(rng.random(30))
    bootstrap = Bootstrap(30)
    assert difference_interval(first, first, bootstrap) == (0.0, 0.0)
    lo, hi = difference_interval(first, second, bootstrap)
    assert difference_interval(second, first, bootstrap) == pytest.approx((-hi, -lo))
    assert is_nan(difference_interval(mean_of([1]), mean_of([0]), Bootstrap(1)))


def test_a_paired_difference_is_narrower_than_an_unpaired_one() -> None:
    """Two rewards that rise and fall together are told apart although their own intervals overlap."""
    rng = np.random.default_rng(1)
    hardness = rng.random(60)
    better, worse = mean_of(hardness), mean_of(hardness - 0.05 + 0.01 * rng.random(60))
    bootstrap = Bootstrap(60)
    lo, hi = difference_interval(better, worse, bootstrap)
    assert 0.04 < lo < hi < 0.05
    assert interval(worse, bootstrap).hi > interval(better, bootstrap).lo


@given(st.lists(st.floats(0, 1), min_size=2, max_size=25), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_bootstrap_stays_within_the_values_and_shrinks_with_confidence(values: list[float], rnd: Any) -> None:
    """A mean's interval lies between the smallest and the largest value, and 50 % is inside 95 %."""
    bootstrap = Bootstrap(len(values), resamples=200, seed=rnd.randrange(100))
    found = resampled(bootstrap, mean_of(values))
    wide, narrow = percentile_interval(found, 0.95), percentile_interval(found, 0.5)
    assert min(values) - 1e-9 <= wide.lo <= narrow.lo <= narrow.hi <= wide.hi <= max(values) + 1e-9


def test_the_share_of_bootstrap_intervals_that_hold_the_truth() -> None:
    """Of 300 samples of 60 exponential values, 95 % intervals hold the true mean of 1 about 93 % of the time."""
    rng = np.random.default_rng(7)
    held = 0
    for run in range(300):
        lo, hi = interval(mean_of(rng.exponential(size=60)), Bootstrap(60, resamples=400, seed=run))
        held += lo <= 1 <= hi
    # The percentile interval of a skewed mean is known to hold a little too seldom; 1.3 points is one standard error.
    assert 0.89 <= held / 300 <= 0.97


def test_the_share_of_paired_intervals_that_hold_the_truth() -> None:
    """Of 300 paired samples of 80 answers, 95 % intervals hold the true difference of 0.1 about 95 % of the time."""
    rng = np.random.default_rng(8)
    held = 0
    for run in range(300):
        hardness = rng.random(80)
        first, second = mean_of(1.0 * (hardness < 0.7)), mean_of(1.0 * (hardness + 0.0 < 0.6))
        lo, hi = difference_interval(first, second, Bootstrap(80, resamples=400, seed=run))
        held += lo <= 0.1 <= hi
    assert 0.90 <= held / 300 <= 0.985
