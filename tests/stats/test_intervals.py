"""Intervals of measures and of paired differences: by hand, at the edges, invariances, and slow twins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.metrics.metric import mean
from paretune.stats import (
    Bootstrap,
    Interval,
    Measure,
    agresti_min,
    difference,
    effective_n,
    intervals_of,
    mcnemar,
    paired_scores,
    percentile_interval,
    wilson,
)
from paretune.stats.measure import Kind

NAN = math.nan


def mean_of(*replicates: Any, kind: Kind = "share") -> Measure:
    """The mean over replicates of the mean of some rewards; a NaN is a failed example, which has a row of zeros."""
    columns = [np.asarray(each, dtype=float) for each in replicates]
    pairs = [np.stack([np.nan_to_num(each), ~np.isnan(each)], axis=1) for each in columns]

    def reduce(totals: Any) -> Any:
        return np.mean([mean(part) for part in np.split(totals, len(pairs), axis=-1)], axis=0)

    return Measure("reward", "max", np.concatenate(pairs, axis=1), reduce, kind)


def other_of(values: Any) -> Measure:
    """A number of which nothing more is known."""
    return mean_of(values, kind="other")


def interval(measure: Measure, confidence: float = 0.95) -> Interval:
    """On 2,000 resamples of its examples."""
    (found,) = intervals_of([measure], Bootstrap(len(measure.statistics)), confidence)
    return found


def is_nan(found: Interval) -> bool:
    return math.isnan(found.lo) and math.isnan(found.hi)


def test_yes_or_no_gets_wilson_over_the_scored_examples() -> None:
    """2 right, 1 wrong and 1 failed example are 2 of 3."""
    number = mean_of([1, 1, 0, NAN])
    assert number.value == pytest.approx(2 / 3)
    assert interval(number) == wilson(2, 3)


def test_replicates_get_wilson_on_an_effective_n() -> None:
    """Two replicates of 20 examples that are all right are worth 20, not certain; those that differ more."""
    assert interval(mean_of([1] * 20, [1] * 20)) == wilson(20, 20) == pytest.approx((0.839, 1), abs=1e-3)
    rng = np.random.default_rng(0)
    first, second = rng.random(40) < 0.6, rng.random(40) < 0.6
    number = mean_of(first, second)
    n = effective_n((first * 1.0 + second) / 2, 80)
    assert 40 < n <= 80
    assert interval(number) == pytest.approx(wilson(number.value * n, n))


def slow_t_interval(values: np.ndarray, bootstrap: Bootstrap) -> Interval:
    """The bootstrap's t of a mean: for each resample its distance in its own standard errors."""
    n, t = len(values), []
    for block in bootstrap.blocks():
        for counts in block:
            drawn = np.repeat(values, counts)
            t.append((drawn.mean() - values.mean()) / (drawn.std() / math.sqrt(n)))
    lo, hi = np.quantile(t, [0.025, 0.975])
    error = values.std() / math.sqrt(n)
    return Interval(values.mean() - hi * error, values.mean() - lo * error)


def test_a_skewed_mean_of_few_gets_the_bootstraps_t() -> None:
    """The slow twin, on 30 skewed amounts; the upper end lies further out than the lower."""
    values = np.random.default_rng(1).gamma(0.7, 1.0, 30) / 8
    bootstrap = Bootstrap(30, resamples=400)
    (found,) = intervals_of([mean_of(values, kind="mean")], bootstrap)
    assert found == pytest.approx(slow_t_interval(values, bootstrap))
    assert found.hi - values.mean() > 1.1 * (values.mean() - found.lo)


def test_scores_get_wilson_on_an_effective_n() -> None:
    """Skewed ones, ones that hardly vary, and ones that do not: of any of them something is known, and no certainty."""
    for scores in (np.random.default_rng(1).beta(0.3, 2, 30), np.array([0.9] * 29 + [0.1]), np.full(30, 0.9)):
        n = effective_n(scores)
        assert interval(mean_of(scores)) == pytest.approx(wilson(float(scores.mean()) * n, n))
        assert n > 30
    assert is_nan(interval(mean_of([0.9] * 29 + [0.1], kind="mean")))  # dollars: in a third of the resamples all equal


