"""Several judgements of each answer, and rubrics: what is asked, kept and made of it."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from paretune import (
    DataModel,
    Evaluation,
    Generator,
    Input,
    LanguageModel,
    Program,
    run_maybe_nested,
)
from paretune.errors import JudgementError, UsageError
from paretune.lm.types import Request
from paretune.metrics.outcome import Outcome
from paretune.prompting.trace import Sample, tracing
from paretune.rewards import Criterion, LMAsJudge, Rubric
from paretune.stats import Bootstrap, corrected_mean, intervals_of, variance_split
from paretune.tuners.run_trial import planned_calls


class Question(DataModel):
    text: str


class Answer(DataModel):
    text: str


def wavering(request: Request) -> str:
    """Scores an answer by the number that it is, and wavers: with each sample of a question otherwise."""
    given = json.loads(request.messages[-1][1])
    noise = random.Random(f"{given} {request.draw} {request.replicate} {request.epoch}").gauss(0, 0.25)
    score = 0.3 + 0.5 * float(given["answer"]["text"].split()[0]) + noise
    return json.dumps({"score": min(max(round(score, 1), 0.0), 1.0)})


def echo(request: Request) -> str:
    """Answers with the question."""
    return json.dumps({"text": json.loads(request.messages[-1][1])["text"]})


def judged(reward: Any, text: str, sample: Sample = Sample()) -> Any:  # noqa: B008
    """What a judge gives for an answer."""

    async def run() -> Any:
        with tracing(sample):
            return await reward(Answer(text="reference"), Answer(text=text))

    return run_maybe_nested(run())


def program_of(model: LanguageModel, reward: Any) -> Program:
    """A compiled program that answers with the question."""

    async def build() -> Program:
        inputs = Input(data_model=Question)
        return Program(inputs=inputs, outputs=await Generator(data_model=Answer, language_model=model)(inputs))

    program = run_maybe_nested(build())
    program.compile(reward=reward)
    return program


def evaluated(program: Program, texts: list[str]) -> Evaluation:
    return run_maybe_nested(
        program.evaluation([Question(text=each) for each in texts], [Answer(text="x")] * len(texts))
    )


def test_each_judgement_is_a_sample_of_its_own(lm: Any) -> None:
    """Under keys of their own, the first of which is that of a single judgement; nothing is asked twice."""
    model = lm(wavering)
    first = judged(LMAsJudge(model), "0.5")
    assert (first.judgements, len(model.backend.calls)) == ((), 1)
    three = judged(LMAsJudge(model, judgements=3), "0.5")
    assert len(model.backend.calls) == 3 and [call.draw for call in model.backend.calls] == [0, 1, 2]
    assert three.judgements[0] == first and three == pytest.approx(sum(three.judgements) / 3)
    assert len(set(three.judgements)) > 1
    assert judged(LMAsJudge(model, judgements=3), "0.5") == three and len(model.backend.calls) == 3
    judged(LMAsJudge(model, judgements=3), "0.5", Sample(replicate=1))
    judged(LMAsJudge(model, judgements=3), "0.5", Sample(epoch=1))
    assert len(model.backend.calls) == 9


def test_judgements_without_a_score_are_left_out(lm: Any) -> None:
    """The mean is that of the others; without any the example is failed, and all calls count."""

    def script(request: Request) -> str:
        if json.loads(request.messages[-1][1])["answer"]["text"] == "none":
            return "no idea"
        return "no idea" if request.draw == 1 else json.dumps({"score": 0.1 * request.draw})

    judge = LMAsJudge(lm(script), judgements=3)
    found = judged(judge, "some")
    assert (found, found.judgements) == (0.1, (0.0, 0.2))
    with pytest.raises(JudgementError):
        judged(judge, "none")
    failed, scored = evaluated(program_of(lm(echo), judge), ["none", "some"]).outcomes
    assert (failed.status, failed.reward, failed.judgements, failed.calls) == ("failed", None, (), 4)
    assert (scored.status, scored.reward, scored.judgements, scored.calls) == ("ok", 0.1, (0.0, 0.2), 4)


def test_planned_calls_are_those_that_are_made(lm: Any) -> None:
    """Each example is one call of the program and k of the judge."""
    writer, model = lm(echo), lm(wavering)
    program = program_of(writer, LMAsJudge(model, judgements=4))
    evaluation = evaluated(program, ["0.1", "0.2", "0.9"])
    assert (
        sum(outcome.calls for outcome in evaluation.outcomes) == planned_calls(program, 9, 3, 1, batch_size=9) == 3 * 5
    )
    assert model.ledger.session.paid == 12


@pytest.mark.parametrize("judgements", [0, -1, 1.5, True, "2", None])
def test_what_is_no_number_of_judgements(lm: Any, judgements: Any) -> None:
    """Told when the judge is made."""
    with pytest.raises(UsageError, match="judgements must be a whole number above 0"):
        LMAsJudge(lm(wavering), judgements=judgements)


def test_outcomes_keep_the_judgements() -> None:
    """In their rows, and only where there are some."""
    plain = Outcome("ok", {"text": "a"}, 0.5, 1, 0, 0, 0.0, 0.0)
    assert not {"judgements", "parts"} & set(plain.row()) and Outcome.from_row(plain.row()) == plain
    kept = Outcome("ok", {"text": "a"}, 0.5, 1, 0, 0, 0.0, 0.0, judgements=(0.4, 0.6), parts={"clear": 0.5})
    row = json.loads(json.dumps(kept.row()))
    assert (row["judgements"], row["parts"]) == ([0.4, 0.6], {"clear": 0.5})
    assert Outcome.from_row(row) == kept


RUBRIC = {
    "scale": [1, 5],
    "criteria": [
        {"name": "correct", "description": "Is it right?", "weight": 3, "anchors": {"1": "wrong", "5": "right"}},
        {"name": "clear", "description": "Is it clear?"},
    ],
}


def by_rubric(request: Request) -> str:
    """Right, and as clear as the sample's number."""
    return json.dumps({"correct": 5, "clear": 1 + request.draw})


