"""Epochs and replicates: each asks anew, and a training that was cut between two epochs goes on as if uncut."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tweets import Feeling, Tweet, asked, reply, truth, tweets

from paretune import (
    ChainOfThought,
    Generator,
    Input,
    Program,
    ScriptedLanguageModel,
    clear_session,
    run_maybe_nested,
)
from paretune.errors import TransientError, UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.optimizers import OPRO, Optimizer, RandomFewShot
from paretune.programs.trainer import History
from paretune.rewards import LMAsJudge

Make = Callable[..., Program]


def moody(request: Request) -> str:
    """A model whose every reply is drawn anew: for each prompt, epoch and replicate."""
    dice = random.Random(json.dumps([request.messages, request.epoch, request.replicate]))
    wanted = list((request.schema or {})["properties"])
    if wanted == ["instructions"]:
        return json.dumps({"instructions": f"Try {dice.randrange(9)}."})
    if wanted == ["score"]:
        return json.dumps({"score": dice.randrange(11) / 10})
    if dice.random() < 0.1:
        raise TransientError("503")
    text = asked(request)["text"]
    if "label" not in wanted:
        return json.dumps({"thinking": f"{dice.random()}", "text": text})
    label = truth(text) if dice.random() < 0.5 else dice.choice(["joy", "fear", "anger"])
    return reply(label, **({"thinking": f"{dice.random()}"} if "thinking" in wanted else {}))


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes compiled programs of two modules, one after the other, each program with a ledger of its own."""
    numbers = iter(range(10**6))
    folder: Path = tmp_path_factory.mktemp("ledgers")

    def program(optimizer: Optimizer | None = None, links: int = 1, script: Any = moody, **options: Any) -> Program:
        clear_session()
        reward = options.pop("reward", None)
        ledger = Ledger(folder / f"{next(numbers)}.sqlite")
        model = ScriptedLanguageModel(script, **{"ledger": ledger, "max_attempts": 1, **options})

        async def build() -> Program:
            symbol = inputs = Input(data_model=Tweet)
            for kind in (ChainOfThought, Generator)[:links][::-1]:
                last = kind is ChainOfThought
                symbol = await kind(data_model=Feeling if last else Tweet, language_model=model)(symbol)
            return Program(inputs=inputs, outputs=symbol)

        built = run_maybe_nested(build())
        built.compile(reward=reward, optimizer=optimizer)
        return built

    return program


def calls_of(program: Program) -> list[Request]:
    """The requests that reached the model."""
    backend: Any = program.generators[0].language_model.backend
    found: list[Request] = backend.calls
    return found


def fit(program: Program, n_train: int = 7, n_val: int = 4, **options: Any) -> History:
    """Train quietly on n_train tweets, validate on n_val others."""
    options = {"validation_data": tweets(n_val, start=50), "batch_size": 3, "verbose": 0, **options}
    return run_maybe_nested(program.fit(*tweets(n_train), **options))


@given(
    n_train=st.integers(1, 9),
    n_val=st.integers(1, 5),
    epochs=st.integers(1, 4),
    batch_size=st.integers(1, 12),
    least=st.integers(0, 2),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_calls_that_arrive(make, n_train, n_val, epochs, batch_size, least, seed):
    """Each epoch asks every training and validation example once, also where the candidate has not changed."""
    program = make(RandomFewShot(least, 2, seed=seed))
    fit(program, n_train, n_val, epochs=epochs, batch_size=batch_size)
    texts = [record.text for record in (*tweets(n_train)[0], *tweets(n_val, start=50)[0])]
    wanted = Counter((epoch, text) for epoch in range(epochs) for text in texts)
    assert Counter((call.epoch, asked(call)["text"]) for call in calls_of(program)) == wanted


def test_validation_alone_is_drawn_anew(make):
    """Without an optimizer nothing changes from epoch to epoch, and each epoch still asks."""
    program = make()
    history = fit(program, epochs=3)
    assert [call.epoch for call in calls_of(program)] == [0] * 4 + [1] * 4 + [2] * 4
    assert len(set(history.history["val_reward"])) > 1


def test_a_judge_is_asked_in_each_epoch(make):
    """The judge's calls follow the rule of the program's: the same comparison is judged again."""
    judge = ScriptedLanguageModel(moody, name="judge", ledger=make().generators[0].language_model.ledger)
    program = make(reward=LMAsJudge(judge), script=lambda request: reply("joy", thinking="none"))
    fit(program, epochs=3)
    backend: Any = judge.backend
    # Four tweets of two kinds, all called joy: two comparisons an epoch, each of which the ledger serves once.
    assert [call.epoch for call in backend.calls] == [0, 0, 1, 1, 2, 2]


def test_outside_a_training_the_first_sample_is_drawn(make):
    """evaluate and predict ask the questions of epoch 0; another replicate asks anew."""
    program = make()
    x, y = tweets(5)
    first = run_maybe_nested(program.evaluate(x, y, verbose=0))
    run_maybe_nested(program.predict(x))
    failed = sum(call.epoch != 0 or call.replicate != 0 for call in calls_of(program))
    answered = len({call.messages for call in calls_of(program)})
    assert failed == 0 and answered == 5
    seen = len(calls_of(program))
    other = run_maybe_nested(program.evaluate(x, y, verbose=0, replicate=3))
    assert [(call.replicate, call.epoch) for call in calls_of(program)[seen:]] == [(3, 0)] * 5
    assert other["reward"] != first["reward"]


OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "few-shot": lambda: RandomFewShot(0, 3, seed=5, population_size=3),
    "stratified": lambda: RandomFewShot(2, 2, sampling="random", seed=1, stratify=True),
    "opro": lambda: OPRO(every=1, nb_mistakes=2, seed=2),
    "both": lambda: OPRO(few_shot=RandomFewShot(seed=3), every=2, k_best=3, seed=4),
}


