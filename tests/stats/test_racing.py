"""Who is dropped from a race: e-values by hand and by brute force, and what must hold for all data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaincc, betaln

from paretune.stats.racing import drops, log_evidence, looks

EXAMPLES = st.lists(st.sampled_from([0.0, 1.0, 0.3, 0.85]), min_size=24, max_size=24)


def wins(first: int, second: int, ties: int = 0) -> np.ndarray:
    """Differences of so many examples that only the first, only the second has right, or both alike."""
    return np.array([1.0] * first + [-1.0] * second + [0.0] * ties)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (0, 0, 1.0),
        (10, 0, 2047 / 11),  # 2**11 (1 - 2**-11) / 11
        (12, 0, 8191 / 13),
        (11, 0, 4095 / 12),
        (8, 1, 11.2556),
        (1, 1, 2 / 3),  # the integral of (1 + b)(1 - b) from 0 to 1
    ],
)
def test_e_values_by_hand(first, second, expected):
    """The sequential sign test, whose ties say nothing."""
    for ties in (0, 5):
        assert math.exp(log_evidence(wins(first, second, ties))) == pytest.approx(expected, rel=1e-5)


@given(st.integers(0, 300), st.integers(0, 300))
def test_sign_test_is_its_closed_form(first, second):
    """(b+c+1) ln 2 + ln B(b+1, c+1) + ln P(Beta(b+1, c+1) > 1/2), exact up to 127 examples that differ."""
    n = first + second + 1
    closed = (
        n * math.log(2) + betaln(first + 1, second + 1) + math.log(max(betaincc(first + 1, second + 1, 0.5), 1e-300))
    )
    if closed > -100:
        assert log_evidence(wins(first, second)) == pytest.approx(closed, abs=1e-9 if n < 128 else 1e-5)


@given(st.lists(st.floats(-1, 1), max_size=80), st.sampled_from([0.0, 0.02, 0.3]))
def test_bets_are_an_integral(differences, margin):
    """The mean over bets of the gambler's wealth, by a fine sum."""
    bets = (np.arange(20_000) + 0.5) / 20_000 / (1 + margin)
    wealth = np.prod([1 + bets * (each - margin) for each in differences], axis=0) if differences else np.ones(1)
    assert log_evidence(differences, margin) == pytest.approx(math.log(wealth.mean()), abs=1e-4)


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0, 0.5, math.nan]), max_size=60), st.randoms())
def test_order_and_what_is_not_shared_change_nothing(differences, rng):
    """An e-value is that of the examples that both trials were scored on, in any order."""
    shuffled = [each for each in differences if not math.isnan(each)]
    rng.shuffle(shuffled)
    assert log_evidence(differences) == pytest.approx(float(log_evidence(shuffled)), abs=1e-9)


@pytest.mark.parametrize(("margin", "chances"), [(0.0, {1: 0.3, -1: 0.3, 0: 0.4}), (0.25, {1: 0.625, -1: 0.375})])
def test_a_fair_game_wins_nothing(margin, chances):
    """Under a mean difference equal to the margin, the expected e-value is 1 after any number of examples."""
    for n in (1, 2, 6):
        sequences = list(itertools.product(chances, repeat=n))
        values = np.exp(log_evidence(np.array(sequences, float), margin))
        weights = [math.prod(chances[each] for each in sequence) for sequence in sequences]
        assert np.dot(values, weights) == pytest.approx(1.0)


def pair(first: int, second: int, ties: int) -> np.ndarray:
    """The answers of two trials: so many only the first, only the second has right, and so many both."""
    return np.array([[1] * first + [0] * second + [1] * ties, [0] * first + [1] * second + [1] * ties], float)


def test_sound_drops_at_the_threshold():
    """K=20 at 0.05: 19 / 0.05 = 380 lies between 11:0 (341) and 12:0 (630)."""
    assert drops(pair(11, 0, 9), racing="sound", trials=20, n=200) == []
    (drop,) = drops(pair(12, 0, 8), racing="sound", trials=20, n=200)
    assert (drop.loser, drop.rival, drop.why) == (1, 0, "e-value 630 >= 380")
    assert drops(pair(12, 0, 8), racing="sound", trials=40, n=200) == []
    assert drops(pair(12, 0, 8), racing="sound", trials=20, n=200, alive=[True, False]) == []


def test_fast_drops_above_two_and_a_half():
    """Of 25 examples 5:0 gives z = 0.2 / sqrt(0.16 / 25) = 2.5 exactly, which is not above; 6:0 gives 2.81."""
    assert drops(pair(5, 0, 20), racing="fast", trials=9, n=200) == []
    (drop,) = drops(pair(6, 0, 19), racing="fast", trials=9, n=200)
    assert drop.why == "paired z 2.81 > 2.5"
    assert drops(pair(19, 0, 0), racing="fast", trials=9, n=200) == []  # fewer than 20 examples
    assert drops(pair(20, 0, 0), racing="fast", trials=9, n=200)


