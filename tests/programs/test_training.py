"""fit and evaluate: how many calls they make, what is scored, and what becomes of failures."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tweets import Feeling, Tweet, always_right, asked, reply, shown, truth, tweets

from paretune import (
    ChainOfThought,
    Generator,
    Input,
    Program,
    ScriptedLanguageModel,
    clear_session,
    run_maybe_nested,
)
from paretune.errors import DataError, FatalError, RefusedInputError, TransientError, UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.metrics import BinaryF1Score, CategoricalF1Score, MeanMetricWrapper
from paretune.optimizers import Optimizer, RandomFewShot
from paretune.rewards import ExactMatch, Reward, RewardFunctionWrapper


@pytest.fixture
def make(tmp_path) -> Callable[..., Program]:
    """Makes compiled programs of one generator."""
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def program(
        script: Any = always_right,
        *,
        optimizer: Optimizer | None = None,
        kind: type[Generator] = Generator,
        metrics: Sequence[Any] | None = None,
        reward: Any = None,
        **options: Any,
    ) -> Program:
        clear_session()
        options = {"max_attempts": 1, "ledger": ledger, **options}

        async def build() -> Program:
            inputs = Input(data_model=Tweet)
            module = kind(data_model=Feeling, language_model=ScriptedLanguageModel(script, **options))
            return Program(inputs=inputs, outputs=await module(inputs))

        built = run_maybe_nested(build())
        built.compile(reward=reward, metrics=metrics, optimizer=optimizer)
        return built

    return program


def calls_of(program: Program) -> list[Request]:
    """The requests that reached the model."""
    return program.generators[0].language_model.backend.calls


@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 4), (3, 5), (2, 100)])
def test_calls_of_a_training(make, epochs, batch_size):
    """With RandomFewShot each epoch asks every training and every validation example once, whatever the batches."""
    program = make(optimizer=RandomFewShot(seed=1))
    history = run_maybe_nested(
        program.fit(*tweets(11), validation_data=tweets(7, start=50), epochs=epochs, batch_size=batch_size)
    )
    outcomes = [outcome for part in (*history.training, *history.validation) for outcome in part.outcomes]
    assert sum(outcome.calls for outcome in outcomes) == len(calls_of(program)) == epochs * (11 + 7)
    assert sorted(asked(call)["text"] for call in calls_of(program)) == sorted(
        record.text for record in (tweets(11)[0] + tweets(7, start=50)[0]) * epochs
    )


def test_calls_without_an_optimizer(make):
    """There is nothing to train, so only the validation examples are asked; without any, none."""
    program = make()
    history = run_maybe_nested(program.fit(*tweets(11), validation_data=tweets(7, start=50)))
    assert len(calls_of(program)) == 7
    assert "reward" not in history.history and history.history["val_reward"] == [1.0]
    idle = make()
    assert run_maybe_nested(idle.fit(*tweets(11))).history == {} and calls_of(idle) == []


@pytest.mark.parametrize("batch_size", [1, 3, 10, 1000])
def test_evaluate_asks_each_example_once(make, batch_size):
    """Whatever the batch size, N examples take N calls and give the mean over examples."""
    program = make(lambda request: reply("joy"))
    values = run_maybe_nested(program.evaluate(*tweets(9), batch_size=batch_size))
    assert len(calls_of(program)) == 9
    assert values["reward"] == pytest.approx(5 / 9)  # tweets 0, 2, 4, 6, 8 are joyful


def test_rewards_belong_to_their_examples(make):
    """Replies come back in another order than they were asked for; every reward is that of its own example."""
    right = {record.text for record in random.Random(3).sample(tweets(60)[0], 25)}

    def script(request: Request) -> str:
        text = asked(request)["text"]
        return reply(truth(text) if text in right else {"joy": "fear", "fear": "joy"}[truth(text)])

    program = make(script, latency_s=0.003, jitter=True, concurrency=20)
    x, y = tweets(60)
    evaluation = run_maybe_nested(program.evaluation(x, y))
    assert [outcome.reward == 1.0 for outcome in evaluation.outcomes] == [record.text in right for record in x]
    called = sorted(call.messages[-1][1] for call in calls_of(program))
    assert called == sorted(json.dumps(record.get_json()) for record in x)


def test_history_keeps_training_and_validation_apart(make):
    """Measures on training examples and on validation examples have their own series and their own numbers."""

    def script(request: Request) -> str:  # right on the training examples only
        text = asked(request)["text"]
        return reply(truth(text) if int(text.split()[-1]) < 50 else "joy")

    program = make(script, optimizer=RandomFewShot(), metrics=[CategoricalF1Score(average="macro", name="f1")])
    history = run_maybe_nested(program.fit(*tweets(8), validation_data=tweets(4, start=50), epochs=2)).history
    assert history["reward"] == [1.0, 1.0] and history["val_reward"] == [0.5, 0.5]
    # Of four tweets, all called joy, two are: F1 of joy 2*2/(2*2+2) = 2/3, of fear 0, their mean 1/3.
    assert history["f1"] == [1.0, 1.0] and history["val_f1"] == pytest.approx([1 / 3, 1 / 3])
    operational = {"cost", "latency", "tokens_per_request", "failure_rate", "invalid_rate"}
    assert set(history) == {f"{prefix}{name}" for prefix in ("", "val_") for name in operational | {"reward", "f1"}}


@pytest.mark.parametrize(("n", "split", "validated"), [(10, 0.2, 2), (10, 0.9, 9), (10, 0.01, 1), (3, 0.5, 2)])
def test_validation_split(make, n, split, validated):
    """The last examples validate, at least one, and the others train."""
    program = make(optimizer=RandomFewShot())
    history = run_maybe_nested(program.fit(*tweets(n), validation_split=split))
    assert len(history.validation[0].outcomes) == validated
    assert len(history.training[0].outcomes) == n - validated
    texts = [asked(call)["text"] for call in calls_of(program)]
    assert texts[n - validated :] == [record.text for record in tweets(n)[0][n - validated :]]


@pytest.mark.parametrize("options", [{"validation_split": 1.0}, {"validation_split": -0.1}, {"epochs": 0}])
def test_impossible_trainings_are_refused(make, options):
    """A split that leaves one side empty and a training of no epoch are errors before any call."""
    program = make()
    with pytest.raises(UsageError):
        run_maybe_nested(program.fit(*tweets(5), **options))
    assert calls_of(program) == []


def test_unfit_data_is_refused(make):
    """Unequal or empty data and records of another kind are errors before any call."""
    program = make()
    x, y = tweets(3)
    for wrong in ((x, y[:2]), ([], []), (y, x)):
        with pytest.raises(UsageError):
            run_maybe_nested(program.evaluate(*wrong))
    assert calls_of(program) == []


def test_masks_and_metrics_are_checked_at_compile_time(make):
    """A metric that does not fit the data model, and two measures of one name, are refused before anything runs."""
    with pytest.raises(UsageError):
        make(metrics=[BinaryF1Score(average="macro")])
    with pytest.raises(UsageError, match="two metrics are called"):
        make(metrics=[CategoricalF1Score(average="macro"), CategoricalF1Score(average="macro")])
    with pytest.raises(UsageError, match="two metrics are called 'cost'"):  # one of them is the measure of calls
        make(metrics=[CategoricalF1Score(average="macro", name="cost")])


@pytest.mark.parametrize("seed", range(4))
def test_best_candidate_is_installed_and_validated(make, seed):
    """Only the prompt that shows tweet 3 is answered rightly: it is found, validated, and stays."""

    def script(request: Request) -> str:
        good = any(example["input"]["text"] == "tweet 3" for example in shown(request))
        text = asked(request)["text"]
        return reply(truth(text) if good else {"joy": "fear", "fear": "joy"}[truth(text)])

    program = make(script, optimizer=RandomFewShot(1, 1, sampling="random", seed=seed))
    history = run_maybe_nested(program.fit(*tweets(6), validation_data=tweets(5, start=50), epochs=4, batch_size=1))
    assert history.history["val_reward"][-1] == 1.0
    assert [example["input"]["text"] for example in program.generators[0].examples] == ["tweet 3"]
    assert history.states[-1] == program.get_state()


def failing(request: Request) -> str:
    """Every kind of end: by the tweet's number modulo 5."""
    number = int(asked(request)["text"].split()[-1])
    if number % 5 == 0:
        raise TransientError("503")
    if number % 5 == 1:
        raise RefusedInputError("content filter")
    if number % 5 == 2:
        return "I would rather not say."
    return reply(truth(f"tweet {number}"))


