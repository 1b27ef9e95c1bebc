"""Call options: one value from configuration to wire, in the ledger's key only where something is set."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from call_options import request_with
from hypothesis import given
from hypothesis import strategies as st
from openai_server import Answer, Asked, chat, openai_server

import paretune
from paretune.errors import ConfigError, FatalError, UsageError
from paretune.files import digest
from paretune.lm.backends.protocol import options as on_the_wire
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.options import CallOptions
from paretune.lm.types import Price, Request
from paretune.optimizers import OPRO
from paretune.rewards import LMAsJudge

ASK = (("user", "how?"),)


class Text(paretune.DataModel):
    """What is asked."""

    text: str


class Label(paretune.DataModel):
    """What is answered."""

    label: str


@given(
    st.none() | st.sampled_from([0, 0.0, 0.5, 1]),
    st.none() | st.integers(1, 99),
    st.none() | st.sampled_from(["low", "high"]),
    st.lists(st.sampled_from(["\n\n", "###"]), unique=True),
)
def test_keys_are_those_of_before(temperature: Any, max_tokens: Any, effort: Any, stop: list[str]) -> None:
    """A request is keyed by what is set, flat and by name: so requests that were stored are found again."""
    request = request_with(ASK, temperature=temperature, max_tokens=max_tokens, reasoning_effort=effort, stop=stop)
    before: dict[str, Any] = {"messages": ASK}
    if temperature is not None:
        before["temperature"] = float(temperature)
    before |= {"max_tokens": max_tokens} if max_tokens is not None else {}
    before |= {"reasoning_effort": effort} if effort is not None else {}
    before |= {"stop": stop} if stop else {}
    assert digest(request.stated()) == digest(before)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"temperature": 2.5}, r"temperature: must be >= 0 and <= 2 \(got 2.5\)"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": -0.1}, "top_p: must be >= 0 and <= 1"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"temprature": 1}, "unknown call option .*did you mean 'temperature'"),
        ({"extra": {"messages": []}}, "'messages' is set by paretune itself"),
        ({"extra": {"temperature": 1}}, "'temperature' is a call option of its own"),
        ({"extra": {"max_completion_tokens": 1}}, "'max_completion_tokens' is written max_tokens"),
        ({"extra": {"api_key": "k-123"}}, "api_key_env instead of 'api_key'"),
        ({"extra": {"nested": [{"Authorization": "k-123"}]}}, "api_key_env instead of 'Authorization'"),
        ({"extra": {"top_k": float("nan")}}, "must hold JSON values"),
        ({"extra": {"top_k": object()}}, "must hold JSON values"),
        ({"extra": [1]}, "must be a mapping"),
        ({"temperature": True}, "temperature: must be a number"),
        ({"max_tokens": True}, "max_tokens: must be a number"),
        ({"seed": False}, "seed: must be a number"),
        ({"stop": {"a", "b"}}, "stop: must be a text or a list of texts"),
    ],
)
def test_what_cannot_be_sent(options: dict[str, Any], rule: str) -> None:
    """An option that is none, or out of its bounds, is told where it is given: by generators, judges and optimizers."""
    model = paretune.ScriptedLanguageModel(lambda request: "")
    kinds: list[Any] = [functools.partial(paretune.Generator, Label), functools.partial(paretune.ChainOfThought, Label)]
    kinds += [LMAsJudge] if "seed" in options else [LMAsJudge, OPRO]  # an optimizer has a seed of its own
    for kind in kinds:
        with pytest.raises(UsageError, match=f"(?s)invalid call options of .*{rule}") as raised:
            kind(model, **options)
        assert "k-123" not in str(raised.value)


def test_tokens_and_cache_keys_are_no_secrets() -> None:
    """Parameters of servers whose names hold "token" or "key" are sent; what is kept of them is plain JSON, a copy."""
    inner = [2, 3]
    extra = {"stop_token_ids": inner, "prompt_cache_key": "a", "min_p": np.float64(0.5), "logit_bias": {5: -100}}
    options = CallOptions(extra=extra)
    inner.append(4)
    kept = {"stop_token_ids": [2, 3], "prompt_cache_key": "a", "min_p": 0.5, "logit_bias": {"5": -100}}
    assert options.extra == kept and type(options.extra["min_p"]) is float


def test_a_mapping_without_end() -> None:
    """One that holds itself is no JSON, and is told so."""
    extra: dict[str, Any] = {}
    extra["again"] = extra
    with pytest.raises(UsageError, match="must hold JSON values"):
        paretune.Generator(Label, paretune.ScriptedLanguageModel(lambda request: ""), extra=extra)


def test_settings_of_litellm_are_no_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """litellm would do as they say instead of passing them on: refused before anything is sent."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with openai_server() as server:
        model = paretune.LanguageModel(
            "openai/gpt-4o-mini", api_base=server.api_base, ledger=Ledger(tmp_path / "ledger.sqlite")
        )
        for name in (
            "mock_response",
            "mock_tool_calls",
            "num_retries",
            "drop_params",
            "custom_llm_provider",
            "metadata",
        ):
            with pytest.raises(FatalError, match=f"'{name}' is a setting of litellm"):
                record_of(model, "native", extra={name: 1})
        assert server.asked == []