def test_a_ratio_and_replicates_get_the_bootstraps_t_too() -> None:
    """Tokens a call, of examples with one or two calls in two replicates: as with the spread of single examples."""
    rng = np.random.default_rng(2)
    calls = rng.integers(1, 3, (40, 2))
    pairs = np.stack([rng.normal(100, 20, (40, 2)) * calls, calls], axis=2)
    twice = Measure("tokens", "min", pairs.reshape(40, 4), lambda t: (mean(t[..., :2]) + mean(t[..., 2:])) / 2, "mean")
    found = interval(twice)
    ratios = pairs[:, :, 0].sum(axis=0) / pairs[:, :, 1].sum(axis=0)
    influence = ((pairs[:, :, 0] - ratios * pairs[:, :, 1]) / pairs[:, :, 1].mean(axis=0)).mean(axis=1)
    half = 2.02 * influence.std(ddof=1) / math.sqrt(40)  # Student's t, 39 degrees of freedom
    assert found == pytest.approx((ratios.mean() - half, ratios.mean() + half), abs=0.35 * half)


def test_many_amounts_get_percentiles() -> None:
    """From 100 examples on, as does a number of which nothing is known at any n."""
    values = np.random.default_rng(3).gamma(2.0, 1.0, 120)
    for number in (mean_of(values, kind="mean"), other_of(values[:30])):
        bootstrap = Bootstrap(len(number.statistics))
        assert interval(number) == percentile_interval(next(bootstrap.values([number])))


def test_amounts_that_never_vary() -> None:
    """Twenty calls that cost nothing cost nothing; nineteen say nothing yet; a share is never certain."""
    for kind in ("mean", "other"):
        assert interval(mean_of([0.0] * 20, kind=kind)) == (0, 0)
        assert is_nan(interval(mean_of([0.0] * 19, kind=kind)))
    assert is_nan(interval(mean_of([7.0] * 10)))  # no share at all
    assert interval(mean_of([0.0] * 20)) == wilson(0, 20)


@pytest.mark.parametrize("number", [mean_of([]), mean_of([NAN]), mean_of([NAN] * 5), mean_of([3.0]), other_of([0.3])])
def test_no_interval_where_nothing_can_be_said(number: Measure) -> None:
    """No example, only failed ones, or a single amount: NaN, not a point that claims certainty."""
    assert is_nan(interval(number))


def test_mostly_failed_examples_have_no_bootstrap_interval() -> None:
    """With 2 of 40 scored, exp(-2) = 13 % of the resamples hold neither: too many for a 95 % interval."""
    assert is_nan(interval(mean_of([20, 70] + [NAN] * 38, kind="mean")))


def test_an_unknown_number_in_the_statistics_stays_unknown() -> None:
    """One example without a known cost leaves the mean cost and its interval unknown, without a warning."""
    number = Measure("cost", "min", np.array([[1.0, 1.0], [np.nan, 1.0], [2.0, 1.0]]), mean, "mean")
    assert math.isnan(number.value)
    assert is_nan(interval(number))


amounts = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(amounts, st.sampled_from(["share", "mean", "other"]), st.sampled_from([0.5, 0.95]))
@settings(max_examples=80, deadline=None)
def test_an_interval_holds_its_number_and_is_no_point(values: list[float], kind: Kind, confidence: float) -> None:
    """Whatever was measured on fewer than 20 examples; a share stays in [0, 1] and an amount above 0."""
    number = mean_of(values, kind=kind)
    (found,) = intervals_of([number], Bootstrap(len(values), resamples=200), confidence)
    if is_nan(found):
        assert kind != "share"
        return
    assert len(values) >= 20 or found.lo < found.hi
    assert found.lo >= 0 and (kind != "share" or found.hi <= 1 + 1e-9)
    if kind != "other":
        assert found.lo <= number.value + 1e-9 and number.value - 1e-9 <= found.hi


def test_a_paired_gain_by_hand() -> None:
    """5 only the first, 1 only the second, 50 examples."""
    first = mean_of([1] * 30 + [1] * 5 + [0] * 15)
    second = mean_of([1] * 30 + [0] * 5 + [1] + [0] * 14)
    found = difference(first, second, Bootstrap(50))
    assert found == (4 / 50, *agresti_min(5, 1, 50), 50, mcnemar(5, 1))


def test_a_gain_is_of_the_examples_that_both_scored() -> None:
    """Right on 1 to 3 and wrong on 4, against right on 1 and 2 and failed on 3 and 4: no difference, on 2 examples."""
    found = difference(mean_of([1, 1, 1, 0]), mean_of([1, 1, NAN, NAN]), Bootstrap(4))
    assert (found.value, found.n) == (0, 2)
    nothing = difference(mean_of([1, NAN]), mean_of([NAN, 1]), Bootstrap(2))
    assert nothing.n == 0 and math.isnan(nothing.value) and math.isnan(nothing.lo) and math.isnan(nothing.p_value)


