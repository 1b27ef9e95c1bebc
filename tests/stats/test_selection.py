"""The corrected score of a winner, and the confidence set of the best."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.stats import (
    BayesianBootstrap,
    Bootstrap,
    Measure,
    best_set,
    corrected_score,
    intervals_of,
    weighted_values,
    wilson,
)


def shares(answers: Any) -> list[Measure]:
    """A reward of each trial from its answers, (t, n)."""
    return [
        Measure("reward", "max", np.stack([row, np.ones(len(row))], axis=1), lambda t: t[..., 0] / t[..., 1], "share")
        for row in np.asarray(answers, dtype=float)
    ]


def most_right(measures: list[Measure]) -> Any:
    """The rule that chooses the best reward, of equals the first."""
    return lambda weights: weighted_values(measures, weights).argmax(axis=1)


def slow_correction(answers: np.ndarray, bootstrap: Bootstrap) -> float:
    """One draw after the other: choose on the drawn examples, score on the others, average."""
    scores = []
    for block in bootstrap.blocks():
        for counts in block:
            drawn = [i for i, count in enumerate(counts) for _ in range(count)]
            left = [i for i, count in enumerate(counts) if count == 0]
            means = [row[drawn].mean() for row in answers]
            if left:
                scores.append(answers[means.index(max(means))][left].mean())
    return float(np.mean(scores))


def test_a_corrected_score_agrees_with_a_loop() -> None:
    """The slow twin, on 5 trials of 12 examples; the interval is Wilson's around it."""
    answers = (np.random.default_rng(3).random((5, 12)) < 0.6).astype(float)
    bootstrap = Bootstrap(12, resamples=150, seed=1)
    measures = shares(answers)
    found = corrected_score(measures, most_right(measures), bootstrap)
    assert found.value == pytest.approx(slow_correction(answers, bootstrap))
    assert found.raw == answers.mean(axis=1).max() > found.value
    assert (found.lo, found.hi) == pytest.approx(wilson(found.value * 12, 12))


def test_a_single_trial_needs_no_correction() -> None:
    """Nothing was chosen: left-out examples are right as often as all, up to the noise of 2,000 draws."""
    measures = shares([[1] * 30 + [0] * 10])
    found = corrected_score(measures, most_right(measures), Bootstrap(40))
    assert found.value == pytest.approx(found.raw, abs=0.005)


def test_equal_trials_are_corrected_to_their_true_score() -> None:
    """Of 20 trials that are right with .8 the best of 200 examples looks 4 points better; the correction takes it."""
    rng = np.random.default_rng(0)
    raw, value = [], []
    for _ in range(25):
        measures = shares(rng.random((20, 200)) < 0.8)
        found = corrected_score(measures, most_right(measures), Bootstrap(200, resamples=200))
        raw.append(found.raw)
        value.append(found.value)
    assert np.mean(raw) > 0.84
    assert np.mean(value) == pytest.approx(0.8, abs=0.015)


def test_any_rule_and_any_metric() -> None:
    """Draws without a winner have no part; a number that is no share keeps its own interval, moved."""
    rng = np.random.default_rng(1)
    amounts = [
        Measure("tokens", "min", np.stack([rng.gamma(2.0, 50.0, 150), np.ones(150)], axis=1),
                lambda t: t[..., 0] / t[..., 1], "mean")
        for _ in range(4)
    ]  # fmt: skip
    bootstrap = Bootstrap(150, resamples=300)

    def cheapest_below(weights: Any) -> Any:
        values = weighted_values(amounts, weights)
        return np.where(values.min(axis=1) < 110, values.argmin(axis=1), -1)

    found = corrected_score(amounts, cheapest_below, bootstrap)
    own = intervals_of(amounts, bootstrap)[int(cheapest_below(np.ones((1, 150)))[0])]
    assert found.value > found.raw
    assert (found.lo - own.lo, found.hi - own.hi) == pytest.approx((found.value - found.raw,) * 2)
    with pytest.raises(UsageError, match="no trial"):
        corrected_score(amounts, lambda weights: np.full(len(weights), -1), bootstrap)


def test_one_example_cannot_correct() -> None:
    """Nothing is ever left out of it."""
    found = corrected_score(shares([[1], [0]]), most_right(shares([[1], [0]])), Bootstrap(1, resamples=20))
    assert math.isnan(found.value) and math.isnan(found.lo)


def test_a_clear_best_stands_alone() -> None:
    """90 % against 50 % of 200 examples: the worse cannot be the best; an equal one can."""
    best = np.arange(200) < 180
    found = best_set(shares([best, np.arange(200) % 2 == 0, best]), BayesianBootstrap(200))
    assert found.kept.tolist() == [True, False, True]
    assert found.z[0] == found.z[2] == 0 and found.z[1] > found.critical > 1.5


@pytest.mark.parametrize("n", [1, 3])
def test_a_few_examples_show_nothing(n: int) -> None:
    """Right on all three against wrong on all three: the resamples see no doubt, but there is."""
    found = best_set(shares([np.ones(n), np.ones(n)]), BayesianBootstrap(n))
    assert found.kept.all()


def test_trials_without_a_value_are_not_kept() -> None:
    """A failed trial is not the best, and none at all has no set."""
    unknown = Measure("reward", "max", np.zeros((10, 2)), lambda t: t[..., 0] / t[..., 1], "share")
    found = best_set([unknown, *shares([np.ones(10)])], BayesianBootstrap(10))
    assert found.kept.tolist() == [False, True]
    assert best_set([unknown], BayesianBootstrap(10)).kept.tolist() == [False]
    assert best_set([], BayesianBootstrap(10)).kept.tolist() == []


@given(st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_the_set_of_the_best_is_fair(seed: int) -> None:
    """It holds the best as measured; the order of trials does not matter, nor whether more or less is better."""
    answers = np.random.default_rng(seed).random((6, 40)) < 0.7
    bootstrap = BayesianBootstrap(40, resamples=300)
    found = best_set(shares(answers), bootstrap)
    assert found.kept[answers.sum(axis=1).argmax()]
    assert best_set(shares(answers[::-1]), bootstrap).z[::-1] == pytest.approx(found.z)
    mirrored = [
        Measure("loss", "min", each.statistics, lambda t: 1 - t[..., 0] / t[..., 1], "share")
        for each in shares(answers)
    ]
    assert best_set(mirrored, bootstrap).kept.tolist() == found.kept.tolist()


def test_equal_trials_show_no_difference() -> None:
    """Of 60 searches among 12 equal trials, about 5 % see a difference; the best is kept as a rule."""
    rng = np.random.default_rng(5)
    seen = 0
    for _ in range(60):
        hard = rng.normal(size=140)
        answers = hard + rng.normal(size=(12, 140)) < 1.0
        seen += not best_set(shares(answers), BayesianBootstrap(140, resamples=400)).kept.all()
    assert seen <= 8  # P(Bin(60, .05) > 8) = .003
