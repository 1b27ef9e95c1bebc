"""LMAsJudge: what the judge is asked, what its score is worth, and who pays for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paretune import (
    ChainOfThought,
    DataModel,
    Generator,
    Input,
    LanguageModel,
    Program,
    run_maybe_nested,
)
from paretune.errors import FatalError, JudgementError, RefusedInputError, TransientError, UsageError
from paretune.lm.types import Price, Request
from paretune.optimizers import Optimizer, RandomFewShot
from paretune.rewards import LMAsJudge, Reward
from paretune.schemas.data_model import SCORES
from paretune.trials.goals import as_goals
from paretune.tuners import GridSearch
from paretune.tuners.checks import check_objectives
from paretune.tuners.run_trial import planned_calls


class Question(DataModel):
    text: str


class Answer(DataModel):
    text: str
    source: str = "memory"


class ThoughtfulAnswer(DataModel):
    thinking: str
    text: str
    source: str = "memory"


PRICE = Price(prompt=1.0, completion=2.0)


def questions(n: int, start: int = 0) -> tuple[list[Question], list[Answer]]:
    """Questions 0, 1, … and their answers."""
    numbers = range(start, start + n)
    return [Question(text=f"{each}?") for each in numbers], [Answer(text=f"{each}!") for each in numbers]


def student(request: Request) -> str:
    """Answers rightly, but for every question that ends in 3 (nothing of use) or 4 (wrongly)."""
    number = json.loads(request.messages[-1][1])["text"].removesuffix("?")
    if number.endswith("3"):
        return "I do not know."
    record = {"text": "no" if number.endswith("4") else f"{number}!", "source": "memory"}
    thinks = "thinking" in (request.schema or {}).get("properties", {})
    return json.dumps({"thinking": f"well, {number}", **record} if thinks else record)


def comparison(request: Request) -> dict[str, Any]:
    """What a judge was given."""
    given: dict[str, Any] = json.loads(request.messages[-1][1])
    return given


def strict(request: Request) -> str:
    """A judge that sees whether the records are equal."""
    given = comparison(request)
    return json.dumps({"score": 1.0 if given["answer"] == given["reference"] else 0.2})


def program_of(
    model: LanguageModel, reward: Any, optimizer: Optimizer | None = None, kind: type[Generator] = Generator
) -> Program:
    """A compiled program of one generator."""

    async def build() -> Program:
        inputs = Input(data_model=Question)
        return Program(inputs=inputs, outputs=await kind(data_model=Answer, language_model=model)(inputs))

    program = run_maybe_nested(build())
    program.compile(reward=reward, optimizer=optimizer)
    return program


def judged(reward: Reward, y_true: Any, y_pred: Any) -> float:
    """What a reward gives, from outside any event loop."""

    async def run() -> float:
        return await reward(y_true, y_pred)

    return run_maybe_nested(run())


@pytest.mark.parametrize("score", SCORES)
def test_the_reward_is_the_score(lm: Any, score: float) -> None:
    """Any of the eleven scores, as it comes."""
    judge = LMAsJudge(lm(lambda request: json.dumps({"score": score})))
    assert judged(judge, Answer(text="a"), Answer(text="b")) == score


@pytest.mark.parametrize(
    ("masks", "fields"),
    [({}, ["text", "source"]), ({"in_mask": ["text"]}, ["text"]), ({"out_mask": ["text"]}, ["source"])],
)
def test_what_the_judge_is_shown(lm: Any, masks: dict[str, Any], fields: list[str]) -> None:
    """The instructions, and the masked fields of both records; never the thinking; bound or not."""
    model = lm(strict)
    judge = LMAsJudge(model, instructions="Be kind.", **masks)
    for each in (judge, judge.bind(Answer)):
        judged(each, Answer(text="a"), ThoughtfulAnswer(thinking="hm", text="b", source="web"))
    (request,) = model.backend.calls  # the same comparison is asked once
    assert request.messages[0] == ("system", "Be kind.")
    gold, pred = {"text": "a", "source": "memory"}, {"text": "b", "source": "web"}
    assert comparison(request) == {
        "reference": {name: gold[name] for name in fields},
        "answer": {name: pred[name] for name in fields},
    }
    assert request.schema is not None and request.schema["properties"]["score"]["enum"] == list(SCORES)


def test_a_mask_that_does_not_fit_is_refused_at_compile_time(lm: Any) -> None:
    """Before any call."""
    with pytest.raises(UsageError, match="'texts'"):
        program_of(lm(student), LMAsJudge(lm(strict), in_mask=["texts"]))


def test_a_judge_that_writes_lines(lm: Any) -> None:
    """A model that is asked in lines of text judges as well."""
    model = lm(lambda request: "0.7")
    known = model.backend.capabilities()
    model.backend.capabilities = lambda: {**known, "structured_output": "text"}
    assert judged(LMAsJudge(model), Answer(text="a"), Answer(text="b")) == 0.7
    assert model.backend.calls[0].messages[-1][1].endswith("\nScore:") and model.backend.calls[0].schema is None


def test_a_judge_by_name() -> None:
    """A name makes a language model, as for a generator; nothing is called yet."""
    assert LMAsJudge("openai/some-model").language_model.model == "openai/some-model"


def test_its_calls_count_in_the_examples(lm: Any) -> None:
    """Calls, tokens, dollars and seconds are the sum of both; an invalid output is not judged."""
    writer, judge = lm(student, price=PRICE), lm(strict, name="judge", price=PRICE)
    evaluation = run_maybe_nested(program_of(writer, LMAsJudge(judge)).evaluation(*questions(5)))
    assert [outcome.reward for outcome in evaluation.outcomes] == [1.0, 1.0, 1.0, 0.0, 0.2]
    assert [outcome.status for outcome in evaluation.outcomes] == ["ok", "ok", "ok", "invalid", "ok"]
    assert [outcome.calls for outcome in evaluation.outcomes] == [2, 2, 2, 1, 2]
    assert len(judge.backend.calls) == 4 and judge.ledger.session.paid == 4
    spent = writer.ledger.session.spent_usd + judge.ledger.session.spent_usd
    assert sum(outcome.cost_usd or 0.0 for outcome in evaluation.outcomes) == pytest.approx(spent)
    assert judge.ledger.session.spent_usd > 0
    prompts = [*writer.backend.calls, *judge.backend.calls]
    words = sum(len(content.split()) for request in prompts for _, content in request.messages)
    assert sum(outcome.prompt_tokens for outcome in evaluation.outcomes) == words


@pytest.mark.parametrize(
    "reply", ["Quite good, I think.", '{"score": 0.55}', '{"score": 7}', '{"score": null}', "", '{"mark": 1}']
)
def test_a_judge_without_a_score_leaves_the_example_failed(lm: Any, reply: str) -> None:
    """Not scored, rather than scored as 0, and asked once; what it cost is counted."""
    judge = lm(lambda request: strict(request) if "1!" in request.messages[-1][1] else reply, name="judge")
    evaluation = run_maybe_nested(program_of(lm(student), LMAsJudge(judge)).evaluation(*questions(3)))
    assert [outcome.status for outcome in evaluation.outcomes] == ["failed", "ok", "failed"]
    assert [outcome.reward for outcome in evaluation.outcomes] == [None, 1.0, None]
    assert [outcome.calls for outcome in evaluation.outcomes] == [2, 2, 2] and len(judge.backend.calls) == 3
    assert evaluation.values["reward"] == 1.0 and evaluation.values["failure_rate"] == pytest.approx(2 / 3)
    assert evaluation.values["invalid_rate"] == 0.0
    assert "judge" in (evaluation.outcomes[0].error or "")
    with pytest.raises(JudgementError):
        judged(LMAsJudge(judge), Answer(text="a"), Answer(text="b"))


@pytest.mark.parametrize("error", [RefusedInputError("content filter"), TransientError("503")])
def test_a_judge_that_cannot_answer_leaves_the_example_failed(lm: Any, error: Exception) -> None:
    """A refusal by the judge is no invalid output of the program; no reply is a failure as always."""

    def script(request: Request) -> str:
        raise error

    evaluation = run_maybe_nested(program_of(lm(student), LMAsJudge(lm(script))).evaluation(*questions(2)))
    assert [(outcome.status, outcome.reward) for outcome in evaluation.outcomes] == [("failed", None)] * 2


def test_a_fatal_error_of_the_judge_is_raised(lm: Any) -> None:
    """A bad key stops at once, whoever's key it is."""

    def script(request: Request) -> str:
        raise FatalError("bad key")

    with pytest.raises(FatalError, match="bad key"):
        run_maybe_nested(program_of(lm(student), LMAsJudge(lm(script))).evaluate(*questions(2)))


