"""How much a judge wavers, how far people agree with it, and the mean that they correct: values by hand, edge cases,
invariants, a reference twin, and the share of intervals that hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from paretune.errors import UsageError
from paretune.stats import agreement, bias, corrected_mean, variance_split, wilson

NAN = math.nan
SCORES = st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), min_size=2, max_size=12)


def test_the_variance_split_by_hand() -> None:
    """Three examples, two scores each: within 0 + 0 + .5 over 3 = 1/6; between 2 (.25 + .25 + 0)/2 = .5."""
    found = variance_split([[1, 1], [0, 0], [1, 0]])
    assert found == pytest.approx((1 / 6, 1 / 6, 2))  # (.5 - 1/6)/2 = 1/6
    assert found.judge_share == pytest.approx(1 / 3)  # (1/6)/2 of 1/6 + (1/6)/2


def test_the_variance_split_of_unequal_numbers_by_hand() -> None:
    """[1, 0] and [0]: within .5/1; n0 = 3 - 5/3 = 4/3; grand mean 1/3, between 2/36 + 1/9 = 1/6."""
    assert variance_split([[1, 0], [0]]) == pytest.approx(((1 / 6 - 0.5) / (4 / 3), 0.5, 4 / 3))
    assert variance_split([[1, 0], [0]]).judge_share == 1.0  # nothing is left between the examples


@pytest.mark.parametrize("scores", [[], [[]], [[0.5]], [[1], [0]]])
def test_a_split_that_cannot_be_known(scores: list[list[float]]) -> None:
    """No scores, or one an example: the judge's own variance is not known."""
    found = variance_split(scores)
    assert math.isnan(found.judge) and math.isnan(found.examples) and math.isnan(found.judge_share)
    one = variance_split([[1, 0]])
    assert one.judge == 0.5 and math.isnan(one.examples) and math.isnan(one.judge_share)
    assert math.isnan(variance_split([[0.9, 0.9], [0.9, 0.9]]).judge_share)  # nothing varies


