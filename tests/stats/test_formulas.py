"""Closed formulas: values derived by hand, slow second implementations, invariances."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from paretune.errors import UsageError
from paretune.stats import (
    Interval,
    agresti_min,
    detectable_difference,
    effective_n,
    examples_needed,
    holm,
    mcnemar,
    newcombe,
    paired_scores,
    quantile_interval,
    wilson,
)

cells = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)).filter(lambda each: sum(each) > 0)


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


@pytest.mark.parametrize(
    "call",
    [
        lambda: wilson(3, 2),
        lambda: wilson(-1, 2),
        lambda: wilson(1, 2, 1.0),
        lambda: agresti_min(2, 2, 3),
        lambda: agresti_min(-1, 0, 3),
        lambda: quantile_interval(np.ones(3), 1.0),
        lambda: detectable_difference(100, 0.0),
        lambda: examples_needed(0.3, 0.2),
        lambda: examples_needed(0.1, 0.2, power=0.2),
    ],
)
def test_impossible_numbers_are_refused(call: Callable[[], object]) -> None:
    """Successes outside [0, n], more differences than examples, a confidence of 1: errors, not numbers."""
    with pytest.raises(UsageError):
        call()


def test_an_effective_n_by_hand() -> None:
    """Two replicates of four examples: (1, 1, .5, 0), and half an example right and half wrong."""
    # mean 3/5 = .6; mean of squares (1 + 1 + .25 + 0 + .5)/5 = .55; variance .55 - .36 = .19; 4 * .6*.4 / .19 = 5.0526
    assert effective_n(np.array([1, 1, 0.5, 0]), 8) == pytest.approx(5.0526, abs=1e-4)
    assert effective_n(np.array([1.0, 0, 1, 0]), 8) == pytest.approx(4)  # replicates that always agree are one answer
    assert effective_n(np.array([0.4, 0.6, 0.5, 0.5]), 8) == 8  # never more than the answers
    assert effective_n(np.ones(20), 40) == pytest.approx(20)
    # a judge that says .9 each time: mean 27.5/31 = .88710, variance (24.3 + .5)/31 - .78694 = .01306
    assert effective_n(np.full(30, 0.9)) == pytest.approx(30 * 0.10016 / 0.01306, rel=1e-3)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=50))
@settings(max_examples=40, deadline=None)
def test_yes_and_no_are_worth_their_number(values: list[float]) -> None:
    """And scores between them say more than that, never less."""
    assert effective_n(np.array(values)) == pytest.approx(len(values))
    assert effective_n(np.array(values) / 2 + 0.2) > len(values)


def test_agresti_min_by_hand() -> None:
    """No difference among 20 examples leaves .0891 to each side; 5 against 1 of 50 is not enough to be sure."""
    assert agresti_min(0, 0, 20) == pytest.approx((-0.0891, 0.0891), abs=1e-4)  # se = sqrt(1)/22 = .04545
    # b' = 5.5, c' = 1.5, N = 52: d = .0769, se = sqrt(7 - 16/52)/52 = .0497
    assert agresti_min(5, 1, 50) == pytest.approx((-0.0206, 0.1744), abs=1e-4)
    assert is_nan(agresti_min(0, 0, 0))


def test_paired_scores_by_hand() -> None:
    """25 scores that are .25 apart are at least .155 apart; of yes and no it is Agresti and Min's."""
    # sum 6.25, squares 1.5625, N = 27: .2315, se = sqrt(2.5625 - 6.25^2/27)/27 = .0391
    assert paired_scores(np.full(25, 0.25)) == pytest.approx((0.1548, 0.3082), abs=1e-4)
    assert paired_scores(np.array([1.0] * 5 + [-1.0] + [0.0] * 44)) == pytest.approx(agresti_min(5, 1, 50))
    assert is_nan(paired_scores(np.array([])))


@given(cells, st.sampled_from([0.5, 0.8, 0.95]))
@settings(max_examples=100, deadline=None)
def test_agresti_min_is_fair_to_both_sides(counts: tuple[int, int, int], confidence: float) -> None:
    """Swapping the sides negates it; it holds the measured difference, and has a width even where all agree."""
    b, c, same = counts
    n = b + c + same
    found, swapped = agresti_min(b, c, n, confidence), agresti_min(c, b, n, confidence)
    assert (-swapped.hi, -swapped.lo) == pytest.approx(found)
    assert -1 <= found.lo <= (b - c) / n <= found.hi <= 1
    assert found.lo < found.hi
    assert agresti_min(4 * b, 4 * c, 4 * n, confidence).hi - agresti_min(4 * b, 4 * c, 4 * n, confidence).lo < (
        found.hi - found.lo
    )


def test_newcombe_by_hand() -> None:
    """100 of 140 against 131 of 200 are .0593 apart, between -.042 and .156."""
    found = newcombe(100 / 140, wilson(100, 140), 131 / 200, wilson(131, 200))
    assert found == pytest.approx((-0.042, 0.156), abs=5e-4)
    assert is_nan(newcombe(0.5, wilson(0, 0), 0.4, wilson(2, 5)))