@pytest.mark.parametrize("own", [False, True])
def test_its_calls_never_become_examples(lm: Any, own: bool) -> None:
    """What training learns is the program's alone, with our judge and with one that a user makes of a generator."""
    model = lm(strict, name="judge")
    reward: Any = LMAsJudge(model)
    if own:
        judging = Generator(data_model=Answer, language_model=lm(student), name="judging")

        async def reward(y_true: Answer, y_pred: Answer) -> float:
            return float((await judging(Question(text=y_true.text.replace("!", "?")))).text == y_true.text)

    optimizer = RandomFewShot(seed=1)
    program = program_of(lm(student), reward, optimizer, ChainOfThought)
    x, y = (part[:3] + part[5:] for part in questions(9))
    history = run_maybe_nested(program.fit(x, y, epochs=2, batch_size=3))
    assert [outcome.calls for outcome in history.training[0].outcomes] == [2] * 7
    assert list(optimizer.get_state()["learned"]) == ["chain_of_thought"]
    examples = program.generators[0].examples
    assert examples and all(set(each["input"]) == {"text"} for each in examples)
    assert any("thinking" in each["output"] for each in examples)


def test_planned_calls_are_those_that_are_made(lm: Any) -> None:
    """Each run of an example is two calls, and each epoch makes them anew."""
    judge = lm(strict, name="judge")
    program = program_of(lm(student), LMAsJudge(judge), RandomFewShot())
    x, y = (part[:3] for part in questions(3))
    history = run_maybe_nested(program.fit(x, y, epochs=2, batch_size=2, validation_data=questions(2, start=10)))
    made = [outcome.calls for part in (*history.training, *history.validation) for outcome in part.outcomes]
    assert sum(made) == planned_calls(program, 3, 2, 2, batch_size=2) == 2 * 2 * (3 + 2)
    assert judge.ledger.session.paid == 2 * (3 + 2) and judge.ledger.session.served == 0
    assert planned_calls(program_of(lm(student), lambda t, p: 1.0), 3, 2, 2, batch_size=2) == 2 * 2