def test_a_seed_differs_from_sample_to_sample() -> None:
    """The first sample sends the seed itself; each replicate and each epoch another one that follows from it."""
    seeds = [
        on_the_wire(request_with(ASK, seed=7, replicate=replicate, epoch=epoch, structured_output="text"))["seed"]
        for replicate in range(3)
        for epoch in range(3)
    ]
    assert seeds[0] == 7 and len(set(seeds)) == 9
    assert on_the_wire(request_with(ASK, seed=2**31 - 1, epoch=1, structured_output="text"))["seed"] == 1_008


def record_of(model: paretune.LanguageModel, form: Any, **options: Any) -> None:
    """Ask for one record."""

    async def ask() -> None:
        inputs = paretune.Input(Text)
        program = paretune.Program(
            inputs, await paretune.Generator(Label, model, structured_output=form, **options)(inputs)
        )
        await program(Text(text="how?"))

    paretune.run_maybe_nested(ask())


@pytest.mark.parametrize("name", ["openai/own", "openai/gpt-4o-mini"])
def test_options_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """To a server of one's own and through litellm: all that are set, those of the provider as they are, no others."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    bodies: list[dict[str, Any]] = []

    def answer(asked: Asked) -> Answer:
        bodies.append(asked.body)
        return chat('{"label": "so"}')

    with openai_server() as server:
        server.answer = answer
        model = paretune.LanguageModel(name, api_base=server.api_base, ledger=Ledger(tmp_path / "ledger.sqlite"))
        given = {"top_p": 0.5, "seed": 3, "stop": ["###"], "max_tokens": 9}
        record_of(model, "native", **given, extra={"top_k": 20, "chat_template_kwargs": {"enable_thinking": False}})
        record_of(model, "native")
    (full, plain) = bodies
    assert {key: full[key] for key in given} == given
    assert (full["top_k"], full["chat_template_kwargs"]) == (20, {"enable_thinking": False})
    assert not plain.keys() & (full.keys() - {"messages", "model", "response_format"})


def test_a_completion_ends_at_its_own_stop_and_at_those_given() -> None:
    """The blank line before the next example comes first."""
    model = paretune.ScriptedLanguageModel(lambda request: "so")
    record_of(model, "completion", stop="###")
    (request,) = model.backend.calls  # type: ignore[attr-defined]
    assert request.options.stop == ("\n\n", "###")


def test_a_saved_program_has_its_options(tmp_path: Path) -> None:
    """All that are set, and no others."""

    async def build() -> paretune.Program:
        inputs = paretune.Input(Text)
        generator = paretune.Generator(Label, "openai/m", top_p=0.5, stop="#", extra={"top_k": 2})
        return paretune.Program(inputs, await generator(inputs))

    paretune.run_maybe_nested(build()).save(tmp_path / "program.json")
    (generator,) = paretune.Program.load(tmp_path / "program.json").generators
    assert generator.options == CallOptions(top_p=0.5, stop=("#",), extra={"top_k": 2})


def test_a_judge_under_a_cap_in_dollars(tmp_path: Path) -> None:
    """With a longest reply it works; without one the error says what can be given one."""
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def model(name: str) -> paretune.LanguageModel:
        reply = '{"score": 1.0}' if name == "judge" else '{"label": "so"}'
        return paretune.ScriptedLanguageModel(lambda request: reply, name=name, price=Price(1, 1), ledger=ledger)

    async def evaluate(**options: Any) -> float:
        inputs = paretune.Input(Text)
        generator = paretune.Generator(Label, model("student"), max_tokens=9)
        program = paretune.Program(inputs, await generator(inputs))
        program.compile(reward=LMAsJudge(model("judge"), **options))
        with paretune.Budget(usd=1, ledger=ledger).charging():
            return (await program.evaluate([Text(text="how?")], [Label(label="so")], verbose=0))["reward"]

    with pytest.raises(ConfigError, match=r"scripted/judge.*a generator, a judge, an optimizer"):
        paretune.run_maybe_nested(evaluate())
    assert paretune.run_maybe_nested(evaluate(max_tokens=50)) == 1.0


def test_a_fallback_gets_the_options() -> None:
    """Without the reasoning effort where it takes none."""
    request = request_with(ASK, reasoning_effort="low", top_p=0.5, structured_output="text")
    adapted = request.adapted("other", {"structured_output": "native", "reasoning_effort": False})
    assert adapted == Request(ASK, "text", options=CallOptions(top_p=0.5))