def test_a_rubric_by_hand(lm: Any) -> None:
    """Weights 3 and 1: (3 * 1 + 0)/4 and (3 * 1 + .25)/4; each criterion's mean is kept."""
    model = lm(by_rubric)
    found = judged(LMAsJudge(model, rubric=RUBRIC, judgements=2), "a")
    assert found.judgements == (0.75, 0.8125) and found == 0.78125
    assert found.parts == {"correct": 1.0, "clear": 0.125}
    request = model.backend.calls[0]
    assert request.schema["properties"]["clear"]["enum"] == [1, 2, 3, 4, 5]
    assert "- correct: Is it right? (1: wrong; 5: right)\n- clear: Is it clear?" in request.messages[0][1]
    assert "from 1 (worst) to 5 (best)" in request.messages[0][1]
    (outcome,) = evaluated(program_of(lm(echo), LMAsJudge(model, rubric=RUBRIC)), ["a"]).outcomes
    assert (outcome.parts, outcome.judgements) == ({"correct": 1.0, "clear": 0.0}, ())


def test_a_rubric_without_a_scale(lm: Any) -> None:
    """The eleven scores; instructions of one's own come before the criteria."""
    model = lm(lambda request: '{"clear": 0.3}')
    rubric = Rubric(criteria=(Criterion(name="clear", description="Is it?", anchors={0.5: "half"}),))
    found = judged(LMAsJudge(model, "Be kind.", rubric=rubric), "a")
    assert (found, found.parts) == (0.3, {"clear": 0.3})
    criteria = "Criteria, each scored from 0.0 (worst) to 1.0 (best):\n- clear: Is it? (0.5: half)"
    assert model.backend.calls[0].messages[0] == ("system", f"Be kind.\n\n{criteria}")


