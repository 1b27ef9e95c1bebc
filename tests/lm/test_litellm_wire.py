"""Calls that litellm composed once go on without it: the same on the wire, with the same answers and errors."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import openai_server as fake
import pytest
from call_options import request_with
from hypothesis import given, settings
from hypothesis import strategies as st
from litellm_alone import by_litellm_alone
from openai_server import Answer, Asked, OpenAIServer, chat, failure

from paretune.errors import LanguageModelError
from paretune.eventloop import run_maybe_nested
from paretune.lm.backends.litellm import LitellmBackend
from paretune.lm.types import Answer as AnswerOfModel
from paretune.lm.types import Request

#: Providers of OpenAI's protocol, by litellm's names.
PROVIDERS = [
    *("openai/gpt-4o-mini", "openai/gpt-5-mini", "azure/gpt-4o", "azure_ai/gpt-4o", "openrouter/openai/gpt-4o-mini"),
    *("together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo", "deepseek/deepseek-chat", "mistral/mistral-small-latest"),
    *("hosted_vllm/qwen", "xai/grok-4", "perplexity/sonar", "cerebras/llama3.1-8b", "lm_studio/x", "deepinfra/x/y"),
    *("nvidia_nim/meta/llama3-8b", "databricks/x", "moonshot/kimi-k2-0711-preview", "dashscope/qwen-max"),
    *("sambanova/Meta-Llama-3.1-8B-Instruct", "fireworks_ai/accounts/fireworks/models/llama-v3p1-8b-instruct"),
    "groq/openai/gpt-oss-20b",
]
#: litellm refuses to send these a tool that must be called.
WITHOUT_TOOLS = ("perplexity/", "deepinfra/", "sambanova/", "fireworks_ai/")
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
#: What belongs to a connection or to the length of a body, or what a client accepts.
OF_ONE_CALL = ("accept-encoding", "connection", "content-length", "host", "accept")


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    """One server for all: each test says what it answers."""
    with fake.openai_server() as running:
        yield running


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure asks for one."""
    monkeypatch.setenv("AZURE_API_VERSION", "2024-10-21")


def ask(text: str, **options: Any) -> Request:
    """A request whose question is ``text``."""
    messages = (("system", "Label it."), ("user", text))
    return request_with(**{"messages": messages, "schema_name": "Mood", "schema": SCHEMA, **options})


def backend_at(
    server: OpenAIServer, model: str, monkeypatch: pytest.MonkeyPatch, *, whole: bool = False
) -> LitellmBackend:
    """A backend that has learnt nothing yet; ``whole``: whose calls are litellm's."""
    monkeypatch.setenv("A_KEY", "sk-test-0123456789abcdef")
    backend = LitellmBackend(model, api_base=server.api_base, api_key_env="A_KEY", timeout_s=10.0)
    return by_litellm_alone(backend) if whole else backend


def wire(asked: Asked) -> tuple[str, dict[str, str], dict[str, Any]]:
    """What a provider sees of a call."""
    headers = {name: value for name, value in asked.headers.items() if name not in OF_ONE_CALL}
    return asked.path, headers, asked.body


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        (model, mode)
        for model in PROVIDERS
        for mode in ("native", "tool", "text")
        if mode != "tool" or not model.startswith(WITHOUT_TOOLS)
    ],
)
def test_the_same_on_the_wire(
    model: str, mode: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, count: Any
) -> None:
    """Path, headers and body of a later call are those that litellm sends for it."""
    server.answer = chat("hello")
    server.answer.body["service_tier"] = "default"  # litellm cannot read a reply of Groq's without it
    options: dict[str, Any] = {"structured_output": mode, "max_tokens": 50, "extra": {"top_k": 7}}
    composed, learnt = backend_at(server, model, monkeypatch, whole=True), backend_at(server, model, monkeypatch)
    question = 'so "glad" ä 😀 \u2028'
    run_maybe_nested(learnt.send(ask("another", **options)))
    calls = count()
    run_maybe_nested(learnt.send(ask(question, **options)))
    assert count() == calls, "litellm was called"
    sent = wire(server.last)
    run_maybe_nested(composed.send(ask(question, **options)))
    assert count() == calls + 1
    assert sent == wire(server.last)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How often litellm was called, as a function."""
    calls: list[Request] = []
    by_litellm = LitellmBackend._by_litellm

    async def counted(self: LitellmBackend, request: Request) -> Any:
        calls.append(request)
        return await by_litellm(self, request)

    monkeypatch.setattr(LitellmBackend, "_by_litellm", counted)
    return lambda: len(calls)


@pytest.mark.parametrize("model", ["groq/llama-3.3-70b-versatile", "groq/llama-3.1-8b-instant"])
def test_a_schema_that_becomes_a_tool_stays_with_litellm(
    model: str, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, count: Any
) -> None:
    """Where litellm makes something else of the form of the reply, it makes every call."""
    server.answer = failure(400, "no")
    backend = backend_at(server, model, monkeypatch)
    sent = len(server.asked)
    for number in range(3):
        calls = count()
        with pytest.raises(LanguageModelError):
            run_maybe_nested(backend.send(ask(f"text {number}")))
        assert count() > calls
    assert len(server.asked) == sent + 3


TOKENS = st.integers(0, 200)
USAGE = st.fixed_dictionaries(
    {"prompt_tokens": TOKENS, "completion_tokens": TOKENS},
    optional={
        "total_tokens": TOKENS,
        "prompt_tokens_details": st.fixed_dictionaries({}, optional={"cached_tokens": TOKENS, "audio_tokens": TOKENS}),
        "completion_tokens_details": st.fixed_dictionaries({}, optional={"reasoning_tokens": TOKENS}),
        "prompt_cache_hit_tokens": TOKENS,
        "cost": st.floats(0, 1),
        "queue_time": st.floats(0, 1),
    },
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | st.text(max_size=20)},
    optional={
        "reasoning_content": st.text(max_size=10),
        "reasoning": st.text(max_size=10),
        "refusal": st.none() | st.text(max_size=10),
        "tool_calls": st.just([{"id": "1", "type": "function", "function": {"name": "Mood", "arguments": '{"a": 1}'}}]),
    },
)
REASONS = st.sampled_from(["stop", "length", "content_filter", "tool_calls", "eos", "max_tokens", "model_length", None])
CHOICE = st.fixed_dictionaries({"index": st.just(0), "finish_reason": REASONS, "message": MESSAGE})
COMPLETION = st.fixed_dictionaries(
    {
        "id": st.just("1"),
        "object": st.just("chat.completion"),
        "created": st.just(1),
        "model": st.just("m"),
        "choices": st.lists(CHOICE, min_size=1, max_size=2),
    },
    optional={"usage": USAGE, "service_tier": st.sampled_from(["default", "flex", None]), "x": st.integers()},
)
FAILURES = st.builds(
    Answer,
    body=st.sampled_from(
        [{"error": {"message": "no", "code": code}} for code in (None, "context_length_exceeded", 429)]
    )
    | st.sampled_from([b"down", b"", b"[]", b'{"a":', {"detail": "no"}, {"error": "no"}]),
    status=st.sampled_from([200, 400, 401, 403, 404, 408, 409, 422, 429, 500, 503]),
    headers=st.sampled_from([{}, {"Retry-After": "7"}]),
)


async def outcome(backend: LitellmBackend, request: Request) -> Any:
    """What becomes of a call: its answer without what is not known, or its error's kind, and when to try again."""
    try:
        answer = await backend.send(request)
    except LanguageModelError as error:
        return type(error), getattr(error, "retry_after_s", None), getattr(error, "rate_limited", None)
    return dataclasses.replace(answer, usage=known(answer.usage))