def test_failed_and_invalid_examples(make):
    """No reply is a failure and not scored; a refusal and a reply that does not parse are wrong answers."""
    program = make(failing, metrics=[CategoricalF1Score(average="micro", name="f1")])
    evaluation = run_maybe_nested(program.evaluation(*tweets(10)))
    assert [outcome.status for outcome in evaluation.outcomes] == ["failed", "invalid", "invalid", "ok", "ok"] * 2
    assert [outcome.reward for outcome in evaluation.outcomes] == [None, 0.0, 0.0, 1.0, 1.0] * 2
    values = evaluation.values
    assert values["reward"] == 0.5  # four right of eight that could be scored
    assert values["failure_rate"] == 0.2 and values["invalid_rate"] == 0.5
    # micro F1: 4 tp, 4 misses (fn) and no false positive: 2*4 / (2*4 + 4) = 2/3
    assert values["f1"] == pytest.approx(2 / 3)


def test_failures_while_training(make):
    """Failed examples neither stop a training nor count in a candidate's reward."""
    program = make(failing, optimizer=RandomFewShot())
    history = run_maybe_nested(program.fit(*tweets(10), batch_size=5))
    assert history.history["reward"] == [0.5] and history.history["failure_rate"] == [0.2]
    population = program.optimizer.get_state()["population"]
    assert sum(candidate["n"] for candidate in population) == 8