def test_cost_needs_the_price_of_the_judge(lm: Any) -> None:
    """As an objective; the error names the model whose price is unknown."""
    priced, unpriced = (LMAsJudge(lm(strict, name=f"judge-{price}", price=price)) for price in (PRICE, None))
    objective = as_goals("val_cost")
    check_objectives(objective, program_of(lm(student, price=PRICE), priced), True)
    with pytest.raises(UsageError, match="'scripted/judge-None'"):
        check_objectives(objective, program_of(lm(student, price=PRICE), unpriced), True)


def test_a_search_with_a_judge(lm: Any, tmp_path: Path) -> None:
    """The judge's calls are in the trial's calls and in what the search paid; another judge is another search."""
    writer = lm(student)

    def tuner(name: str, instructions: str | None = None) -> GridSearch:
        judge = LMAsJudge(lm(strict, name=name), instructions)

        async def build_program(hp: Any) -> Program:
            inputs = Input(data_model=Question)
            module = Generator(data_model=Answer, language_model=writer, temperature=hp.Choice("t", [0.0, 1.0]))
            program = Program(inputs=inputs, outputs=await module(inputs))
            program.compile(reward=judge)
            return program

        search = GridSearch(build_program, objective="val_reward", directory=tmp_path, verbose=False)
        search.search(*questions(2), validation_data=questions(3, start=10))
        return search

    first, other = tuner("one"), tuner("another")
    assert [record.calls for record in first.trial_records()] == [2 * 3] * 2
    assert first.session.paid == 2 * 3 + 3 and first.session.served == 3  # the second trial answers alike
    assert other.resumed == 0 and other.session.paid == 3
    assert tuner("one").resumed == 2 and tuner("one", "Be kind.").resumed == 0
