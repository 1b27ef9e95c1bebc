"""Other protocols than OpenAI's, over our own connections: the same on the wire, with the same answers and errors, as
litellm's whole calls."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import openai_server as fake
import pytest
from call_options import request_with
from litellm_alone import by_litellm_alone
from openai_server import Answer, OpenAIServer, chat

from paretune.errors import LanguageModelError
from paretune.eventloop import run_maybe_nested
from paretune.lm.backends.litellm import LitellmBackend
from paretune.lm.passing import passed
from paretune.lm.types import Request

#: pydantic warns of a class of litellm's, which is imported with the first call of Cohere.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydantic")
SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "description": "the mood"}},
    "required": ["label"],
    "additionalProperties": False,
}
TEXT = '{"label": "joy"}'
OF_ONE_CALL = ("accept-encoding", "connection", "content-length", "host", "accept")


def anthropic(*content: dict[str, Any], stop: str = "end_turn", **usage: Any) -> dict[str, Any]:
    """A message of Anthropic's."""
    account = {"input_tokens": 10, "output_tokens": 5, **usage}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude"}
    return {**head, "content": list(content), "stop_reason": stop, "usage": account}


def gemini(*parts: dict[str, Any], stop: str = "STOP", **usage: Any) -> dict[str, Any]:
    """Content as Gemini generates it."""
    account = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15, **usage}
    candidate = {"content": {"parts": list(parts), "role": "model"}, "finishReason": stop, "index": 0}
    return {"candidates": [candidate], "usageMetadata": account, "modelVersion": "gemini-2.5-flash"}


def converse(*content: dict[str, Any], stop: str = "end_turn", **usage: Any) -> dict[str, Any]:
    """A reply of Bedrock's Converse."""
    account = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, **usage}
    message = {"message": {"role": "assistant", "content": list(content)}}
    return {"output": message, "stopReason": stop, "usage": account, "metrics": {"latencyMs": 5}}


def ollama(stop: str = "stop", **message: Any) -> dict[str, Any]:
    """A chat of Ollama's own protocol."""
    head = {"model": "llama3", "created_at": "2024-01-01T00:00:00Z", "done": True, "done_reason": stop}
    return {**head, "message": {"role": "assistant", **message}, "prompt_eval_count": 10, "eval_count": 5}


def cohere(*content: dict[str, Any], stop: str = "COMPLETE", **message: Any) -> dict[str, Any]:
    """A chat of Cohere's second version."""
    tokens = {"input_tokens": 10, "output_tokens": 5}
    said = {"role": "assistant", "content": list(content), **message}
    return {"id": "1", "finish_reason": stop, "message": said, "usage": {"billed_units": tokens, "tokens": tokens}}


_ANTHROPIC = [
    anthropic({"type": "text", "text": TEXT}),
    anthropic({"type": "text", "text": TEXT}, cache_read_input_tokens=6, cache_creation_input_tokens=2),
    anthropic(
        {"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": TEXT}, stop="max_tokens"
    ),
    anthropic({"type": "tool_use", "id": "t1", "name": "Mood", "input": {"label": "joy"}}, stop="tool_use"),
    anthropic({"type": "tool_use", "id": "t1", "name": "json_tool_call", "input": {"label": "joy"}}, stop="tool_use"),
    anthropic(stop="refusal"),
]
_CALL = {"name": "Mood", "args": {"label": "joy"}}
_FUNCTION = {"name": "Mood", "arguments": {"label": "joy"}}
#: By model, replies that are as different as they come.
REPLIES: dict[str, list[dict[str, Any]]] = {
    "anthropic/claude-sonnet-4-5": _ANTHROPIC,
    "anthropic/claude-3-5-haiku-20241022": _ANTHROPIC,
    "azure_ai/claude-sonnet-4-5": _ANTHROPIC,
    "gemini/gemini-2.5-flash": [
        gemini({"text": TEXT}),
        gemini({"text": TEXT}, cachedContentTokenCount=4, thoughtsTokenCount=3, totalTokenCount=18),
        gemini({"text": "hm", "thought": True}, {"text": TEXT}, stop="MAX_TOKENS"),
        gemini({"functionCall": _CALL}),
        gemini(stop="SAFETY"),
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}},
    ],
    "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0": [
        converse({"text": TEXT}),
        converse({"text": TEXT}, cacheReadInputTokens=4, cacheWriteInputTokens=2),
        converse({"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": TEXT}, stop="max_tokens"),
        converse({"toolUse": {"toolUseId": "t1", "name": "Mood", "input": {"label": "joy"}}}, stop="tool_use"),
        converse({"text": ""}, stop="content_filtered"),
    ],
    "ollama_chat/llama3": [
        ollama(content=TEXT),
        ollama(content="", thinking="hm", stop="length"),
        ollama(content="", tool_calls=[{"function": _FUNCTION}]),
    ],
    "cohere/command-a-03-2025": [
        cohere({"type": "text", "text": TEXT}),
        cohere({"type": "text", "text": TEXT}, stop="MAX_TOKENS"),
        cohere(
            tool_calls=[{"id": "1", "type": "function", "function": {**_FUNCTION, "arguments": TEXT}}], stop="TOOL_CALL"
        ),
    ],
}
_OF_ANTHROPIC = {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}}
_OF_GOOGLE = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}
FAILURES = [
    *(Answer({"error": {"message": "no", "type": "some_error"}}, status) for status in (400, 401, 403, 404, 408, 422)),
    *(Answer({"message": "too many"}, status, {"Retry-After": "7"}) for status in (429, 500, 503, 529)),
    *(Answer(body, 400) for body in (_OF_ANTHROPIC, _OF_GOOGLE, b"down", b"")),
    *(Answer(body) for body in (b"", b"[]", b'{"a":', {"error": {"message": "no"}}, {}, b"<html>")),
]


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    """One server for all: each test says what it answers."""
    with fake.openai_server() as running:
        yield running


