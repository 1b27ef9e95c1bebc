"""MeanMetricWrapper: a function as a metric."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict

from paretune.errors import UsageError
from paretune.metrics import MeanMetricWrapper
from paretune.metrics.measures import measures_of
from paretune.metrics.outcome import Outcome
from paretune.rewards import ExactMatch, LMAsJudge, RewardFunctionWrapper
from paretune.schemas.data_model import DataModel
from paretune.schemas.parsing import parse_json


class Total(DataModel):
    answer: float


class ThoughtfulTotal(DataModel):
    thinking: str
    answer: float


def distance(y_true: Total, y_pred: Total) -> float:
    return abs(y_true.answer - y_pred.answer)


@given(st.lists(st.tuples(*[st.integers(-9, 9)] * 2), min_size=1, max_size=12))
def test_mean_of_the_function(pairs: list[tuple[int, int]]) -> None:
    """Each example counts alike."""
    metric = MeanMetricWrapper(distance, direction="min", invalid=99)
    found = metric([Total(answer=a) for a, _ in pairs], [Total(answer=b) for _, b in pairs])
    assert found == pytest.approx(sum(abs(a - b) for a, b in pairs) / len(pairs))


def test_an_invalid_output_is_worth_what_it_is_said_to_be() -> None:
    """0 when more is better; when less is better it must be said, for 0 would be the best."""
    gold, pred = [Total(answer=1)] * 2, [Total(answer=1), None]
    assert MeanMetricWrapper(lambda t, p: t.answer == p.answer)(gold, pred) == 0.5
    assert MeanMetricWrapper(distance, direction="min", invalid=10)(gold, pred) == 5.0
    with pytest.raises(UsageError, match="invalid="):
        MeanMetricWrapper(distance, direction="min")
    with pytest.raises(UsageError, match="'up'"):
        MeanMetricWrapper(distance, direction="up")  # type: ignore[arg-type]


def test_the_function_gets_records() -> None:
    """Those of the gold data model; what the prediction has beside it can be read as well."""
    seen: list[Any] = []

    def length(y_true: Total, y_pred: Any) -> int:
        seen.append(y_pred)
        assert isinstance(y_true, Total) and isinstance(y_pred, Total)
        return len(getattr(y_pred, "thinking", ""))

    gold = [Total(answer=1)] * 2
    assert MeanMetricWrapper(length)(gold, [ThoughtfulTotal(thinking="hm", answer=2), Total(answer=1)]) == 1.0
    assert seen[0].answer == 2 and seen[1] == gold[0]


def test_among_the_other_measures() -> None:
    """A failed example has no part, and the name and the direction are the metric's."""
    metric = MeanMetricWrapper(distance, "off", direction="min", invalid=4).bind(Total)
    outcomes = [
        Outcome("ok", {"answer": 3.0}, 0.0, 1, 1, 1, 0.0, 0.1),
        Outcome("invalid", None, 0.0, 1, 1, 1, 0.0, 0.1),
        Outcome("failed", None, None, 1, 1, 1, 0.0, 0.1),
    ]
    measure = measures_of(outcomes, [{"answer": 1.0}] * 3, [metric])[1]
    assert (measure.name, measure.direction, measure.value) == ("off", "min", (2 + 4) / 2)
    assert np.isnan(metric.reduce(np.zeros(2)))


def test_names() -> None:
    """A metric is called like its function, unless it is given another name or the function has none."""
    assert MeanMetricWrapper(distance, direction="min", invalid=1).name == "distance"
    assert MeanMetricWrapper(partial(distance)).name == "mean_metric"


async def later(y_true: Total, y_pred: Total) -> float:
    return 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "high"])
def test_what_is_no_number_is_refused(value: Any) -> None:
    """A function that gives no finite number is mistaken; it is no score of 0."""
    with pytest.raises(UsageError, match="finite"):
        MeanMetricWrapper(lambda t, p: value, name="mine")([Total(answer=1)], [Total(answer=1)])


def test_a_function_that_answers_later_is_refused() -> None:
    """From the start where it shows, else at the first example."""
    with pytest.raises(UsageError, match="async"):
        MeanMetricWrapper(later)
    with pytest.raises(UsageError, match="finite"):
        MeanMetricWrapper(lambda t, p: later(t, p))([Total(answer=1)], [Total(answer=1)])


def test_an_error_in_the_function_is_raised() -> None:
    """A mistake is never a score."""
    with pytest.raises(ZeroDivisionError):
        MeanMetricWrapper(lambda t, p: 1 / 0)([Total(answer=1)], [Total(answer=1)])


