"""Measures: what takes part, what the numbers are by hand, and that they add up."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.metrics import BinaryF1Score, CategoricalF1Score, Metric
from paretune.metrics.measures import OPERATIONAL, measures_of
from paretune.metrics.outcome import Outcome
from paretune.schemas.data_model import DataModel
from paretune.stats import Bootstrap, Measure, intervals_of, wilson


class Answer(DataModel):
    label: Literal["joy", "fear"]


class Flags(DataModel):
    joy: bool
    fear: bool


F1 = CategoricalF1Score("macro", name="f1").bind(Answer)
JOY, FEAR = {"label": "joy"}, {"label": "fear"}


def ok(
    label: str, gold: str, cost: float | None = 0.25, tokens: int = 10, latency: float = 1.0, calls: int = 1
) -> Outcome:
    return Outcome("ok", {"label": label}, float(label == gold), calls, tokens - 2, 2, cost, latency)


INVALID = Outcome("invalid", None, 0.0, 1, 8, 12, 0.5, 3.0)
FAILED = Outcome("failed", None, None, 4, 99, 99, None, 77.0)


def measured(
    outcomes: list[Outcome], gold: list[dict[str, str]], metrics: tuple[Metric, ...] = (F1,)
) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures_of(outcomes, gold, metrics)}


def values(outcomes: list[Outcome], gold: list[dict[str, str]]) -> dict[str, float]:
    return {name: measure.value for name, measure in measured(outcomes, gold).items()}


def test_every_measure_by_hand() -> None:
    """A hit of two calls, a miss, an invalid output and a failure: the failure takes part in failure_rate alone."""
    outcomes = [ok("joy", "joy", tokens=30, latency=3.0, calls=2), ok("joy", "fear"), INVALID, FAILED]
    assert values(outcomes, [JOY, FEAR, FEAR, JOY]) == pytest.approx(
        {
            "reward": 1 / 3,  # 1, 0, 0 of three scored
            "f1": (2 / 3 + 0) / 2,  # joy: tp 1, fp 1: 2/3; fear: fn 2: 0
            "cost": 1.0 / 3,  # 0.25 + 0.25 + 0.5 dollars of three scored
            "latency": 7.0 / 4,  # 3 + 1 + 3 seconds of four calls
            "tokens_per_request": 60 / 3,  # 30 + 10 + 20 tokens of three scored, whatever their calls
            "failure_rate": 1 / 4,
            "invalid_rate": 1 / 3,
        }
    )


def test_the_names_their_order_and_what_is_better() -> None:
    """The reward, the metrics in their given order, and the operational measures, which are better when smaller."""
    second = CategoricalF1Score("micro", name="accuracy").bind(Answer)
    found = measures_of([INVALID], [JOY], [second, F1])
    assert [measure.name for measure in found] == ["reward", "accuracy", "f1", *OPERATIONAL]
    assert [measure.direction for measure in found] == ["max"] * 3 + ["min"] * 5
    assert {measure.name for measure in found if measure.kind == "share"} == {"reward", "failure_rate", "invalid_rate"}
    assert list(OPERATIONAL) == ["cost", "latency", "tokens_per_request", "failure_rate", "invalid_rate"]


def test_a_metric_without_an_average_gives_one_measure_a_class() -> None:
    """Each class has its own number under its own name, which can be resampled; so has it without examples."""
    metric = CategoricalF1Score(name="f1").bind(Answer)
    found = measured([ok("joy", "joy"), ok("joy", "fear"), FAILED], [JOY, FEAR, FEAR], (metric,))
    assert list(found)[:4] == ["reward", "f1_joy", "f1_fear", "cost"]
    assert (found["f1_joy"].value, found["f1_fear"].value) == pytest.approx((2 / 3, 0))
    assert next(Bootstrap(3, resamples=50).values([found["f1_joy"]])).shape == (50,)
    assert list(measured([], [], (metric,)))[:4] == ["reward", "f1_joy", "f1_fear", "cost"]


def test_an_invalid_output_counts_everywhere() -> None:
    """A reply that does not validate is a wrong answer, costs its money, and misses its gold label."""
    right = [ok("joy", "joy"), ok("fear", "fear")]
    without, with_invalid = values(right, [JOY, FEAR]), values([*right, INVALID], [JOY, FEAR, FEAR])
    assert without["reward"] == without["f1"] == 1
    assert with_invalid["reward"] == pytest.approx(2 / 3)
    assert with_invalid["f1"] == pytest.approx((1 + 2 / 3) / 2)  # fear: tp 1, fn 1
    assert all(with_invalid[name] > without[name] for name in ("cost", "latency", "tokens_per_request", "invalid_rate"))


def test_an_unknown_price_leaves_the_cost_unknown() -> None:
    """One example without a price makes the mean cost NaN, and nothing else; a failure without one does not."""
    found = values([ok("joy", "joy"), ok("joy", "joy", cost=None)], [JOY, JOY])
    assert [name for name, value in found.items() if math.isnan(value)] == ["cost"]
    assert values([ok("joy", "joy"), FAILED], [JOY, JOY])["cost"] == 0.25


@pytest.mark.parametrize("n", [0, 1, 3])
def test_without_a_scored_example_nothing_is_known(n: int) -> None:
    """Only failures: every number is NaN but the share of failures, which is unknown for no examples too."""
    found = values([FAILED] * n, [JOY] * n)
    assert {name for name, value in found.items() if not math.isnan(value)} == ({"failure_rate"} if n else set())
    assert n == 0 or found["failure_rate"] == 1


def test_an_example_without_calls_has_no_part_in_means_over_calls() -> None:
    """Seconds are counted by calls, so 0 calls leave them unknown; tokens by examples, as dollars are."""
    found = values([Outcome("ok", JOY, 1.0, 0, 0, 0, 0.0, 0.0)], [JOY])
    assert math.isnan(found["latency"])
    assert found["reward"] == 1 and found["cost"] == found["tokens_per_request"] == 0


def test_as_many_gold_records_as_outcomes() -> None:
    """A gold record too many is a mistake in pairing, never ignored."""
    with pytest.raises(ValueError, match="argument"):
        measures_of([INVALID], [JOY, JOY], [F1])


def test_the_statistics_module_takes_measures_as_they_are() -> None:
    """A binary reward gets Wilson's interval over the scored examples; 8 costs of nothing say nothing yet."""
    outcomes = [ok("joy", "joy", cost=0.0)] * 6 + [ok("fear", "joy", cost=0.0)] * 2 + [FAILED] * 2
    found, bootstrap = measured(outcomes, [JOY] * 10), Bootstrap(10)
    assert intervals_of([found["reward"]], bootstrap) == [wilson(6, 8)]
    assert intervals_of([found["failure_rate"]], bootstrap) == [wilson(2, 10)]
    assert intervals_of([found["cost"]], bootstrap) == [pytest.approx((math.nan, math.nan), nan_ok=True)]


