"""Invalid outputs: why there is no valid record, and what is kept of it."""

from __future__ import annotations

from typing import Any

import pytest
from openai_server import Answer, chat, failure
from tweets import Feeling, Tweet, tweets

from paretune import Generator, Input, LanguageModel, Module, Program, clear_session
from paretune.errors import RefusedInputError
from paretune.eventloop import run_maybe_nested
from paretune.lm.backends.protocol import read_completion
from paretune.lm.backends.scripted import ScriptedLanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.metrics.outcome import Outcome


def outcome_of(model: LanguageModel, *after: Module, **options: Any) -> Outcome:
    """What becomes of one tweet, which is joyful, in a generator and the modules ``after`` it."""
    clear_session()

    async def build() -> Program:
        inputs = Input(Tweet)
        symbol = await Generator(Feeling, model, **options)(inputs)
        for module in after:
            symbol = await module(symbol)
        return Program(inputs, symbol)

    program = run_maybe_nested(build())
    program.compile()
    return run_maybe_nested(program.evaluation(*tweets(1))).outcomes[0]


def ended(content: str | None, reason: str | None = "stop", **message: Any) -> Answer:
    """A chat completion that ends for a reason."""
    answer = chat(content, **message)
    answer.body["choices"][0]["finish_reason"] = reason
    return answer


JOY = '{"label": "joy"}'
NO = "I cannot help with that."


@pytest.mark.parametrize(
    ("answer", "status", "kind", "error"),
    [
        (ended(JOY), "ok", None, None),
        (ended(JOY, "length"), "ok", None, None),
        (ended(f"<think>hm</think>{JOY}", "length"), "ok", None, None),
        (ended(f"<think>maybe {JOY} but hmm", "length"), "invalid", "cut_off", None),
        (ended(f"<think>maybe {JOY} but hmm", "stop"), "invalid", "cut_off", None),
        (ended('{"label": "jo', "length"), "invalid", "cut_off", None),
        (ended("", "length"), "invalid", "cut_off", None),
        (ended(None, "max_tokens"), "invalid", "cut_off", None),
        (ended(None, refusal=NO), "invalid", "refused", NO),
        (ended("", "length", refusal=f"{NO} {JOY}"), "invalid", "refused", f"{NO} {JOY}"),
        (ended(JOY, refusal=NO), "ok", None, None),
        (ended("", "content_filter"), "invalid", "filtered", None),
        (ended("Well, ", "content_filter"), "invalid", "filtered", None),
        (ended(""), "invalid", "empty", None),
        (ended(" \n", None), "invalid", "empty", None),
        (ended("<think>hm</think>"), "invalid", "empty", None),
        (ended("joy"), "invalid", "malformed", None),
        (ended(NO), "invalid", "malformed", None),
    ],
)
def test_each_kind(server, tmp_path, answer: Answer, status: str, kind: str | None, error: str | None):
    """A complete record counts however the reply ends; else the reply tells why there is none. The ledger knows it
    as well."""
    server.answer = answer
    for _ in range(2):
        model = LanguageModel("openai/m", api_base=server.api_base, ledger=Ledger(tmp_path / "ledger.sqlite"))
        outcome = outcome_of(model)
        assert (outcome.status, outcome.kind, outcome.error) == (status, kind, error)
        assert outcome.reward == (1.0 if status == "ok" else 0.0)
    assert len(server.asked) == 1


def test_a_provider_that_refuses_the_input(server, tmp_path):
    """A content filter before the model, and a prompt that is too long, are wrong answers with the provider's words."""
    model = LanguageModel("openai/m", api_base=server.api_base, ledger=Ledger(tmp_path / "ledger.sqlite"))
    server.answer = failure(400, "The response was filtered", code="content_filter")
    outcome = outcome_of(model)
    assert (outcome.status, outcome.kind) == ("invalid", "filtered") and "was filtered" in (outcome.error or "")
    server.answer = failure(400, "This model's maximum context length is 9 tokens")
    outcome = outcome_of(model, instructions="Now.")
    assert (outcome.status, outcome.kind) == ("invalid", "refused") and "maximum context" in (outcome.error or "")


def test_a_refusal_that_litellm_hands_on():
    """It stands among the provider's own fields."""
    message = {"content": None, "provider_specific_fields": {"refusal": NO}}
    reply = {"choices": [{"finish_reason": "stop", "message": message}]}
    assert read_completion(reply, Request(messages=()))[:2] == (NO, "refusal")


class Silent(Module):
    """A module that gives no record."""

    async def call(self, inputs: Feeling) -> Feeling | None:
        return None


def test_a_module_that_gives_no_record(tmp_path):
    """No reply is to blame, but there is a kind all the same."""
    model = ScriptedLanguageModel(lambda _: JOY, ledger=Ledger(tmp_path / "ledger.sqlite"))
    assert outcome_of(model, Silent()).kind == "malformed"


def test_a_refused_input_without_a_filter():
    """An error says whether it was a filter."""
    assert not RefusedInputError("too long").filtered


def test_rows():
    """A row tells the kind where there is one; those of valid outputs, and older ones, are as they were."""
    outcome = Outcome("invalid", None, 0.0, 1, 8, 12, 0.5, 3.0, kind="cut_off")
    row = outcome.row()
    assert row["kind"] == "cut_off" and Outcome.from_row({**row, "x": 1}) == outcome
    for status, kind in (("ok", None), ("invalid", None)):
        older = {**row, "status": status}
        del older["kind"]
        assert Outcome.from_row(older).kind is kind and Outcome.from_row(older).row() == older
    del older["retries"]
    assert Outcome.from_row(older).retries == 0


def test_a_thought_in_lines(server, tmp_path):
    """In lines, too, a thought that is cut off is no answer."""
    server.answer = ended("<think>\nLabel: joy\nor", "length")
    model = LanguageModel("openai/m", api_base=server.api_base, ledger=Ledger(tmp_path / "ledger.sqlite"))
    assert outcome_of(model, structured_output="text").kind == "cut_off"