def test_a_gain_of_scores_or_replicates_is_that_of_what_examples_are_worth() -> None:
    """Two replicates against one, and scores that always differ by the same: Agresti and Min's formula, no p-value."""
    rng = np.random.default_rng(4)
    first, again, second = (rng.random(60) < 0.7 for _ in range(3))
    found = difference(mean_of(first, again), mean_of(second), Bootstrap(60))
    gains = (first * 1.0 + again) / 2 - second
    assert found[:3] == pytest.approx((gains.mean(), *paired_scores(gains))) and math.isnan(found.p_value)
    assert difference(mean_of([0.5] * 25), mean_of([0.25] * 25), Bootstrap(25)).lo == pytest.approx(0.1548, abs=1e-4)


@pytest.mark.parametrize("kind", ["share", "other"])
def test_swapping_the_sides_negates_a_difference(kind: Kind) -> None:
    """Of scores as of any number; and a number against itself differs by exactly 0."""
    rng = np.random.default_rng(0)
    first, second = mean_of(rng.random(130), kind=kind), mean_of(rng.random(130), kind=kind)
    bootstrap = Bootstrap(130)
    one, other = difference(first, second, bootstrap), difference(second, first, bootstrap)
    assert (other.value, other.lo, other.hi) == pytest.approx((-one.value, -one.hi, -one.lo))
    assert difference(first, first, bootstrap).value == 0


def test_a_paired_difference_is_narrower_than_an_unpaired_one() -> None:
    """Two rewards that rise and fall together are told apart although their own intervals overlap."""
    rng = np.random.default_rng(1)
    hardness = rng.random(400)
    better, worse = mean_of(hardness), mean_of(np.maximum(hardness - 0.05 + 0.01 * rng.random(400), 0))
    found = difference(better, worse, Bootstrap(400))
    assert 0.035 < found.lo < found.hi < 0.055
    assert interval(worse).hi > interval(better).lo


@pytest.mark.parametrize("n", [20, 60])
def test_the_share_of_intervals_that_hold_the_truth(n: int) -> None:
    """Of 300 samples of skewed amounts, about 94 %, where percentiles hold it 89 % of the time at n = 20."""
    rng = np.random.default_rng(7)
    numbers = [mean_of(rng.exponential(size=n), kind="mean") for _ in range(300)]
    held = [lo <= 1 <= hi for lo, hi in intervals_of(numbers, Bootstrap(n, resamples=600))]
    assert 0.915 <= np.mean(held) <= 0.975  # a standard error is 1.3 points


def test_the_share_of_paired_intervals_that_hold_the_truth() -> None:
    """Of 400 paired samples of 50 answers that are nearly always right, at least 95 %, where percentiles hold 85 %."""
    rng = np.random.default_rng(8)
    held = []
    for _ in range(400):
        hardness = rng.random(50)
        found = difference(mean_of(hardness < 0.98), mean_of(hardness < 0.95), Bootstrap(50))
        held.append(found.lo <= 0.03 <= found.hi)
    assert np.mean(held) >= 0.95


@pytest.mark.parametrize("n", [20, 50, 200])
def test_the_share_of_score_intervals_that_hold_the_truth(n: int) -> None:
    """A judge that gives most answers next to nothing: about 95 %, and not by intervals that say nothing (of 20 scores
    the bootstrap's t was twice as wide)."""
    rng = np.random.default_rng(9)
    samples = [(rng.beta(0.1, 1, n), rng.beta(0.1, 1, n)) for _ in range(400)]  # means of 1/11
    found = [interval(mean_of(one)) for one, _ in samples]
    assert np.mean([lo <= 1 / 11 <= hi for lo, hi in found]) >= 0.93
    assert np.mean([hi - lo for lo, hi in found]) < 1.0 / math.sqrt(n)
    pairs = [difference(mean_of(one), mean_of(other), Bootstrap(n)) for one, other in samples]
    assert np.mean([pair.lo <= 0 <= pair.hi for pair in pairs]) >= 0.94
    assert np.mean([pair.hi - pair.lo for pair in pairs]) < 1.4 / math.sqrt(n)
