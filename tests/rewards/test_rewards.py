"""Rewards: exact matches, functions and metrics, one example at a time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.metrics import BinaryF1Score, CategoricalF1Score, MeanMetricWrapper
from paretune.rewards import ExactMatch, Reward, RewardFunctionWrapper
from paretune.rewards.reward import as_reward
from paretune.schemas.data_model import SCORES, DataModel, Score


class Total(DataModel):
    answer: float
    unit: str = "m"


class WholeTotal(DataModel):
    answer: int
    unit: str = "m"


class ThoughtfulTotal(DataModel):
    thinking: str
    answer: float
    unit: str = "m"


class Nested(DataModel):
    parts: list[Total]
    joy: Score


class Label(DataModel):
    label: Literal["joy", "fear"]


class Flags(DataModel):
    joy: bool
    fear: bool


def of(reward: Reward, y_true: Any, y_pred: Any) -> float:
    """What a reward gives, from outside any event loop."""

    async def run() -> float:
        return await reward(y_true, y_pred)

    return asyncio.run(run())


@pytest.mark.parametrize(("answer", "reward"), [(1, 1.0), (1.0, 1.0), (1.5, 0.0), (-1, 0.0)])
def test_numbers_compare_as_numbers(answer: float, reward: float) -> None:
    """1 equals 1.0, whichever of the two records holds the integer."""
    assert of(ExactMatch(), WholeTotal(answer=1), Total(answer=answer)) == reward
    assert of(ExactMatch(), Total(answer=answer), WholeTotal(answer=1)) == reward


def test_every_field_must_match() -> None:
    """One wrong field makes the record wrong; text compares to the letter."""
    assert of(ExactMatch(), Total(answer=1), Total(answer=1)) == 1.0
    assert of(ExactMatch(), Total(answer=1), Total(answer=1, unit="M")) == 0.0


def test_lists_and_records_inside_compare_too() -> None:
    """Equality goes all the way down, and minds the order of a list."""
    one, two = Total(answer=1), Total(answer=2)
    assert of(ExactMatch(), Nested(parts=[one, two], joy=1), Nested(parts=[one, two], joy=1.0)) == 1.0
    assert of(ExactMatch(), Nested(parts=[one, two], joy=1), Nested(parts=[two, one], joy=1)) == 0.0


@pytest.mark.parametrize(
    ("in_mask", "out_mask", "reward"),
    [(None, None, 0.0), (["answer"], None, 1.0), (None, ["unit"], 1.0), (["unit"], None, 0.0), (None, ["answer"], 0.0)],
)
def test_masks(in_mask: Sequence[str] | None, out_mask: Sequence[str] | None, reward: float) -> None:
    """The answer is right and the unit is wrong; bound or not, the mask says which of them counts."""
    match = ExactMatch(in_mask=in_mask, out_mask=out_mask)
    for each in (match, match.bind(Total)):
        assert of(each, Total(answer=1), Total(answer=1, unit="km")) == reward


def test_an_unknown_name_in_a_mask_is_refused_at_bind() -> None:
    """Before any example is run, for a match and for a metric as a reward; a mask that keeps nothing likewise."""
    with pytest.raises(UsageError, match=r"'anwser'.*answer, unit"):
        ExactMatch(in_mask=["anwser"]).bind(Total)
    with pytest.raises(UsageError, match="no field"):
        ExactMatch(out_mask=["answer", "unit"]).bind(Total)
    with pytest.raises(UsageError, match="'lable'"):
        as_reward(CategoricalF1Score("macro", in_mask=["lable"])).bind(Label)


def test_a_prediction_with_thinking_is_fine() -> None:
    """What the gold record does not have is not compared."""
    pred = ThoughtfulTotal(thinking="1 and a half", answer=1.5)
    assert of(ExactMatch().bind(Total), Total(answer=1.5), pred) == 1.0
    assert of(ExactMatch().bind(Total), Total(answer=2), pred) == 0.0


def test_a_prediction_without_a_compared_field_is_wrong() -> None:
    """A missing field does not match, rather than raise."""
    assert of(ExactMatch().bind(ThoughtfulTotal), ThoughtfulTotal(thinking="", answer=1), Total(answer=1)) == 0.0


def test_binding_leaves_the_reward_as_it_was() -> None:
    """One reward object serves two data models."""
    match = ExactMatch()
    bound = match.bind(Total)
    assert of(match.bind(Label), Label(label="joy"), Label(label="joy")) == 1.0
    assert of(bound, Total(answer=1), Total(answer=2)) == 0.0


@given(st.sampled_from(SCORES), st.sampled_from(SCORES))
def test_scores_match_where_they_are_equal(first: float, second: float) -> None:
    """A score matches itself alone."""
    records = [Nested(parts=[], joy=each) for each in (first, second)]
    assert of(ExactMatch(), *records) == (first == second)


def close(y_true: Total, y_pred: Total, within: float = 1.0) -> bool:
    return abs(y_true.answer - y_pred.answer) <= within


async def close_later(y_true: Total, y_pred: Total) -> float:
    await asyncio.sleep(0)
    return float(close(y_true, y_pred))


class Judge:
    """A callable object that answers later."""

    def __call__(self, y_true: Total, y_pred: Total) -> Awaitable[float]:
        return close_later(y_true, y_pred)


@pytest.mark.parametrize(
    "function", [close, close_later, Judge(), partial(close, within=1.5), lambda t, p: close(t, p)]
)
def test_a_function_sync_or_async_is_a_reward(function: Any) -> None:
    """Plain, async, partial, lambda or an object: each gives a float."""
    for reward in (RewardFunctionWrapper(function), as_reward(function)):
        found = [of(reward.bind(Total), Total(answer=3), Total(answer=answer)) for answer in (3.5, 5)]
        assert found == [1.0, 0.0]
        assert all(type(each) is float for each in found)


def test_a_wrapper_is_called_like_its_function() -> None:
    """Unless it is given another name; an object without a name is a reward."""
    assert RewardFunctionWrapper(close).name == "close"
    assert RewardFunctionWrapper(close, name="near").name == "near"
    assert RewardFunctionWrapper(partial(close)).name == "reward"


def test_an_error_in_a_function_is_not_a_reward() -> None:
    """A mistake in the user's function is raised, never scored as 0."""
    with pytest.raises(AttributeError, match="anwser"):
        of(RewardFunctionWrapper(lambda y_true, y_pred: y_pred.anwser), Total(answer=1), Total(answer=1))