@given(st.lists(SCORES, min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_the_split_does_not_depend_on_the_order(scores: list[list[float]], random: object) -> None:
    """Of examples, nor of the scores of one; nor on a shift of all."""
    mixed = [sorted(each) for each in scores]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert variance_split(mixed) == pytest.approx(variance_split(scores), abs=1e-12)
    shifted = [[score + 3 for score in each] for each in scores]
    assert variance_split(shifted) == pytest.approx(variance_split(scores), abs=1e-9)


def test_the_split_is_unbiased() -> None:
    """The mean over many small data sets is the truth, with unequal numbers too: .04 and .09."""
    rng = np.random.default_rng(0)
    sizes = (1, 2, 3, 5, 2, 2)
    found = np.mean(
        [
            variance_split([rng.normal(rng.normal(0.5, 0.2), 0.3, size).tolist() for size in sizes])[:2]
            for _ in range(8000)
        ],
        axis=0,
    )
    assert found == pytest.approx([0.04, 0.09], abs=0.003)


def test_the_agreement_of_yes_and_no_by_hand() -> None:
    """Three of five alike; by chance .6 * .6 + .4 * .4 = .52, so kappa is .08/.48."""
    found = agreement([1, 1, 1, 0, 0], [1, 1, 0, 0, 1])
    assert (found.n, found.share, found.kappa) == (5, 0.6, pytest.approx(1 / 6))
    assert found.interval == wilson(3, 5) and found.absolute_difference == pytest.approx(0.4)
    assert math.isnan(found.correlation)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    """But for raters who both always say the same, where it is not defined."""
    judge, human = zip(*pairs, strict=True)
    found = agreement(judge, human).kappa
    if len({*judge, *human}) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(cohen_kappa_score(judge, human))


def test_the_agreement_of_other_scores_by_hand() -> None:
    """A judge that is .1 too kind everywhere ranks all alike; one that never varies ranks nothing."""
    found = agreement([0.3, 0.5, 0.9], [0.2, 0.4, 0.8])
    assert (found.correlation, found.absolute_difference) == (pytest.approx(1.0), pytest.approx(0.1))
    assert math.isnan(found.share) and math.isnan(found.kappa) and math.isnan(found.interval.lo)
    assert math.isnan(agreement([0.5, 0.5], [0.2, 0.4]).correlation)
    assert agreement([], []).n == 0 and math.isnan(agreement([], []).absolute_difference)


def test_the_bias_by_hand() -> None:
    """Agresti and Min for yes and no (b=5, c=1, n=50: .0769 +- 1.96 * .0497), Student for other scores."""
    judge, human = [1] * 5 + [0] + [1] * 44, [0] * 5 + [1] + [1] * 44
    found = bias(judge, human)
    assert found.value == pytest.approx(4 / 50)
    assert found.interval == pytest.approx((-0.0206, 0.1744), abs=5e-5)
    assert bias([1] * 20, [1] * 20).interval == pytest.approx((-0.0891, 0.0891), abs=5e-5)
    found = bias([0.6, 0.8], [0.5, 0.5])  # differences .1 and .3: sd .1414, of the mean .1; t(1) = 12.706
    assert found.value == pytest.approx(0.2) and found.interval == pytest.approx((0.2 - 1.2706, 0.2 + 1.2706), abs=1e-4)


@pytest.mark.parametrize(("judge", "human"), [([], []), ([0.5], [0.4]), ([0.5, 0.6], [0.4, 0.5])])
def test_a_bias_without_an_interval(judge: list[float], human: list[float]) -> None:
    """Of nothing, of one answer, and where all differences are alike: no certainty is claimed."""
    found = bias(judge, human)
    assert math.isnan(found.interval.lo) and math.isnan(found.interval.hi) and math.isnan(found.value) == (not judge)


def test_the_corrected_mean_by_hand() -> None:
    """.5 of the judge and .1 more; v_human 0, v_difference .02: variance .02 (1/2 - 1/4) = .005; t(1) at .75 is 1."""
    found = corrected_mean([0.2, 0.4, 0.6, 0.8], [0.4, 0.4, NAN, NAN], confidence=0.5)
    assert found.value == pytest.approx(0.6)
    assert found.interval == pytest.approx((0.6 - math.sqrt(0.005), 0.6 + math.sqrt(0.005)))


def test_invalid_outputs_take_part_in_the_mean_but_not_in_the_correction() -> None:
    """Half of the examples are worth 0: (.75 - .25)/2; their variance is .5 * .5 * .5^2 over 4 = .125^2."""
    found = corrected_mean([1, 0.5], [0.5, 0.5], invalid=2, confidence=0.5)
    assert found.value == 0.25 and found.interval == pytest.approx((0.125, 0.375))


def test_when_all_are_scored_the_judge_is_not_needed() -> None:
    """The mean and the interval are those of people alone, whatever the judge says."""
    human = [0.2, 0.4, 0.9, 0.6]
    (one, other) = (corrected_mean(judge, human) for judge in ([0.1, 0.9, 0.5, 0.5], human))
    assert one.value == other.value == pytest.approx(0.525) and one.interval == pytest.approx(other.interval)
    half = 3.18245 * 0.29861 / 2  # t(3); deviations -.325, -.125, .375, .075: sqrt(.2675/3)
    assert one.interval == pytest.approx((0.525 - half, 1.0), abs=1e-4)


@pytest.mark.parametrize("human", [[NAN, NAN, NAN], [0.5, NAN, NAN], [0.2, 0.5, NAN]])
def test_what_too_few_people_can_say(human: list[float]) -> None:
    """Nothing without a score; no interval for one, nor where the judge is off by the same amount everywhere."""
    found = corrected_mean([0.3, 0.6, 0.9], human)
    assert math.isnan(found.interval.lo) and math.isnan(found.interval.hi)
    assert math.isnan(found.value) == all(map(math.isnan, human))


def test_agreement_on_few_answers_claims_no_certainty() -> None:
    """Ten of a hundred answers, on which both say yes: the interval has a width, though nothing differs."""
    found = corrected_mean([1.0] * 100, [1.0] * 10 + [NAN] * 90)
    assert found.value == 1.0 and found.interval.lo < 0.9


@pytest.mark.parametrize(("judge", "human"), [([1], [1, 0]), ([NAN], [1]), ([[1]], [[1]])])
def test_what_are_no_scores(judge: object, human: object) -> None:
    """Unequal numbers, a judge's score that is missing, tables."""
    for function in (agreement, bias, corrected_mean):
        with pytest.raises(UsageError):
            function(judge, human)  # type: ignore[operator]
    with pytest.raises(UsageError, match="confidence"):
        corrected_mean([1, 0], [1, NAN], confidence=1.0)


@given(SCORES, st.data())
def test_the_value_lies_in_its_interval(judge: list[float], data: st.DataObject) -> None:
    """And both in [0, 1]."""
    n = len(judge)
    human = data.draw(st.lists(st.sampled_from([0.0, 0.3, 1.0, NAN]), min_size=n, max_size=n))
    found = corrected_mean(judge, human, invalid=data.draw(st.integers(0, 5)))
    if not math.isnan(found.interval.lo):
        assert 0 <= found.interval.lo <= found.value <= found.interval.hi <= 1


def kind_judge(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A judge who is kinder the worse the answer, with noise; people's scores."""
    human = np.round(rng.beta(3, 2, n), 1)
    return np.clip(np.round(0.4 + 0.5 * human + rng.normal(0, 0.15, n), 1), 0, 1), human


def yes_no_judge(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Right answers pass in 95 %, wrong ones in 35 % of the cases."""
    human = (rng.random(n) < 0.7).astype(float)
    return (rng.random(n) < np.where(human > 0, 0.95, 0.35)).astype(float), human


def test_the_variance_knows_that_the_labelled_are_some_of_the_judged() -> None:
    """The standard error is that of many samples; the formula for separate samples is off by a fifth here."""
    rng, n, m = np.random.default_rng(1), 60, 30
    everyone = kind_judge(rng, 200_000)
    between, within, judge = everyone[1].var(), (everyone[1] - everyone[0]).var(), everyone[0].var()
    values = []
    for _ in range(4000):
        scores, human = kind_judge(rng, n)
        values.append(corrected_mean(scores, np.where(np.arange(n) < m, human, NAN)).value)
    assert np.std(values) == pytest.approx(math.sqrt(between / n + within * (1 / m - 1 / n)), rel=0.03)
    assert abs(math.sqrt(judge / n + within / m) / np.std(values) - 1) > 0.1


@pytest.mark.parametrize(("draw", "most"), [(kind_judge, 0.97), (yes_no_judge, 0.98)])
@pytest.mark.parametrize(("n", "m"), [(140, 40), (200, 50), (1000, 100), (80, 80)])
def test_the_share_of_corrected_intervals_that_hold(draw: object, most: float, n: int, m: int) -> None:
    """People's mean is inside of 93 to 97 % (yes and no: a little more); inside of the judge's own hardly ever."""
    rng, runs = np.random.default_rng(n), 1500
    truth = draw(rng, 400_000)[1].mean()  # type: ignore[operator]
    held = naive = 0
    for _ in range(runs):
        judge, human = draw(rng, n)  # type: ignore[operator]
        lo, hi = corrected_mean(judge, np.where(np.arange(n) < m, human, NAN)).interval
        held += lo <= truth <= hi
        half = 1.96 * judge.std(ddof=1) / math.sqrt(n)
        naive += abs(judge.mean() - truth) <= half
    assert 0.93 <= held / runs <= most
    assert naive / runs < 0.75
