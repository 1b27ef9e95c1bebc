"""Resamples: counts and weights, percentiles, and the one matrix product."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.stats import BayesianBootstrap, Bootstrap, Interval, Measure, percentile_interval, weighted_values


def mean_of(values: Any) -> Measure:
    """The mean of some rewards."""
    column = np.asarray(values, dtype=float)
    return Measure("reward", "max", np.stack([column, np.ones_like(column)], axis=1), lambda t: t[..., 0] / t[..., 1])


def is_nan(found: Interval) -> bool:
    return math.isnan(found.lo) and math.isnan(found.hi)


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
    monkeypatch.setattr("paretune.stats.resampling._BLOCK_CELLS", 350)
    monkeypatch.setattr("paretune.stats.resampling._CACHE_BYTES", 0)
    blockwise = Bootstrap(50, resamples=200, seed=1)
    assert blockwise.totals(statistics) == pytest.approx(whole, abs=1e-12)
    assert blockwise.totals(statistics) == pytest.approx(whole, abs=1e-12)


def test_totals_agree_with_explicit_resampling() -> None:
    """The reference twin: repeat each example as often as its count says, and add up."""
    statistics = np.random.default_rng(0).random((6, 2))
    bootstrap = Bootstrap(6, resamples=20)
    slow = [np.repeat(statistics, row, axis=0).sum(axis=0) for block in bootstrap.blocks() for row in block]
    assert bootstrap.totals(statistics) == pytest.approx(np.array(slow))


def test_statistics_of_other_examples_are_refused() -> None:
    """Resamples of 4 examples cannot be applied to 3; a negative number of examples has none."""
    with pytest.raises(UsageError, match=r"\(4, k\)"):
        Bootstrap(4).totals(np.ones((3, 2)))
    with pytest.raises(UsageError, match="n >= 0"):
        Bootstrap(-1)


def test_bayesian_weights_are_exponential_shares() -> None:
    """They sum to n and depend on the seed; of n = 4 a share has the mean 1/4 and the variance 3/(16 * 5)."""
    weights = np.concatenate(list(BayesianBootstrap(4, resamples=6000, seed=2).blocks()))
    assert weights.sum(axis=1) == pytest.approx(np.full(6000, 4.0))
    assert weights.min() > 0
    assert (weights / 4).mean(axis=0) == pytest.approx(np.full(4, 0.25), abs=0.01)
    assert (weights / 4).var(axis=0) == pytest.approx(np.full(4, 3 / 80), abs=0.003)
    assert (np.concatenate(list(BayesianBootstrap(4, resamples=6000, seed=2).blocks())) == weights).all()


def test_draws_are_the_values_side_by_side() -> None:
    """Draws of three trials with two measures each; the same values as one by one, and under explicit weights."""
    rng = np.random.default_rng(0)
    trials = [[mean_of(rng.random(5)), mean_of(rng.random(5))] for _ in range(3)]
    bootstrap = BayesianBootstrap(5, resamples=30)
    draws = bootstrap.draws(trials)
    assert draws.shape == (30, 3, 2)
    assert draws[:, 1, 0] == pytest.approx(next(bootstrap.values([trials[1][0]])))
    weights = np.concatenate(list(bootstrap.blocks()))
    assert weighted_values([trials[2][1]], weights)[:, 0] == pytest.approx(draws[:, 2, 1])
    assert bootstrap.draws([]).shape == (30, 0, 0) and weighted_values([], weights).shape == (30, 0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=25), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_bootstrap_stays_within_the_values_and_shrinks_with_confidence(values: list[float], rnd: Any) -> None:
    """A mean's interval lies between the smallest and the largest value, and 50 % is inside 95 %."""
    bootstrap = Bootstrap(len(values), resamples=200, seed=rnd.randrange(100))
    (found,) = bootstrap.values([mean_of(values)])
    wide, narrow = percentile_interval(found, 0.95), percentile_interval(found, 0.5)
    assert min(values) - 1e-9 <= wide.lo <= narrow.lo <= narrow.hi <= wide.hi <= max(values) + 1e-9
