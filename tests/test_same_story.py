"""Odd replies: the reward and every metric tell the same story of them, whichever form was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from openai_server import Answer, Asked, OpenAIServer, chat, openai_server

import paretune
from paretune import DataModel, metrics, rewards


class Case(DataModel):
    """What is asked: which odd reply to give."""

    case: str


class Label(DataModel):
    label: Literal["joy", "fear"]


class Flags(DataModel):
    joy: bool
    fear: bool


class City(DataModel):
    city: str


GOLD: dict[type[DataModel], DataModel] = {Label: Label(label="joy"), Flags: Flags(joy=True, fear=False)}
GOLD[City] = City(city="Paris")

#: The right reply in lines, and those that are no record: the first of them is cut short.
LINES: dict[type[DataModel], tuple[str, list[str | None]]] = {
    Label: ("Label: joy", ["Label: jo", "anger", "Label:", "joy or fear", "", "  \n", None]),
    Flags: ("Joy: yes\nFear: no", ["Joy: yes\nFe", "Joy: perhaps\nFear: no", "yes", "Joy:\nFear:", "", None]),
    City: ("City: Paris", ["", "  \n", None]),
}


def replies(model: type[DataModel], form: str) -> tuple[list[str | None], list[str | None]]:
    """Replies that hold the right record, and replies that hold none."""
    if form == "text":
        right, wrong = LINES[model]
        around = [] if model is City else [f"Well, let me see.\n{right}"]  # prose would be a city as well
        return [right, f"```\n{right}\n```", *around], wrong
    right = GOLD[model].model_dump_json()
    first = next(iter(model.model_fields))
    nothing = {**GOLD[model].get_json(), first: None}
    wrong = [right[:-3], '{"mark": 1}', json.dumps(nothing), f"[{right[1:-1]}]", "null", "", None, "I cannot say."]
    wrong.append(json.dumps({**GOLD[model].get_json(), "more": 1}))
    return [right, f"```json\n{right}\n```", f"Well, let me see: {right} That is all."], wrong


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    """A model that gives the reply that it is told to give, and a judge that sees what is equal."""
    with openai_server() as running:
        yield running


def answers(told: dict[str, str | None]) -> Callable[[Asked], Answer]:
    """The server's part; a reply that is cut short says so."""

    def answer(asked: Asked) -> Answer:
        question = asked.body["messages"][-1]["content"]
        if asked.body["model"] == "judge":
            given = json.loads(question)
            return chat(json.dumps({"score": float(given["reference"] == given["answer"])}))
        (case,) = re.findall(r"case \d+", question)
        given_answer = chat(told[case])
        if case == "case 100":
            given_answer.body["choices"][0]["finish_reason"] = "length"
        return given_answer

    return answer


def same(y_true: Any, y_pred: Any) -> float:
    """A function of two records."""
    return float(y_true.get_json() == y_pred.get_json())


MEAN = metrics.MeanMetricWrapper(same)
METRICS: dict[type[DataModel], list[metrics.Metric]] = {
    Flags: [
        *(kind("micro") for kind in (metrics.BinaryF1Score, metrics.BinaryPrecision)),
        *(kind("micro") for kind in (metrics.BinaryRecall, metrics.BinaryAccuracy)),
        metrics.FieldF1(),
        MEAN,
    ],
    Label: [
        *(kind("micro") for kind in (metrics.CategoricalF1Score, metrics.CategoricalPrecision)),
        *(kind("micro") for kind in (metrics.CategoricalRecall, metrics.CategoricalAccuracy)),
        metrics.FieldF1(),
        MEAN,
    ],
    City: [metrics.F1Score(), metrics.FieldF1(), MEAN],
}
REWARDS: list[Any] = [rewards.ExactMatch(), rewards.RewardFunctionWrapper(same), rewards.LMAsJudge("openai/judge")]
REWARDS += [rewards.Weighted([rewards.ExactMatch(), same]), rewards.FieldMatch()]


