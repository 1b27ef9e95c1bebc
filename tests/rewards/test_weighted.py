"""Weighted: several rewards as one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune import DataModel, Generator, Input, Program, ScriptedLanguageModel, run_maybe_nested
from paretune.errors import JudgementError, UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.rewards import ExactMatch, LMAsJudge, Reward, RewardFunctionWrapper, Scored, Weighted
from paretune.tuners import GridSearch


class Answer(DataModel):
    text: str
    source: str = "memory"


def value(reward: Reward, text: str = "a") -> Any:
    """What a reward gives an answer, bound to the data model."""

    async def run() -> Any:
        return await reward.bind(Answer)(Answer(text="a"), Answer(text=text))

    return run_maybe_nested(run())


def constant(number: Any, name: str) -> Reward:
    return RewardFunctionWrapper(lambda y_true, y_pred: number, name=name)


def judge(tmp_path: Path, name: str, scores: list[Any]) -> LMAsJudge:
    """A judge whose k-th judgement is the k-th of some scores."""
    model = ScriptedLanguageModel(
        lambda request: json.dumps({"score": scores[request.draw]}), name=name, ledger=Ledger(tmp_path / name)
    )
    return LMAsJudge(model, name=name, judgements=len(scores))


def test_the_weighted_mean_by_hand() -> None:
    """(3 * 1 + 1 * .5)/4; each part is kept by its name; without weights all count alike."""
    parts = [ExactMatch(in_mask=["text"]), constant(0.5, "style")]
    found = value(Weighted(parts, [3, 1]))
    assert (found, found.parts, found.judgements) == (0.875, {"exact_match": 1.0, "style": 0.5}, ())
    assert value(Weighted(parts)) == 0.75 and value(Weighted(parts), "b") == 0.25


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 100)), min_size=1, max_size=6))
def test_it_lies_between_its_parts(parts: list[tuple[float, float]]) -> None:
    """And only the ratio of the weights matters."""
    rewards = [constant(number, f"r{place}") for place, (number, _) in enumerate(parts)]
    weights = [weight for _, weight in parts]
    found = value(Weighted(rewards, weights))
    numbers = [number for number, _ in parts]
    assert min(numbers) - 1e-12 <= found <= max(numbers) + 1e-12
    assert found == pytest.approx(value(Weighted(rewards, [7 * weight for weight in weights])))


def test_judges_and_calls_are_those_of_all_parts(tmp_path: Path) -> None:
    """Their models, their calls; the judgements of all, combined with what does not waver."""
    one, other = judge(tmp_path, "one", [0.0, 1.0]), judge(tmp_path, "other", [0.5, 0.7])
    reward = Weighted([ExactMatch(), Weighted([one, other], name="judges")], [1, 1])
    assert reward.calls_per_example == 4
    assert [model.model for model in reward.language_models] == ["scripted/one", "scripted/other"]
    found = value(reward)
    assert found.judgements == pytest.approx((0.625, 0.925))  # (1 + (0 + .5)/2)/2, (1 + (1 + .7)/2)/2
    assert found == pytest.approx(sum(found.judgements) / 2)
    names = {"exact_match": 1, "judges": 0.55, "judges.one": 0.5, "judges.other": 0.6}
    assert found.parts == pytest.approx(names)


def test_judges_that_are_asked_unequally_often(tmp_path: Path) -> None:
    """Their judgements make no pairs, so that none are kept; the reward is what it is."""
    found = value(Weighted([judge(tmp_path, "one", [0.0, 1.0]), judge(tmp_path, "other", [0.5, 0.5, 0.8])]))
    assert (found.judgements, found) == ((), pytest.approx(0.55))


def test_a_part_that_fails_leaves_no_reward(tmp_path: Path) -> None:
    """A judge without a score is not worth 0; a number outside of 0 to 1 is an error that names the part."""
    with pytest.raises(JudgementError):
        value(Weighted([ExactMatch(), judge(tmp_path, "mute", ["none"])]))

    class Loud(Reward):
        name = "loud"

        async def __call__(self, y_true: Any, y_pred: Any) -> float:
            return 2.0

    with pytest.raises(UsageError, match="'loud' must give a number from 0"):
        value(Weighted([ExactMatch(), Loud()]))


def test_what_a_reward_of_ones_own_was_made_of_is_kept() -> None:
    """A function may tell the judgements and the parts of its number."""
    found = value(constant(Scored(0.5, [0.4, 0.6], {"clear": 0.5}), "own"))
    assert (found, found.judgements, found.parts) == (0.5, (0.4, 0.6), {"clear": 0.5})


@pytest.mark.parametrize(
    ("rewards", "weights", "message"),
    [
        ([], None, "give some rewards"),
        ([ExactMatch()], [1, 2], "a weight for each .got 1 and 2."),
        ([ExactMatch()], [0], "above 0"),
        ([ExactMatch()], [math.nan], "above 0"),
        ([ExactMatch()], ["much"], "above 0"),
        ([ExactMatch(), ExactMatch()], None, "two rewards are called 'exact_match'"),
        ([1.0], None, "must be a Reward"),
    ],
)
def test_what_cannot_be_combined(rewards: list[Any], weights: Any, message: str) -> None:
    """Told when the reward is made."""
    with pytest.raises(UsageError, match=message):
        Weighted(rewards, weights)


def test_another_mask_is_refused_when_it_is_bound() -> None:
    """Each part learns the fields."""
    with pytest.raises(UsageError, match="'texts'"):
        Weighted([ExactMatch(in_mask=["texts"])]).bind(Answer)


def test_other_weights_are_another_search(tmp_path: Path) -> None:
    """A search with the same weights is gone on with, one with others begins anew."""
    model = ScriptedLanguageModel(lambda request: '{"text": "a"}', ledger=Ledger(tmp_path / "ledger"))

    def resumed(weights: list[float]) -> int:
        async def build_program(hp: Any) -> Program:
            hp.Fixed("none", 0)
            inputs = Input(data_model=Answer)
            program = Program(inputs=inputs, outputs=await Generator(data_model=Answer, language_model=model)(inputs))
            program.compile(reward=Weighted([ExactMatch(), ExactMatch(in_mask=["text"], name="text")], weights))
            return program

        search = GridSearch(build_program, objective="val_reward", directory=tmp_path, verbose=False)
        search.search([Answer(text="a")], [Answer(text="a")], validation_data=([Answer(text="a")], [Answer(text="a")]))
        return search.resumed

    assert [resumed(weights) for weights in ([1, 2], [1, 2], [2, 1])] == [0, 1, 0]