def ask(text: str, **options: Any) -> Request:
    """A request whose question is ``text``."""
    messages = (("system", "Label it."), ("user", text))
    return request_with(**{"messages": messages, "schema_name": "Mood", "schema": SCHEMA, "max_tokens": 50, **options})


def backend_at(server: OpenAIServer, model: str, *, whole: bool = False) -> LitellmBackend:
    """A backend that has learnt nothing yet; ``whole``: whose calls are litellm's."""
    backend = LitellmBackend(model, api_base=server.api_base, api_key_env="A_KEY", timeout_s=10.0)
    return by_litellm_alone(backend) if whole else backend


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of every provider."""
    monkeypatch.setenv("A_KEY", "sk-test-0123456789abcdef")


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How often litellm was called, as a function."""
    calls: list[Request] = []

    def counting(by_litellm: Any) -> Any:
        async def counted(self: LitellmBackend, request: Request) -> Any:
            calls.append(request)
            return await by_litellm(self, request)

        return counted

    for name in ("_by_litellm", "_passed_by_litellm"):
        monkeypatch.setattr(LitellmBackend, name, counting(getattr(LitellmBackend, name)))
    return lambda: len(calls)


def outcome(backend: LitellmBackend, request: Request) -> Any:
    """What becomes of a call: its answer, or its error with all that it says."""
    try:
        return dataclasses.asdict(run_maybe_nested(backend.send(request)))
    except LanguageModelError as error:
        return type(error), str(error), getattr(error, "retry_after", None), getattr(error, "rate_limited", None)


def wire(server: OpenAIServer) -> Any:
    """What a provider saw of the last call."""
    headers = {name: value for name, value in server.last.headers.items() if name not in OF_ONE_CALL}
    return server.last.path, headers, server.last.body


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        (model, mode)
        for model in REPLIES
        for mode in ("text", "native", "tool")
        if (model, mode) != ("cohere/command-a-03-2025", "native")  # litellm refuses it
    ],
)
def test_the_same_on_the_wire_with_the_same_answers(model: str, mode: Any, server: OpenAIServer, count: Any) -> None:
    """Each reply is asked for with the path, headers and body of a whole call, and read as in one; litellm is called
    for the first one alone. What is composed for it leaves the schema as it was."""
    learnt, whole = backend_at(server, model), backend_at(server, model, whole=True)
    options: dict[str, Any] = {"structured_output": mode, "temperature": 1.0}
    schema = copy.deepcopy(SCHEMA)
    server.answer = Answer(REPLIES[model][0])
    run_maybe_nested(learnt.send(ask("first", **options)))
    for number, reply in enumerate(REPLIES[model]):
        server.answer = Answer(reply)
        question = ask(f' {number} so "glad" ä 😀 \u2028\n', **options)
        calls = count()
        ours, ours_sent = outcome(learnt, question), wire(server)
        fast = count() == calls
        theirs, theirs_sent = outcome(whole, question), wire(server)
        assert fast or not isinstance(theirs, dict), "litellm was called"
        assert ours_sent == theirs_sent
        assert ours == theirs
    assert schema == SCHEMA


@pytest.mark.parametrize("model", REPLIES)
def test_the_same_errors(model: str, server: OpenAIServer) -> None:
    """Errors have the kind and the words that litellm's have, and no secret in them; the call after one succeeds."""
    learnt, whole = backend_at(server, model), backend_at(server, model, whole=True)
    request = ask("x", structured_output="text")
    server.answer = Answer(REPLIES[model][0])
    right = outcome(learnt, request)
    for failure in FAILURES:
        server.answer = failure
        ours, theirs = outcome(learnt, request), outcome(whole, request)
        assert ours == theirs
        assert "sk-test" not in str(ours)
        server.answer = Answer(REPLIES[model][0])
        assert outcome(learnt, request) == right