def known(usage: Any) -> Any:
    """An account without the kinds of tokens of which it says nothing."""
    if not isinstance(usage, dict):
        return usage
    return {name: part for name, value in usage.items() if (part := known(value)) not in (None, {})}


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "deepseek/deepseek-chat", "openrouter/openai/gpt-4o-mini"])
@settings(max_examples=40, deadline=None)
@given(reply=st.builds(Answer, body=COMPLETION) | FAILURES)
def test_the_same_answers_and_errors(model: str, reply: Answer, server: OpenAIServer) -> None:
    """Whatever a provider replies, it is taken as litellm takes it."""
    with pytest.MonkeyPatch.context() as patched:
        composed, learnt = backend_at(server, model, patched, whole=True), backend_at(server, model, patched)
        server.answer = chat("hello")
        run_maybe_nested(learnt.send(ask("first")))
        server.answer = reply
        ours, theirs = (run_maybe_nested(outcome(backend, ask("x"))) for backend in (learnt, composed))
        if reply.status == 200 and not isinstance(ours, AnswerOfModel):  # what litellm says depends on the provider
            assert not isinstance(theirs, AnswerOfModel)
        else:
            assert ours == theirs


def test_calls_at_once_wait_for_what_is_sent_and_not_for_its_reply(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, count: Any
) -> None:
    """Of many calls that begin together litellm makes one; the others follow while that one is in flight."""
    server.answer = Answer(chat("hello").body, delay_s=0.5)
    backend = backend_at(server, "openai/gpt-4o-mini", monkeypatch)
    server.peak = 0

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(backend.send(ask(f"text {number}")) for number in range(8)))

    assert [answer.text for answer in run_maybe_nested(all_at_once())] == ["hello"] * 8
    assert (count(), server.peak) == (1, 8)


def test_a_call_that_fails_is_learnt_anew(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, count: Any) -> None:
    """After an error litellm makes the next call: a key may have changed, or a ticket may have run out."""
    backend = backend_at(server, "openai/gpt-4o-mini", monkeypatch)
    for reply, calls in ((chat("a"), 1), (chat("b"), 1), (failure(401, "no"), 1), (chat("c"), 2), (chat("d"), 2)):
        server.answer = reply
        run_maybe_nested(outcome(backend, ask("x")))
        assert count() == calls


def test_other_options_keys_and_places_are_other_calls(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, count: Any
) -> None:
    """What was learnt holds for the same options, form, key and address, and for the roles of the messages."""
    server.answer = chat("hello")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_base)
    backend = LitellmBackend("openai/gpt-4o-mini", timeout_s=10.0)
    first = ask("x", temperature=0.5)
    for request in (first, ask("x", temperature=0.7), ask("x"), ask("x", structured_output="text"), ask("")):
        run_maybe_nested(backend.send(request))
        assert json.loads(json.dumps(server.last.body)).get("temperature") == request.options.temperature
    assert count() == 5
    run_maybe_nested(backend.send(first))
    assert count() == 5
    monkeypatch.setenv("OPENAI_API_KEY", "sk-second-0123456789")
    run_maybe_nested(backend.send(first))
    assert (count(), server.last.headers["authorization"]) == (6, "Bearer sk-second-0123456789")