def test_a_metric_as_a_reward_scores_each_example_alone() -> None:
    """What came before changes nothing: the same pair is worth the same first, last and at the same time."""
    reward = as_reward(BinaryF1Score("macro")).bind(Flags)
    both, joy, none = (Flags(joy=a, fear=b) for a, b in ((True, True), (True, False), (False, False)))
    assert reward.name == "binary_f1_score"

    async def together() -> list[float]:
        pairs = [(joy, joy), (both, joy), (joy, none), (none, none), (both, joy), (joy, joy)]
        return list(await asyncio.gather(*(reward(*pair) for pair in pairs)))

    # both against joy: tp 1, fn 1: 2/3
    assert asyncio.run(together()) == pytest.approx([1, 2 / 3, 0, 1, 2 / 3, 1])
    assert of(reward, both, joy) == pytest.approx(2 / 3)


def test_what_a_reward_can_be() -> None:
    """A Reward stays what it is; a class that was not called, or anything else, is refused."""
    match = ExactMatch()
    assert as_reward(match) is match
    for wrong in (ExactMatch, CategoricalF1Score, "exact_match", None):
        with pytest.raises(UsageError, match="reward must be"):
            as_reward(wrong)


@pytest.mark.parametrize("value", [math.nan, math.inf, None, {}, [1.0], "1", b"1", -0.5, 1.5, 100, object()])
def test_what_is_no_reward_is_an_error(value: Any) -> None:
    """A number from 0 to 1 or nothing: no other value is scored, and none is cut to size."""
    with pytest.raises(UsageError, match="'mine' must give a number from 0"):
        of(RewardFunctionWrapper(lambda t, p: value, name="mine"), Total(answer=1), Total(answer=1))


@pytest.mark.parametrize(
    ("value", "reward"),
    [(True, 1.0), (np.bool_(False), 0.0), (np.float32(0.5), 0.5), (np.int64(1), 1.0), (Decimal("0.25"), 0.25),
     (1 + 1e-12, 1.0), (-1e-12, 0.0)],
)  # fmt: skip
def test_every_kind_of_number_is_a_reward(value: Any, reward: float) -> None:
    """Bools and NumPy's numbers; what is off by rounding alone is 0 or 1."""
    found = of(RewardFunctionWrapper(lambda t, p: value), Total(answer=1), Total(answer=1))
    assert found == reward and type(found) is float


def test_arguments_for_the_function() -> None:
    """Those that are given go to the function; what it does not take is told at once."""
    assert of(RewardFunctionWrapper(close, within=3.0), Total(answer=1), Total(answer=4)) == 1.0
    for fn, kwargs in ((close, {"wihtin": 1}), (lambda t: 1.0, {}), (lambda t, p, more: 1.0, {})):
        with pytest.raises(UsageError, match="fn must take"):
            RewardFunctionWrapper(fn, **kwargs)
    for fn in ("close", None, ExactMatch):
        with pytest.raises(UsageError, match="function of"):
            RewardFunctionWrapper(fn)  # type: ignore[arg-type]


@pytest.mark.parametrize("mask", [{"in_mask": ["answer"]}, {"out_mask": ["unit"]}])
def test_masks_of_a_function(mask: Any) -> None:
    """It gets records of the kept fields alone, of the prediction too; bound or not."""
    reward = RewardFunctionWrapper(lambda t, p: t.get_json() == p.get_json() == {"answer": 1.0}, **mask)
    for each in (reward, reward.bind(Total)):
        assert of(each, Total(answer=1), ThoughtfulTotal(thinking="so", answer=1, unit="km")) == 1.0
    with pytest.raises(UsageError, match="'anwser'"):
        RewardFunctionWrapper(close, in_mask=["anwser"]).bind(Total)


def test_a_metric_that_is_better_when_smaller_is_no_reward() -> None:
    """The search would go the wrong way."""
    with pytest.raises(UsageError, match="better when smaller"):
        as_reward(MeanMetricWrapper(close, name="distance", direction="min", invalid=1))