@pytest.mark.parametrize("error", [FatalError("bad key"), ZeroDivisionError("a bug"), UsageError("no")])
def test_other_errors_are_raised_as_themselves(make, error):
    """What no further call can cure, and bugs, come out unchanged and with their cause."""
    cause = ValueError("the reason")

    def script(request: Request) -> str:
        if asked(request)["text"] == "tweet 7":
            raise error from cause
        return always_right(request)

    for run in ("fit", "evaluate", "predict"):
        program = make(script, optimizer=RandomFewShot())
        arguments = tweets(10)[:1] if run == "predict" else tweets(10)
        with pytest.raises(type(error)) as raised:
            run_maybe_nested(getattr(program, run)(*arguments))
        assert raised.value is error and raised.value.__cause__ is cause


def test_bug_in_a_reward_is_raised(make):
    """A reward function that raises is a bug, not a bad score."""

    def reward(y_true: Feeling, y_pred: Feeling) -> float:
        raise KeyError("typo")

    with pytest.raises(KeyError, match="typo"):
        run_maybe_nested(make(reward=reward).evaluate(*tweets(2)))


def test_training_goes_on_from_a_state(make):
    """Two epochs, the state through JSON, and a third one are the same as three epochs."""

    def script(request: Request) -> str:
        text = asked(request)["text"]
        noise = random.Random(json.dumps(request.messages)).random()
        return reply(truth(text) if noise < 0.6 else "joy", thinking=f"{text}: {noise}")

    x, y = tweets(12)
    options = {"validation_data": tweets(5, start=50), "batch_size": 3}
    whole = make(script, optimizer=RandomFewShot(seed=4), kind=ChainOfThought)
    three = run_maybe_nested(whole.fit(x, y, epochs=3, **options))
    begun = make(script, optimizer=RandomFewShot(seed=4), kind=ChainOfThought)
    run_maybe_nested(begun.fit(x, y, epochs=2, **options))
    state = json.loads(json.dumps(begun.get_state(), sort_keys=True))
    resumed = make(script, optimizer=RandomFewShot(seed=4), kind=ChainOfThought)
    resumed.load_state(state)
    third = run_maybe_nested(resumed.fit(x, y, epochs=3, initial_epoch=2, **options))
    assert third.epoch == [2] and third.history["reward"] == three.history["reward"][2:]
    assert resumed.get_state() == whole.get_state()
    with pytest.raises(DataError, match="modules"):
        make(kind=Generator).load_state(state)


def test_order_of_replies_does_not_matter(make, tmp_path):
    """The same seed gives the same training at any concurrency, in whatever order replies come back."""

    def script(request: Request) -> str:
        text = asked(request)["text"]
        noise = random.Random(json.dumps(request.messages)).random()
        return reply(truth(text) if noise < 0.5 else "fear", thinking=str(noise))

    states = []
    for concurrency in (1, 3, 30):
        ledger = Ledger(tmp_path / f"{concurrency}.sqlite")
        program = make(
            script,
            optimizer=RandomFewShot(seed=9),
            kind=ChainOfThought,
            ledger=ledger,
            concurrency=concurrency,
            latency_s=0.001,
            jitter=True,
        )
        run_maybe_nested(program.fit(*tweets(20), validation_split=0.2, epochs=2, batch_size=6))
        states.append(program.get_state())
    assert states[0] == states[1] == states[2]


def test_callbacks_hear_each_epoch(make):
    """on_epoch_end gets the epoch's number and its measures."""
    heard = []

    class Listener:
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            heard.append((epoch, logs["val_reward"]))

    program = make()
    run_maybe_nested(program.fit(*tweets(4), validation_split=0.5, epochs=2, callbacks=[Listener()]))
    assert heard == [(0, 1.0), (1, 1.0)]