def test_what_is_signed_stays_with_litellm(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, count: Any) -> None:
    """Where headers depend on the body, litellm makes every call."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "A1B2C3D4E5F6")
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-1")
    model = "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0"
    backend = LitellmBackend(model, api_base=server.api_base, timeout_s=10.0)
    monkeypatch.setattr(backend, "_api_key", lambda: None)
    server.answer = Answer(REPLIES[model][0])
    for _ in range(2):
        assert outcome(backend, ask("x", structured_output="text"))["text"] == TEXT
    calls = count()
    outcome(backend, ask("y", structured_output="text"))
    assert count() == calls + 1
    assert "Signature=" in server.last.headers["authorization"]


def test_a_reply_that_litellm_reads_otherwise_is_read_by_litellm(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, count: Any
) -> None:
    """The first reply is read both ways: where they differ, nothing was learnt, and no reply is lost or asked again."""
    model = "anthropic/claude-sonnet-4-5"
    backend = backend_at(server, model)
    server.answer = Answer(REPLIES[model][0])
    by_litellm = backend._by_litellm

    async def otherwise(request: Request) -> Any:
        reply = await by_litellm(request)
        reply["choices"][0]["message"]["content"] = "otherwise"
        return reply

    monkeypatch.setattr(backend, "_by_litellm", otherwise)
    asked = len(server.asked)
    for _ in range(3):
        assert outcome(backend, ask("x", structured_output="text"))["text"] == "otherwise"
    assert len(server.asked) == asked + 3


def test_messages_that_litellm_changes_stay_with_litellm(server: OpenAIServer, count: Any) -> None:
    """An empty message gets another text, and two of one role become one: those are litellm's calls."""
    model = "anthropic/claude-sonnet-4-5"
    backend, whole = backend_at(server, model), backend_at(server, model, whole=True)
    server.answer = Answer(REPLIES[model][0])
    for messages in ((("user", ""),), (("user", "a"), ("assistant", "b \n"), ("user", " "))):
        request = ask("", messages=messages, structured_output="text")
        assert outcome(backend, request) == outcome(backend, request) == outcome(whole, request)
        sent = wire(server)
        outcome(backend, request)
        assert json.dumps(wire(server)) == json.dumps(sent)


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"])
def test_requests_that_a_client_composed_are_passed_on_the_same(model: str, server: OpenAIServer, count: Any) -> None:
    """What comes again with other texts goes without litellm: the same on the wire, with the same reply whole; what is
    no plain text stays with litellm."""
    learnt, whole = backend_at(server, model), backend_at(server, model, whole=True)
    replies = [chat(TEXT).body] if model not in REPLIES else REPLIES[model][:3]
    tools = [{"type": "function", "function": {"name": "Mood", "parameters": SCHEMA}}]
    form = {"type": "json_schema", "json_schema": {"name": "Mood", "schema": SCHEMA, "strict": True}}
    forms: list[dict[str, Any]] = [{"temperature": 0.5}, {"tools": tools}, {"response_format": form, "odd": {"a": [1]}}]

    def body(text: Any, more: dict[str, Any]) -> Request:
        messages = [{"role": "system", "content": "Label it."}, {"role": "user", "content": text}]
        return passed("/chat/completions", {"messages": messages, "max_tokens": 50, **more})

    for more in forms:
        server.answer = Answer(replies[0])
        for number in range(3):
            outcome(learnt, body(f"text {number}", more))
        for reply in replies:
            server.answer = Answer(reply)
            request = body(' so "glad" ä 😀 \u2028\n', more)
            calls = count()
            ours, sent = reply_of(learnt, request), wire(server)
            assert count() == calls
            assert (ours, sent) == (reply_of(whole, request), wire(server))
        calls = count()
        outcome(learnt, body([{"type": "text", "text": "in parts"}], more))
        assert count() == calls + 1


def reply_of(backend: LitellmBackend, request: Request) -> Any:
    """The whole reply that a client gets, but for what is made up anew each time, and fields that say nothing: litellm
    adds such to OpenAI's replies."""
    return saying(json.loads(run_maybe_nested(backend._pass_on(request))))


def saying(part: Any) -> Any:
    """JSON values without null and what is empty by that."""
    if isinstance(part, list):
        return [saying(each) for each in part]
    if not isinstance(part, dict):
        return part
    said = {name: saying(value) for name, value in part.items() if name not in ("id", "created")}
    return {name: value for name, value in said.items() if value not in (None, {})}
