"""Several samples of one answer: which one counts, what is asked for it, and what is learned from it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tweets import Feeling, Tweet, asked, reply, truth, tweets

from paretune import (
    ChainOfThought,
    Generator,
    Input,
    LanguageModel,
    Program,
    ScriptedLanguageModel,
    clear_session,
    run_maybe_nested,
)
from paretune.errors import RefusedInputError, UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.optimizers import RandomFewShot


def voting(script: Any, samples: int, kind: type[Generator] = Generator, **options: Any) -> Program:
    """A program of one generator that draws so many samples."""
    clear_session()
    model = script if isinstance(script, LanguageModel) else ScriptedLanguageModel(script)
    inputs = Input(Tweet)
    module = kind(Feeling, model, samples=samples, temperature=0.7, **options)
    return Program(inputs, run_maybe_nested(module(inputs)))


def draws(labels: list[str]) -> Any:
    """A script whose replies are these, by the number of the draw; the last part of one is thought before."""
    return lambda request: reply(labels[request.draw]) if labels[request.draw] else "no JSON"


@given(st.lists(st.sampled_from(["joy", "fear", ""]), min_size=1, max_size=7))
def test_the_most_common_valid_answer_counts(labels: list[str]) -> None:
    """Of equally common ones the one that came first, whichever call returns first; None where none is valid."""
    valid = Counter(label for label in labels if label)
    expected = valid.most_common(1)[0][0] if valid else None
    model = ScriptedLanguageModel(draws(labels), name="-".join(labels), jitter=True)
    output = run_maybe_nested(voting(model, len(labels))(Tweet(text="t")))
    assert (None if output is None else output.label) == expected


def test_the_thinking_belongs_to_the_answer() -> None:
    """Answers are compared without what was thought before; the record is that of the first sample with the answer."""
    labels, thoughts = ["fear", "joy", "joy"], ["a", "b", "c"]
    program = voting(lambda asked: reply(labels[asked.draw], thinking=thoughts[asked.draw]), 3, ChainOfThought)
    assert run_maybe_nested(program(Tweet(text="t"))).get_json() == {"thinking": "b", "label": "joy"}


def test_fewer_samples_are_the_first_ones_of_more(tmp_path: Path) -> None:
    """Each sample is a request of its own in the ledger, so that five cost two more than three, and one nothing."""
    model = ScriptedLanguageModel(draws(["joy", "fear", "joy", "joy", "joy"]), ledger=Ledger(tmp_path / "l.sqlite"))
    paid = []
    for samples in (3, 5, 1):
        program = voting(model, samples)
        program.compile()
        run_maybe_nested(program.evaluate(*tweets(1), verbose=0))
        paid.append(len(model.backend.calls))  # type: ignore[attr-defined]
        assert program.calls_per_run == samples
    assert paid == [3, 5, 5]
    keys = {model.as_sent(request)[1] for request in model.backend.calls}  # type: ignore[attr-defined]
    assert len(keys) == 5


def test_one_sample_is_asked_as_ever(tmp_path: Path) -> None:
    """Without samples a request says nothing of a draw, so that its key in the ledger stays as it was."""
    model = ScriptedLanguageModel(draws(["joy"]), ledger=Ledger(tmp_path / "l.sqlite"))
    run_maybe_nested(voting(model, 1)(Tweet(text="t")))
    (request,) = model.backend.calls  # type: ignore[attr-defined]
    assert "draw" not in request.stated()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 3, "temperature": 0.0}, "3 samples at temperature 0 would be one and the same"),
        ({"samples": 0}, "samples must be a whole number above 0 .got 0"),
        ({"samples": True}, "samples must be a whole number above 0 .got True"),
        ({"samples": 1.5}, "samples must be a whole number above 0 .got 1.5"),
    ],
)
def test_samples_that_cannot_be(options: dict[str, Any], message: str) -> None:
    """Told when the module is made."""
    with pytest.raises(UsageError, match=message):
        Generator(Feeling, ScriptedLanguageModel(draws(["joy"])), **options)


def test_a_refused_sample_refuses_the_example(tmp_path: Path) -> None:
    """An input that a provider refuses is an invalid output, as ever, with the calls of the other samples counted."""

    def script(request: Request) -> str:
        if request.draw == 1:
            raise RefusedInputError("no")
        return reply("joy")

    program = voting(ScriptedLanguageModel(script, ledger=Ledger(tmp_path / "l.sqlite")), 3)
    program.compile()
    (outcome,) = run_maybe_nested(program.evaluation(*tweets(1))).outcomes
    assert (outcome.status, outcome.kind, outcome.calls) == ("invalid", "refused", 2)


def test_only_the_sample_that_counts_is_learned_from(tmp_path: Path) -> None:
    """The thinking of an example is that of a sample with the right answer, not that of one which was outvoted."""

    def script(request: Request) -> str:
        right = truth(asked(request)["text"])
        wrong = "fear" if right == "joy" else "joy"
        return reply(wrong if request.draw == 2 else right, thinking="bad" if request.draw == 2 else "good")

    program = voting(ScriptedLanguageModel(script, ledger=Ledger(tmp_path / "l.sqlite")), 3, ChainOfThought)
    program.compile(optimizer=RandomFewShot(2, 2))
    run_maybe_nested(program.fit(*tweets(8), epochs=2, batch_size=4, verbose=0))
    learned = program.get_state()["optimizer"]["learned"]["chain_of_thought"]
    assert len(learned) == 8 and {example["output"]["thinking"] for example in learned.values()} == {"good"}
    calls = program.generators[0].language_model.backend.calls  # type: ignore[attr-defined]
    assert "bad" not in json.dumps([request.messages for request in calls])