def same(y_true: Feeling, y_pred: Feeling) -> bool:
    return y_true == y_pred


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"metrics": [ExactMatch()]}, r"MeanMetricWrapper\(fn"), ({"metrics": ["f1_score"]}, "'f1_score'"),
        ({"metrics": [CategoricalF1Score]}, "Metric objects"), ({"metrics": [same]}, "Metric objects"),
        ({"metrics": "f1_score"}, "a list"), ({"metrics": CategoricalF1Score("macro")}, "a list"),
        ({"optimizer": "random_few_shot"}, "Optimizer object"), ({"optimizer": RandomFewShot}, "Optimizer object"),
        ({"reward": "exact_match"}, "reward must be"), ({"reward": lambda record: 1.0}, "fn must take"),
        ({"metrics": [CategoricalF1Score("macro", labels=["Joy"])]}, "'Joy'"),
        ({"reward": RewardFunctionWrapper(same, in_mask=["lable"])}, "'lable'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled_is_told_at_once(make, options: Any, reason: str):
    """Names, classes, rewards in the place of metrics, and functions of one argument."""
    with pytest.raises(UsageError, match=reason):
        make(**options)


class Broken(Reward):
    """A reward of the user's own that is not checked by a wrapper."""

    async def __call__(self, y_true: Any, y_pred: Any) -> Any:
        return math.nan


@pytest.mark.parametrize(
    "options",
    [
        {"reward": lambda t, p: math.nan},
        {"reward": lambda t, p: {"score": 1}},
        {"reward": lambda t, p: None},
        {"reward": lambda t, p: 10},
        {"reward": Broken()},
        {"metrics": [MeanMetricWrapper(lambda t, p: None)]},
        {"metrics": [MeanMetricWrapper(lambda t, p: math.nan)]},
    ],
)
@pytest.mark.parametrize("run", ["fit", "evaluate"])
def test_a_mistaken_score_is_told_on_the_first_example(make, options: Any, run: str):
    """Not when the epoch is paid for."""
    program = make(optimizer=RandomFewShot(), concurrency=1, **options)
    with pytest.raises(UsageError, match="must give a"):
        run_maybe_nested(getattr(program, run)(*tweets(40)))
    assert len(calls_of(program)) <= 4  # of 40: those that were on their way


def test_exact_match_as_a_metric(make):
    """As the guides write it."""
    program = make(failing, metrics=[MeanMetricWrapper(fn=ExactMatch(in_mask=["label"]))])
    values = run_maybe_nested(program.evaluate(*tweets(10)))
    assert values["exact_match"] == values["reward"] == 0.5


def test_mappings_are_records(make):
    """Where they validate; else the error says where and why, before anything is asked."""
    program = make()
    assert run_maybe_nested(program({"text": "tweet 2"})) == Feeling(label="joy")
    x, y = ([record.model_dump() for record in records] for records in tweets(4))
    assert run_maybe_nested(program.evaluate(x, y))["reward"] == 1.0
    assert run_maybe_nested(program.predict(x[:1])) == [Feeling(label="joy")]
    asked_before = len(calls_of(program))
    for wrong, reason in (
        ({"txt": "tweet 2"}, "text: missing.*unknown field.*did you mean 'text'"),
        ({"text": 2}, "must be text"),
        ("tweet 2", "must be a record of 'Tweet' .got a str"),
        (Feeling(label="joy"), "without .'text'."),
    ):
        with pytest.raises(UsageError, match=reason):
            run_maybe_nested(program(wrong))
        with pytest.raises(UsageError, match=rf"x\[2\] .*{reason}"):
            run_maybe_nested(program.predict([*x[:2], wrong]))
    for wrong_y, reason in (({"label": "Joy"}, r"y\[1\].*'joy' or 'fear'"), (None, r"y\[1\] must be a record")):
        with pytest.raises(UsageError, match=reason):
            run_maybe_nested(program.evaluate(x[:2], [y[0], wrong_y]))
    with pytest.raises(UsageError, match="takes a record"):
        run_maybe_nested(program.generators[0]({"text": "tweet 2"}))
    assert len(calls_of(program)) == asked_before


def test_labels_in_another_case_are_right(make):
    """The same answer is worth the same, however it is spelt; unless the data model is strict."""

    def loudly(request: Request) -> str:
        return reply(truth(asked(request)["text"]).upper() + ".").replace('"label"', '"Label"')

    assert run_maybe_nested(make(loudly).evaluate(*tweets(4)))["reward"] == 1.0
