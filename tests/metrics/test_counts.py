"""The intervals of scores of classes: the published formula as a slow twin, edges, and fewer examples than needed."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune import DataModel, metrics
from paretune.metrics.measures import mean_of_replicates, measures_of
from paretune.metrics.metric import Metric
from paretune.metrics.outcome import Outcome
from paretune.stats import Bootstrap, Interval, Measure, intervals_of

LABELS = ("joy", "fear", "love")


class Answer(DataModel):
    label: Literal["joy", "fear", "love"]


class Flags(DataModel):
    joy: bool
    fear: bool


class One(DataModel):
    joy: bool


MACRO = metrics.CategoricalF1Score("macro", name="f1").bind(Answer)


def measure(metric: Metric, gold: list[Any], answers: list[Any]) -> Measure:
    """A metric of some answers; None is an invalid output."""
    outcomes = [Outcome("invalid" if each is None else "ok", each, 0.0, 1, 1, 1, 0.0, 0.1) for each in answers]
    return next(each for each in measures_of(outcomes, gold, [metric]) if each.name == metric.name)


def interval(found: Measure, confidence: float = 0.95) -> Interval:
    (ends,) = intervals_of([found], Bootstrap(len(found.statistics)), confidence)
    return ends


def labels(places: Any) -> list[dict[str, str] | None]:
    return [None if place < 0 else {"label": LABELS[place]} for place in places]


def slow_plus_delta(gold: list[int], answers: list[int]) -> tuple[float, float]:
    """The table of gold against predicted labels with its quarters; influence of each cell, by the formula."""
    size = len(LABELS)
    table = np.zeros((size, size))
    for true, answer in zip(gold, answers, strict=True):
        table[true, answer] += 1
    share = table.sum(axis=1) / table.sum()
    for true in range(size):
        table[true, true] += 0.25
        for answer in range(size):
            if answer != true:
                table[true, answer] += 0.25 * share[answer] / (1 - share[true])
    n, p = table.sum(), table / table.sum()
    den = p.sum(axis=1) + p.sum(axis=0)
    f = 2 * np.diag(p) / den
    influence = np.array([
        [(2 / den[i] * (i == j) - f[i] / den[i] - f[j] / den[j]) / size for j in range(size)] for i in range(size)
    ])  # fmt: skip
    variance = ((p * influence**2).sum() - (p * influence).sum() ** 2) / n
    return float(f.mean()), math.sqrt(variance)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=60))
@settings(max_examples=60, deadline=None)
def test_macro_f1_gets_plus_delta(pairs: list[tuple[int, int]]) -> None:
    """The slow twin where two classes have examples: F1 of the enlarged table and 1.96 of its standard errors."""
    gold, answers = [true for true, _ in pairs] + [0, 1], [answer for _, answer in pairs] + [0, 1]
    found = measure(MACRO, labels(gold), labels(answers))
    centre, error = slow_plus_delta(gold, answers)
    half = 1.959964 * error
    expected = (max(0.0, min(centre - half, found.value)), min(1.0, max(centre + half, found.value)))
    assert interval(found) == pytest.approx(expected, abs=1e-5)


KINDS: list[Metric] = [
    kind(average, name=f"{kind.__name__} {average}").bind(model)
    for kinds, model in (
        ((metrics.CategoricalF1Score, metrics.CategoricalPrecision, metrics.CategoricalAccuracy), Answer),
        ((metrics.BinaryF1Score, metrics.BinaryPrecision, metrics.BinaryRecall, metrics.BinaryAccuracy), Flags),
        ((metrics.BinaryF1Score, metrics.BinaryPrecision, metrics.BinaryAccuracy), One),
    )
    for kind in kinds
    for average in ("macro", "micro", "weighted")
]


@pytest.mark.parametrize("metric", KINDS, ids=lambda each: f"{each.name} of {len(each.classes)}")
def test_no_score_is_ever_certain(metric: Metric) -> None:
    """All right, all wrong, all invalid, one class alone, one example: it holds the score and has a width."""
    for n in (1, 12):
        for true, answer in ((0, 0), (0, 1), (1, 0), (0, -1)):
            if metric.classes == LABELS:
                gold, answers = labels([true] * n), labels([answer] * n)
            else:
                flags = [{name: place == each for place, name in enumerate(metric.classes)} for each in (true, answer)]
                gold, answers = [flags[0]] * n, [None if answer < 0 else flags[1]] * n
            found = measure(metric, gold, answers)
            lo, hi = interval(found)
            assert 0 <= lo <= found.value <= hi <= 1
            assert hi - lo > 0.02


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2)), min_size=1, max_size=40), st.permutations(range(3)))
@settings(max_examples=60, deadline=None)
def test_an_interval_of_f1_does_not_depend_on_the_names_of_classes(
    pairs: list[tuple[int, int]], names: list[int]
) -> None:
    """Renamed labels and reordered examples give the same; ten times the examples a narrower one."""
    gold, answers = [true for true, _ in pairs], [answer for _, answer in pairs]
    found = interval(measure(MACRO, labels(gold), labels(answers)))
    renamed = labels([names[each] for each in gold]), labels([names[each] if each >= 0 else -1 for each in answers])
    assert interval(measure(MACRO, *renamed)) == pytest.approx(found, abs=1e-6)
    assert interval(measure(MACRO, renamed[0][::-1], renamed[1][::-1])) == pytest.approx(found, abs=1e-6)
    many = interval(measure(MACRO, labels(gold * 10), labels(answers * 10)))
    assert many.hi - many.lo <= found.hi - found.lo + 1e-9


def test_replicates_that_agree_are_no_more_examples() -> None:
    """Three replicates with the same answers have the interval of one."""
    rng = np.random.default_rng(0)
    gold = labels(rng.integers(0, 3, 30))
    one = measure(MACRO, gold, labels(rng.integers(0, 3, 30)))
    other = measure(MACRO, gold, labels(rng.integers(0, 3, 30)))
    (same,) = mean_of_replicates([[one]] * 3)
    assert interval(same) == pytest.approx(interval(one), abs=1e-6)
    (mixed,) = mean_of_replicates([[one], [other]])
    assert interval(mixed).hi - interval(mixed).lo < interval(one).hi - interval(one).lo


def test_a_class_with_too_few_examples() -> None:
    """Fewer than five: how many there are, by class; nothing for a metric without classes."""
    gold: Any = labels([0] * 9 + [1] * 4)
    assert MACRO.rare_classes(gold) == {"fear": 4, "love": 0}
    assert MACRO.rare_classes(gold, least=1) == {"love": 0}
    assert metrics.F1Score().rare_classes(gold) == {}
    assert metrics.BinaryF1Score("macro").bind(Flags).rare_classes([{"joy": True, "fear": False}] * 5) == {"fear": 0}