def test_a_reward_as_a_metric() -> None:
    """One that asks no language model: its mean over examples, by its own name and with its own masks."""
    gold = [ThoughtfulTotal(thinking="a", answer=1), ThoughtfulTotal(thinking="b", answer=2)]
    pred = [ThoughtfulTotal(thinking="c", answer=1), ThoughtfulTotal(thinking="b", answer=3)]
    metric = MeanMetricWrapper(fn=ExactMatch(in_mask=["answer"]))
    assert metric.name == "exact_match" and metric(gold, pred) == 0.5
    assert MeanMetricWrapper(ExactMatch(), in_mask=["thinking"])(gold, pred) == 0.5
    assert MeanMetricWrapper(RewardFunctionWrapper(lambda t, p: t == p), name="same")(gold, [*pred[:1], gold[1]]) == 0.5
    with pytest.raises(UsageError, match="'anwser'"):
        MeanMetricWrapper(ExactMatch(in_mask=["anwser"])).bind(Total)
    with pytest.raises(UsageError, match="async"):
        MeanMetricWrapper(LMAsJudge("openai/judge"))


async def slow(y_true: Total, y_pred: Total) -> float:
    await asyncio.sleep(0)
    return 1.0


def test_a_reward_that_waits_is_no_metric() -> None:
    """It shows at the first example."""
    with pytest.raises(UsageError, match="finite"):
        MeanMetricWrapper(RewardFunctionWrapper(slow))([Total(answer=1)], [Total(answer=1)])


class Later:
    async def __call__(self, y_true: Total, y_pred: Total) -> float:
        return 1.0


@pytest.mark.parametrize("function", [later, partial(later), partial(partial(later)), Later()])
def test_every_kind_of_async_function_is_refused(function: Any) -> None:
    """A partial of one and an object that is called like one, too."""
    with pytest.raises(UsageError, match="async"):
        MeanMetricWrapper(function)


def test_arguments_for_the_function() -> None:
    """Those that are given go to the function; those that it does not take are told at once."""

    def near(y_true: Total, y_pred: Total, within: float) -> bool:
        return abs(y_true.answer - y_pred.answer) <= within

    assert MeanMetricWrapper(near, within=1)([Total(answer=1)] * 2, [Total(answer=2), Total(answer=3)]) == 0.5
    for wrong in ({}, {"wihtin": 1}, {"within": 1, "more": 2}):
        with pytest.raises(UsageError, match="fn must take"):
            MeanMetricWrapper(near, **wrong)  # type: ignore[arg-type]
    for fn in ("near", None, ExactMatch):
        with pytest.raises(UsageError, match="function of"):
            MeanMetricWrapper(fn)  # type: ignore[arg-type]


def test_masks() -> None:
    """The function gets records of the kept fields alone."""
    seen: list[Any] = []

    def look(y_true: Any, y_pred: Any) -> float:
        seen.append((y_true.get_json(), y_pred.get_json()))
        return 1.0

    gold, pred = ThoughtfulTotal(thinking="a", answer=1), ThoughtfulTotal(thinking="b", answer=2)
    MeanMetricWrapper(look, in_mask=["answer"])([gold], [pred])
    MeanMetricWrapper(look, out_mask=["thinking"])([gold], [pred])
    assert seen == [({"answer": 1.0}, {"answer": 2.0})] * 2
    with pytest.raises(UsageError, match="'anwser'"):
        MeanMetricWrapper(look, in_mask=["anwser"]).bind(Total)


@pytest.mark.parametrize("value", [{}, [1.0], "0.5", b"1", 10**400, float("nan"), object()])
def test_other_values_are_no_numbers(value: Any) -> None:
    """Whatever else a function gives, text with a number in it included."""
    with pytest.raises(UsageError, match="finite"):
        MeanMetricWrapper(lambda t, p: value)([Total(answer=1)], [Total(answer=1)])


@pytest.mark.parametrize("value", [True, np.float32(1), np.int64(1), np.bool_(True), np.array(1.0), Decimal(1)])
def test_every_kind_of_number(value: Any) -> None:
    """NumPy's, too."""
    assert MeanMetricWrapper(lambda t, p: value)([Total(answer=1)], [Total(answer=1)]) == 1.0


class Exact(DataModel):
    model_config = ConfigDict(strict=True)

    day: date
    parts: tuple[int, ...]


def test_records_of_strict_models() -> None:
    """Their JSON is read as JSON, in which a date is text."""
    record = Exact(day=date(2020, 1, 1), parts=(1, 2))
    assert parse_json(json.dumps(record.get_json()), Exact) == record
    assert MeanMetricWrapper(lambda t, p: t == p == record)([record], [record]) == 1.0
    for invalid in (math.nan, "0"):
        with pytest.raises(UsageError, match="invalid must be"):
            MeanMetricWrapper(distance, invalid=invalid)  # type: ignore[arg-type]