def test_a_margin_protects_near_ties():
    """A difference of 0.5 is shown to be above a margin of 0.1, not above one of 0.45."""
    answers = pair(20, 0, 20)
    assert drops(answers, racing="sound", trials=20, n=200, margin=0.1)
    assert drops(answers, racing="fast", trials=20, n=200, margin=0.1)
    assert not drops(answers, racing="sound", trials=20, n=200, margin=0.45)
    assert not drops(answers, racing="fast", trials=20, n=200, margin=0.45)


def test_cannot_catch_up():
    """Three behind with two examples left: gone, whatever these say; with three left it may still draw level."""
    for racing in ("sound", "fast"):
        (drop,) = drops(pair(3, 0, 5), racing=racing, trials=1000, n=10)
        assert drop.why == "cannot catch up"
        assert not drops(pair(3, 0, 5), racing=racing, trials=1000, n=11)


@settings(max_examples=200)
@given(st.lists(EXAMPLES, min_size=2, max_size=5), st.data())
def test_who_cannot_catch_up_never_wins(rewards, data):
    """Whoever is dropped for this has a worse mean in the end, with failed examples on either side."""
    answers = np.array(rewards)
    failed = data.draw(st.lists(st.tuples(st.integers(0, len(answers) - 1), st.integers(0, 23)), max_size=12))
    for row, place in failed:
        answers[row, place] = math.nan
    t = data.draw(st.integers(1, 24))
    for drop in drops(answers[:, :t], racing="sound", trials=10**12, n=24):
        loser, rival = (np.nanmean(answers[row]) for row in (drop.loser, drop.rival))
        assert drop.why == "cannot catch up" and loser < rival


@given(st.lists(EXAMPLES, min_size=1, max_size=6), st.sampled_from(["sound", "fast"]), st.integers(1, 24))
def test_somebody_is_always_left(rewards, racing, t):
    """The leader stays, nobody is dropped by a worse one, and rewards that are all missing decide nothing."""
    answers = np.array(rewards)[:, :t]
    means = answers.mean(axis=1)
    found = drops(answers, racing=racing, trials=len(rewards), n=24)
    assert int(np.argmax(means)) not in {drop.loser for drop in found}
    assert all(means[drop.loser] < means[drop.rival] for drop in found)
    assert drops(np.full_like(answers, math.nan), racing=racing, trials=len(rewards), n=24) == []


@pytest.mark.parametrize("racing", ["sound", "fast"])
def test_the_frontier_keeps_what_is_cheaper(racing):
    """A trial goes for one rival that is better and cheaper, not for one that is better and as dear, nor for one that
    is better and another one that is cheaper."""
    answers = np.vstack([pair(40, 0, 60), np.zeros(100)])
    rng = np.random.default_rng(1)
    spent = np.abs(rng.normal(10, 1, (3, 1, 100)))

    def gone(*factors: float) -> set[int]:
        costs = spent * np.array(factors)[:, None, None]
        return {drop.loser for drop in drops(answers, costs, racing=racing, trials=20, n=10_000)}

    assert gone(1.0, 2.0, 0.1) == {1}
    assert gone(2.0, 1.0, 0.1) == set()
    assert gone(1.0, 2.0, 3.0) == {1, 2}
    equal = np.broadcast_to(spent[:1], spent.shape)
    assert drops(answers, equal, racing=racing, trials=20, n=10_000) == []
    constant = np.array([5.0, 5.1, 5.1])[:, None, None] * np.ones((1, 1, 100))
    assert {drop.loser for drop in drops(answers, constant, racing=racing, trials=20, n=10_000)} == {1, 2}
    two = np.concatenate([spent, -spent], axis=1) * np.array([1.0, 2.0, 3.0])[:, None, None]
    assert drops(answers, two, racing=racing, trials=20, n=10_000) == []  # cheaper in one cost, dearer in the other


def test_sound_rarely_drops_one_of_equals():
    """Twenty equal trials, 200 examples, looked at in rounds of 20: a given one goes in at most 5 % of 100 races."""
    rng, lost = np.random.default_rng(3), 0
    for _ in range(100):
        answers = (rng.random((20, 200)) < 0.8).astype(float)
        lost += any(
            drop.loser == 0 and drop.why != "cannot catch up"
            for t in looks(200)[:-1]
            for drop in drops(answers[:, :t], racing="sound", trials=20, n=200)
        )
    assert lost <= 5


@given(st.integers(1, 50_000))
def test_looks(n):
    """Rounds of max(20, n/20), the last of which ends with the examples."""
    ends = looks(n)
    sizes = np.diff([0, *ends])
    assert ends[-1] == n and len(ends) <= 20 and (sizes > 0).all()
    assert all(size == max(20, math.ceil(n / 20)) for size in sizes[:-1]) and sizes[-1] <= max(20, math.ceil(n / 20))