@pytest.mark.parametrize("links", [1, 2])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_cut_training_goes_on_exactly(make, kind, links):
    """Cut after any epoch and continued from that epoch's state: the same requests, measures and states as uncut."""
    epochs = 5
    whole = make(OPTIMIZERS[kind](), links)
    uncut = fit(whole, 10, epochs=epochs, replicate=1)
    assert uncut.states[-1] == whole.get_state()
    for cut in range(1, epochs):
        program = make(OPTIMIZERS[kind](), links)
        program.load_state(json.loads(json.dumps(uncut.states[cut - 1])))
        history = fit(program, 10, epochs=epochs, initial_epoch=cut, replicate=1)
        assert calls_of(program) == [call for call in calls_of(whole) if call.epoch >= cut]
        assert history.states == uncut.states[cut:]
        assert history.history["reward"] == uncut.history["reward"][cut:]
        assert history.history["val_reward"] == uncut.history["val_reward"][cut:]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_replicate_differs_in_everything_random(make, kind):
    """Another replicate proposes, shuffles and asks otherwise; the same one does the same again."""

    def asked_by(replicate: int) -> list[Request]:
        program = make(OPTIMIZERS[kind]())
        fit(program, 12, epochs=2, replicate=replicate)
        return calls_of(program)

    def order(calls: Sequence[Request]) -> list[str]:
        return [asked(call)["text"] for call in calls if "text" in asked(call)]

    first, again, other = asked_by(0), asked_by(0), asked_by(4)
    assert first == again
    assert order(first) != order(other) and sorted(order(first)) == sorted(order(other))
    assert {call.messages for call in first} != {call.messages for call in other}
    assert {call.replicate for call in other if "text" in asked(call)} == {4}


def test_rewards_stay_with_their_examples_in_every_epoch(make):
    """Replies come back in another order than asked; each outcome is that of its own example, each retry its own."""
    right = {record.text for record in random.Random(3).sample(tweets(20)[0], 9)}
    refused: Counter[tuple[str, int]] = Counter()

    def script(request: Request) -> str:
        text = asked(request)["text"]
        refused[text, request.epoch] += 1
        if refused[text, request.epoch] <= int(text.split()[-1]) % 3:
            raise TransientError("503")
        return reply(truth(text) if text in right else "anger", thinking="none")

    program = make(RandomFewShot(seed=2), script=script, latency_s=0.002, jitter=True, max_attempts=4)
    program.generators[0].language_model.pause = lambda seconds: _at_once()
    history = fit(program, 20, 6, epochs=2, batch_size=7)
    for part, texts in [
        *((part, [record.text for record in tweets(20)[0]]) for part in history.training),
        *((part, [record.text for record in tweets(6, start=50)[0]]) for part in history.validation),
    ]:
        assert part is not None
        assert [outcome.reward == 1.0 for outcome in part.outcomes] == [text in right for text in texts]
        assert [outcome.retries for outcome in part.outcomes] == [int(text.split()[-1]) % 3 for text in texts]


async def _at_once() -> None:
    """A pause that takes no time."""


def test_states_are_small(make):
    """A state holds no training example that the prompt does not show, and grows with what was learned only."""
    program = make(OPRO(few_shot=RandomFewShot(), seed=1), script=lambda request: _silent(request))
    history = fit(program, 200, epochs=3, batch_size=20)
    assert len(json.dumps(history.states[-1])) < 20_000


def _silent(request: Request) -> str:
    """Proposes, and else gives no valid answer."""
    return moody(request) if list((request.schema or {})["properties"]) == ["instructions"] else "no idea"


@pytest.mark.parametrize("options", [{"initial_epoch": -1}, {"replicate": -1}])
def test_negative_numbers_are_refused(make, options):
    """There is no epoch and no replicate before the first: an error before any call."""
    program = make()
    with pytest.raises(UsageError, match="must be at least 0"):
        fit(program, **options)
    assert calls_of(program) == []