def evaluated(server: OpenAIServer, model: type[DataModel], form: Any, reward: Any) -> tuple[Any, int, int]:
    """The evaluation of one example for each reply: the right ones, then the wrong ones; and how many there are."""
    right, wrong = replies(model, form)
    told = {f"case {number}": reply for number, reply in enumerate(right)}
    told |= {f"case {number + 100}": reply for number, reply in enumerate(wrong)}
    server.answer = answers(told)
    if isinstance(reward, rewards.LMAsJudge):
        reward = rewards.LMAsJudge(paretune.LanguageModel("openai/judge", api_base=server.api_base))
    writer = paretune.LanguageModel("openai/writer", api_base=server.api_base, max_attempts=1)

    async def build() -> paretune.Program:
        inputs = paretune.Input(data_model=Case)
        return paretune.Program(inputs, await paretune.Generator(model, writer, structured_output=form)(inputs))

    program = paretune.run_maybe_nested(build())
    program.compile(reward=reward, metrics=METRICS[model])
    x = [Case(case=case) for case in told]
    return paretune.run_maybe_nested(program.evaluation(x, [GOLD[model]] * len(x))), len(right), len(wrong)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the client wants to have."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.mark.parametrize("form", ["native", "prompt", "text"])
@pytest.mark.parametrize("model", METRICS)
def test_every_reward(server: OpenAIServer, model: type[DataModel], form: str) -> None:
    """A reply that holds the right record earns 1, whatever is around it; any other is invalid and earns 0."""
    for reward in (*REWARDS, *METRICS[model]):
        evaluation, right, wrong = evaluated(server, model, form, reward)
        statuses = [outcome.status for outcome in evaluation.outcomes]
        assert statuses == ["ok"] * right + ["invalid"] * wrong
        assert [outcome.reward for outcome in evaluation.outcomes] == [1.0] * right + [0.0] * wrong
        assert [outcome.output for outcome in evaluation.outcomes[right:]] == [None] * wrong
        assert evaluation.values["reward"] == pytest.approx(right / (right + wrong))
        assert evaluation.values["invalid_rate"] == pytest.approx(wrong / (right + wrong))
        assert evaluation.values["failure_rate"] == 0.0


@pytest.mark.parametrize("form", ["native", "prompt", "text"])
@pytest.mark.parametrize("model", METRICS)
def test_every_metric(server: OpenAIServer, model: type[DataModel], form: str) -> None:
    """A metric has as many examples as the reward, full marks for the right ones, and an invalid one as a miss."""
    evaluation, right, wrong = evaluated(server, model, form, None)
    measures = {measure.name: measure for measure in evaluation.measures}
    outputs = [None if outcome.output is None else model(**outcome.output) for outcome in evaluation.outcomes]
    gold = [GOLD[model]] * (right + wrong)
    share = right / (right + wrong)
    for metric in METRICS[model]:
        found = measures[metric.name]
        assert len(found.statistics) == len(measures["reward"].statistics) == right + wrong
        assert found.value == pytest.approx(metric(gold, outputs))
        assert metric(gold[:right], outputs[:right]) == 1.0
        assert metric.bind(model).reward(GOLD[model].get_json(), None) == 0.0
        # Where nothing is answered nothing is answered wrongly: precision stays, and F1 is between it and recall.
        wanted = share
        if "precision" in metric.name:
            wanted = 1.0
        elif "f1" in metric.name and not isinstance(metric, metrics.F1Score):  # over tokens: a mean over examples
            wanted = 2 * share / (1 + share)
        assert found.value == pytest.approx(wanted)


def test_every_metric_and_reward_is_here() -> None:
    """Whoever adds one is told to let it tell the same story."""
    kinds = {name for name in metrics.__all__ if issubclass(getattr(metrics, name), metrics.Metric)} - {"Metric"}
    assert {type(metric).__name__ for each in METRICS.values() for metric in each} == kinds
    kinds = {name for name in rewards.__all__ if issubclass(getattr(rewards, name), rewards.Reward)} - {"Reward"}
    assert {type(reward).__name__ for reward in REWARDS} == kinds