def test_outcomes_survive_their_rows() -> None:
    """An outcome is read back from its row, also when the row has more columns, or is older than some."""
    for outcome in (ok("joy", "joy"), INVALID, FAILED):
        outcome = replace(outcome, retries=2)
        assert Outcome.from_row({"x": {"text": "a"}, **outcome.row()}) == outcome
        older = {name: value for name, value in outcome.row().items() if name != "retries"}
        assert Outcome.from_row(older) == replace(outcome, retries=0)


outcomes = st.builds(
    lambda status, flags, reward, calls, tokens, cost, latency: Outcome(
        status,
        dict(zip(("joy", "fear"), flags, strict=True)) if status == "ok" else None,
        None if status == "failed" else reward,
        calls,
        tokens,
        tokens // 2,
        cost,
        latency,
    ),
    st.sampled_from(["ok", "ok", "invalid", "failed"]),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(0, 3),
    st.integers(0, 500),
    st.sampled_from([0.0, 0.25, 0.001]),
    st.floats(0, 9),
)
gold_flags = st.tuples(st.booleans(), st.booleans()).map(lambda flags: dict(zip(("joy", "fear"), flags, strict=True)))
examples = st.lists(st.tuples(outcomes, gold_flags), min_size=2, max_size=25)
METRICS: list[Any] = [
    BinaryF1Score(average, name=str(average)).bind(Flags) for average in ("macro", "micro", "weighted", None)
]


@given(examples, st.data())
@settings(max_examples=80, deadline=None)
def test_the_sums_of_any_two_parts_reduce_to_the_number_of_the_whole(
    pairs: list[tuple[Outcome, dict[str, bool]]], data: st.DataObject
) -> None:
    """Batches, epochs and machines may cut the examples anywhere, in any order."""
    order = data.draw(st.permutations(range(len(pairs))))
    cut = data.draw(st.integers(0, len(pairs)))

    def of(indices: Any) -> list[Measure]:
        chosen = [pairs[index] for index in indices]
        return measures_of([outcome for outcome, _ in chosen], [gold for _, gold in chosen], METRICS)

    whole = of(range(len(pairs)))
    assert len(whole) == 1 + 3 + 2 + 5
    for measure, first, second in zip(whole, of(order[:cut]), of(order[cut:]), strict=True):
        parts = [part.statistics.sum(axis=0) for part in (first, second) if len(part.statistics)]
        assert float(measure.reduce(np.sum(parts, axis=0))) == pytest.approx(measure.value, nan_ok=True)
        assert measure.value == pytest.approx(measure.value, nan_ok=True)


@given(examples, st.data())
@settings(max_examples=40, deadline=None)
def test_failed_examples_change_nothing_but_the_failure_rate(
    pairs: list[tuple[Outcome, dict[str, bool]]], data: st.DataObject
) -> None:
    """Whatever a failed example holds, the other numbers are those of the rest."""

    def of(some: list[tuple[Outcome, dict[str, bool]]]) -> dict[str, float]:
        found = measures_of([outcome for outcome, _ in some], [gold for _, gold in some], METRICS)
        return {measure.name: measure.value for measure in found if measure.name != "failure_rate"}

    scored = [pair for pair in pairs if pair[0].status != "failed"]
    assert of(pairs) == pytest.approx(of(scored), nan_ok=True)


def test_a_constructor_is_shown_as_it_is() -> None:
    """To inspect, and so to what checks a metric's parameters in params.yaml: a class shows them, an object a call."""
    assert list(inspect.signature(BinaryF1Score).parameters)[:2] == ["average", "threshold"]
    assert list(inspect.signature(BinaryF1Score()).parameters) == ["y_true", "y_pred"]