@pytest.mark.parametrize("reply", ['{"correct": 5}', '{"correct": 6, "clear": 1}', '{"correct": 2.5, "clear": 1}'])
def test_a_reply_that_does_not_fit_the_rubric(lm: Any, reply: str) -> None:
    """A criterion that is missing, a value that is none of the scale."""
    with pytest.raises(JudgementError):
        judged(LMAsJudge(lm(lambda request: reply), rubric=RUBRIC), "a")


def test_a_rubric_in_lines_of_text(lm: Any) -> None:
    """For models that write no JSON."""
    model = lm(lambda request: " 5\nClear: 3")
    known = model.backend.capabilities()
    model.backend.capabilities = lambda: {**known, "structured_output": "text"}
    assert judged(LMAsJudge(model, rubric=RUBRIC), "a").parts == {"correct": 1.0, "clear": 0.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"criteria": []}, "criteria: must not be empty"),
        ({"criteria": [{"name": "clear"}]}, r"criteria\.0\.description: missing"),
        ({"criteria": [{"name": "is clear", "description": "?"}]}, "must be a Python name"),
        ({"criteria": [{"name": "get", "description": "?"}]}, "none of a data model's own"),
        ({"criteria": RUBRIC["criteria"] * 2}, "different names"),
        ({"criteria": [{"name": "a", "description": "?", "weight": 0}]}, "weight: must be > 0"),
        ({"criteria": [{"name": "a", "description": "?", "anchors": {"6": "too much"}}]}, r"1 to 5 \(got 6\)"),
        ({"scale": [5, 1]}, "the lowest and the highest"),
        ({"scale": [0, 100]}, "the lowest and the highest"),
        ({"scala": [1, 5]}, "scala: unknown key .*did you mean 'scale'"),
    ],
)
def test_what_is_no_rubric(lm: Any, change: dict[str, Any], message: str) -> None:
    """Every fault is told with its place when the judge is made."""
    with pytest.raises(UsageError, match=f"(?s)invalid rubric:.*{message}"):
        LMAsJudge(lm(by_rubric), rubric={**RUBRIC, **change})


def test_the_intervals_hold_with_a_noisy_scripted_judge(lm: Any) -> None:
    """People's mean is inside of 93 to 97 % of the corrected intervals, and hardly ever inside of the judge's own; the
    judge's mean is inside of the judge's own when examples are counted, and too seldom when judgements are."""
    rng, size, n, m, runs = np.random.default_rng(3), 400, 120, 40, 1000
    human = np.round(rng.beta(5, 2, size), 1)
    texts = [f"{score} {number}" for number, score in enumerate(human)]
    evaluation = evaluated(program_of(lm(echo), LMAsJudge(lm(wavering), judgements=3)), texts)
    scores = np.array([outcome.judgements for outcome in evaluation.outcomes])
    reward = np.array([outcome.reward for outcome in evaluation.outcomes])
    split = variance_split(scores.tolist())
    assert 0.8 * 0.25**2 < split.judge < 0.25**2  # some scores are cut at 1
    assert 0.4 < split.judge_share < 0.9
    (measure,) = (each for each in evaluation.measures if each.name == "reward")
    corrected = naive = honest = pooled = 0
    for run in range(runs):
        drawn = rng.integers(0, size, n)
        labels = np.where(np.arange(n) < m, human[drawn], math.nan)
        lo, hi = corrected_mean(reward[drawn], labels).interval
        corrected += lo <= human.mean() <= hi
        bootstrap = Bootstrap(n, resamples=400, seed=run % 5)
        sample = replace(measure, statistics=measure.statistics[drawn])
        ((lo, hi),) = intervals_of([sample], bootstrap)
        naive += lo <= human.mean() <= hi
        honest += lo <= reward.mean() <= hi
        half = 1.96 * scores[drawn].std(ddof=1) / math.sqrt(3 * n)
        pooled += abs(reward[drawn].mean() - reward.mean()) <= half
    assert 0.93 <= corrected / runs <= 0.97 and 0.93 <= honest / runs <= 0.97
    assert naive / runs < 0.5 and pooled / runs < 0.93