@given(st.integers(0, 30), st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_newcombe_is_fair_to_both_sides(right: int, other: int) -> None:
    """Swapping the two negates it, and it holds the measured difference."""
    one, two = (right / 30, wilson(right, 30)), (other / 40, wilson(other, 40))
    found, swapped = newcombe(*one, *two), newcombe(*two, *one)
    assert (-swapped.hi, -swapped.lo) == pytest.approx(found)
    assert found.lo <= one[0] - two[0] <= found.hi


def test_a_quantile_by_hand() -> None:
    """The median of 1 to 20 lies between the 6th and the 15th with 95.9 %; 71 values do not bound a 95th one."""
    # P(Bin(20, .5) <= 5) = .0207, P(... <= 14) = .9793
    assert quantile_interval(np.arange(1, 21)[::-1], 0.5) == (6, 15)
    assert quantile_interval(np.arange(1, 72), 0.95).hi == math.inf  # .95^71 = .0262 > .025
    assert quantile_interval(np.arange(1, 73), 0.95).hi == 72  # .95^72 = .0249
    assert quantile_interval(np.array([3.0]), 0.5) == (-math.inf, math.inf)
    assert is_nan(quantile_interval(np.array([]), 0.5))


@given(st.integers(1, 300), st.sampled_from([0.5, 0.9, 0.95]), st.sampled_from([0.8, 0.95]))
@settings(max_examples=60, deadline=None)
def test_the_ranks_of_a_quantile_hold_it_as_often_as_promised(n: int, quantile: float, confidence: float) -> None:
    """The chance is a binomial's, by scipy: at least the confidence, and less with a rank fewer on a side."""
    lo, hi = quantile_interval(np.arange(1, n + 1), quantile, confidence)
    tail = (1 - confidence) / 2
    below = 0 if math.isinf(lo) else int(lo)
    above = n + 1 if math.isinf(hi) else int(hi)
    law = binom(n, quantile)
    assert law.cdf(below - 1) <= tail + 1e-12 and law.sf(above - 1) <= tail + 1e-12
    assert law.cdf(below) > tail - 1e-12 and law.sf(above - 2) > tail - 1e-12


def test_mcnemar_by_hand() -> None:
    """5 against 1: 2 * (1 + 6)/64 - 6/64 = 8/64, where the exact test says 14/64."""
    assert mcnemar(5, 1) == 8 / 64
    assert mcnemar(3, 3) == 1 - (20 / 64) / 2
    assert mcnemar(0, 0) == 1
    assert 0 <= mcnemar(1500, 20) < 1e-100


def test_a_published_gain_that_is_not_shown() -> None:
    """Three prompts on 1,390 emotion texts (gepa-ai/gepa): 60.2 against 58.4 % is not shown, against 54.0 % it is."""
    assert agresti_min(103, 78, 1390) == pytest.approx((-0.0010, 0.0369), abs=1e-4)
    assert mcnemar(103, 78) == pytest.approx(0.064, abs=5e-4)  # exact .074
    assert agresti_min(176, 90, 1390).lo > 0.039 and mcnemar(176, 90) < 1e-6


@given(st.integers(0, 80), st.integers(0, 80))
@settings(max_examples=60, deadline=None)
def test_mcnemar_agrees_with_scipy(b: int, c: int) -> None:
    """The reference twin from scipy's binomial; the sides are alike; never above the exact test."""
    assert mcnemar(b, c) == mcnemar(c, b)
    if b != c:
        law = binom(b + c, 0.5)
        assert mcnemar(b, c) == pytest.approx(2 * law.cdf(min(b, c)) - law.pmf(min(b, c)), abs=1e-12)
        assert mcnemar(b, c) <= binomtest(b, b + c).pvalue + 1e-12


@pytest.mark.parametrize(
    ("difference", "differing", "n"),
    [(0.05, 0.1, 312), (0.05, 0.2, 626), (0.05, 0.3, 940), (0.1, 0.2, 155), (0.1, 0.3, 233), (0.02, 0.1, 1960)],
)
def test_how_many_examples_a_difference_needs(difference: float, differing: float, n: int) -> None:
    """The published table, rounded up; and back again."""
    needed = examples_needed(difference, differing)
    assert needed in (n, n + 1)
    assert detectable_difference(needed, differing) == pytest.approx(difference, rel=0.01)


@given(st.integers(30, 5000), st.floats(0.01, 1), st.sampled_from([0.5, 0.8, 0.95]))
@settings(max_examples=80, deadline=None)
def test_the_detectable_difference_solves_its_equation(n: int, differing: float, power: float) -> None:
    """Put into the formula it gives n back; it shrinks with more examples; NaN where all differing are too few."""
    found = detectable_difference(n, differing, power=power)
    if math.isnan(found):
        assert examples_needed(differing, differing, power=power) >= n
    else:
        assert examples_needed(found, differing, power=power) in (n, n + 1)
        assert detectable_difference(4 * n, differing, power=power) < found <= differing


def test_holm_by_hand() -> None:
    """Of .01, .04 and .03: .01 * 3, then .03 * 2, then .04 * 1, which is less than the one before."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.7, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_holm_keeps_the_order_and_stays_below_bonferroni(p_values: list[float]) -> None:
    """Never below the p-value, never above Bonferroni's, and in the same order."""
    adjusted = holm(p_values)
    for one, p in zip(adjusted, p_values, strict=True):
        assert p <= one <= min(1.0, len(p_values) * p) + 1e-12
    assert [adjusted[i] for i in np.argsort(p_values, kind="stable")] == sorted(adjusted)
