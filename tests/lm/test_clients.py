"""Calls through litellm and past it, against a server of the test's own on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import subprocess
import sys
import time
import traceback
from email.utils import formatdate
from pathlib import Path
from typing import Any

import openai_server as fake
import pytest
from call_options import request_with
from ledger_rows import stored
from openai_server import OpenAIServer, chat, failure

from paretune.errors import FatalError, LanguageModelError, RefusedInputError, TransientError
from paretune.eventloop import run_maybe_nested
from paretune.lm.backends.choose import backend_for
from paretune.lm.backends.endpoint import Endpoint
from paretune.lm.backends.litellm_errors import load_litellm
from paretune.lm.backends.litellm_names import is_known
from paretune.lm.backends.server import ServerBackend
from paretune.lm.language_model import LanguageModel
from paretune.lm.settings import Settings
from paretune.lm.types import Answer, Price, Request

UNKNOWN, KNOWN = "openai/m", "openai/gpt-4o-mini"
SECRET = "sk-test-0123456789abcdef"
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}


@pytest.fixture(scope="module", autouse=True)
def litellm() -> Any:
    """litellm, imported once for the whole page: it takes seconds."""
    return load_litellm()


@pytest.fixture(params=[UNKNOWN, KNOWN])
def model(request: pytest.FixtureRequest) -> str:
    """A model that litellm does not know and one that it does: they are called in two ways, which look the same."""
    return str(request.param)


def ask(**options: Any) -> Request:
    messages = (("system", "Label it."), ("user", "so glad"))
    return request_with(**{"messages": messages, "structured_output": "text", **options})


def backend_of(model: str, *, api_base: str | None = None, **options: Any) -> Endpoint:
    """A backend of the class that the name and the address choose."""
    chosen = backend_for(model, Settings(api_base=api_base))
    assert isinstance(chosen, Endpoint)
    return type(chosen)(model, api_base=api_base, **options)


def send(server: OpenAIServer, request: Request | None = None, model: str = "openai/m", **options: Any) -> Answer:
    """One call through the backend, which must be one HTTP request."""
    before = len(server.asked)
    backend = backend_of(model, api_base=server.api_base, **{"timeout_s": 10.0, **options})
    try:
        return run_maybe_nested(answer_of(backend, request or ask()))
    finally:
        assert len(server.asked) == before + 1


async def answer_of(backend: Endpoint, request: Request) -> Answer:
    await backend.prepare()
    return await backend.send(request)


MESSAGES = [{"role": "system", "content": "Label it."}, {"role": "user", "content": "so glad"}]


@pytest.mark.parametrize(
    ("mode", "extra"),
    [
        (
            "native",
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "Mood", "schema": SCHEMA, "strict": True},
                }
            },
        ),
        (
            "tool",
            {
                "tools": [{"type": "function", "function": {"name": "Mood", "parameters": SCHEMA}}],
                "tool_choice": {"type": "function", "function": {"name": "Mood"}},
            },
        ),
        ("prompt", {}),
        ("text", {}),
    ],
)
def test_the_body_of_a_chat(server: OpenAIServer, model: str, mode: Any, extra: dict[str, Any]) -> None:
    """Each form of output sends exactly what it needs, and no parameter that was not set."""
    answer = send(server, ask(structured_output=mode, schema=SCHEMA, schema_name="Mood"), model=model)
    assert server.last.path == "/v1/chat/completions"
    assert server.last.body == {"model": model.partition("/")[2], "messages": MESSAGES, **extra}
    assert answer == Answer("hello", 7, 3, "stop", fake.USAGE)


def test_the_body_of_a_completion(server: OpenAIServer, model: str) -> None:
    """A completion continues a text at the server's other endpoint."""
    server.answer = fake.text(" joy")
    request = ask(messages=(("user", "Tweet: so glad\nMood:"),), structured_output="completion", max_tokens=4)
    answer = send(server, request, model=model)
    assert server.last.path == "/v1/completions"
    assert server.last.body == {"model": model.partition("/")[2], "prompt": "Tweet: so glad\nMood:", "max_tokens": 4}
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == (" joy", 7, 3)


def test_parameters_are_sent_when_they_are_set(server: OpenAIServer, model: str) -> None:
    """Zero is a temperature; the grammar and the backend's own fields go beside the known parameters."""
    request = ask(temperature=0.0, max_tokens=9, stop=("\n", "##"), grammar='root ::= "joy"')
    send(server, request, extra_body={"cache_prompt": True}, model=model)
    options = {"temperature": 0.0, "max_tokens": 9, "stop": ["\n", "##"]}
    own = {"grammar": 'root ::= "joy"', "cache_prompt": True}
    assert server.last.body == {"model": model.partition("/")[2], "messages": MESSAGES, **options, **own}


def test_the_arguments_of_a_tool_call_are_the_reply(server: OpenAIServer, model: str) -> None:
    """A reply that comes as a tool call is read from its arguments."""
    call = {"id": "1", "type": "function", "function": {"name": "Mood", "arguments": '{"label": "joy"}'}}
    server.answer = chat(None, tool_calls=[call])
    assert json.loads(send(server, ask(structured_output="tool", schema=SCHEMA), model=model).text) == {"label": "joy"}


@pytest.mark.parametrize("mode", ["text", "completion"])
def test_calls_share_a_connection(server: OpenAIServer, model: str, mode: Any) -> None:
    """One call after the other goes over one connection, failed ones too."""
    backend = backend_of(model, api_base=server.api_base)
    for answer in (chat("x"), chat("x"), failure(500, "down"), chat("x"), chat("x")):
        server.answer = fake.text("x") if mode == "completion" and answer.status == 200 else answer
        with contextlib.suppress(TransientError):
            run_maybe_nested(backend.send(ask(structured_output=mode)))
    assert (len(server.asked), server.connections) == (5, 1)


# What goes wrong


@pytest.mark.parametrize("kind", ["invalid_request_error", "server_error"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, FatalError) for status in (400, 401, 402, 403, 404, 413, 422)),
        *((status, TransientError) for status in (408, 409, 429, 500, 502, 503, 504, 529)),
    ],
)
def test_the_status_decides(
    server: OpenAIServer, model: str, status: int, expected: type[Exception], kind: str
) -> None:
    """A status says whether the call may succeed later, however the server words its error; one request each."""
    server.answer = failure(status, "it did not work")
    server.answer.body["error"]["type"] = kind
    with pytest.raises(expected, match=rf"{model} at http://127\.0\.0\.1:\d+/v1: it did not work") as caught:
        send(server, model=model)
    assert "\n" not in str(caught.value)
    assert getattr(caught.value, "rate_limited", False) == (status == 429)


def test_a_completion_fails_the_same_way(server: OpenAIServer, model: str) -> None:
    """The completion endpoint's errors are named by the same rules."""
    for status, expected in ((401, FatalError), (429, TransientError), (503, TransientError)):
        server.answer = failure(status, "it did not work")
        with pytest.raises(expected, match="it did not work"):
            send(server, ask(structured_output="completion"), model=model)


@pytest.mark.parametrize(
    ("wish", "seconds"), [("7", 7.0), ("0.5", 0.5), ("3600", 60.0), ("-1", 0.0), ("soon", None), ("", None)]
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds(
    server: OpenAIServer, model: str, status: int, wish: str, seconds: float | None
) -> None:
    """The server's wish is passed on, up to a minute; what is no number is none."""
    server.answer = failure(status, "slow down", Retry_After=wish)
    with pytest.raises(TransientError) as caught:
        send(server, model=model)
    assert caught.value.retry_after == seconds


def test_retry_after_as_a_date(server: OpenAIServer, model: str) -> None:
    """The other form that HTTP allows."""
    server.answer = failure(429, "slow down", Retry_After=formatdate(time.time() + 30, usegmt=True))
    with pytest.raises(TransientError) as caught:
        send(server, model=model)
    assert caught.value.retry_after is not None
    assert 20 < caught.value.retry_after <= 30


def test_a_used_up_quota_is_fatal(server: OpenAIServer, model: str) -> None:
    """No waiting brings money back: the same status as a rate limit, but no call can succeed."""
    server.answer = failure(429, "You exceeded your current quota", code="insufficient_quota")
    with pytest.raises(FatalError, match="quota"):
        send(server, model=model)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 5000", "context_length_exceeded"),
        ("request (5031 tokens) exceeds the available context size (2048 tokens), try increasing it", None),
        ("The response was filtered due to the content management policy", "content_filter"),
        ("Your request was rejected as a result of our safety system", "content_policy_violation"),
    ],
)
@pytest.mark.parametrize("mode", ["text", "completion"])
def test_a_refused_input_is_no_fault_of_the_search(
    server: OpenAIServer, model: str, message: str, code: str | None, mode: Any
) -> None:
    """Too long or filtered: this one input cannot be answered; others can."""
    server.answer = failure(400, message, code=code)
    with pytest.raises(RefusedInputError):
        send(server, ask(structured_output=mode), model=model)


def test_no_answer_in_time(server: OpenAIServer, model: str) -> None:
    """A call that takes longer than timeout_s may be tried again."""
    server.answer = fake.Answer({}, delay_s=0.5)
    with pytest.raises(TransientError, match="timed out"):
        send(server, timeout_s=0.1, model=model)


@pytest.mark.parametrize("mode", ["text", "completion"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (fake.Answer(reset=True), "Connection reset by peer"),
        (fake.Answer({"choices": []}, cut=True), "Not enough data to satisfy content length"),
        (fake.Answer(b"{}", headers={"Content-Encoding": "gzip"}), "incorrect header check"),
    ],
)
def test_a_connection_that_breaks(
    server: OpenAIServer, model: str, answer: fake.Answer, reason: str, mode: Any
) -> None:
    """A reset, half a body, and bytes garbled on their way may be tried again; the message says which it was."""
    server.answer = answer
    with pytest.raises(TransientError, match=f"(Connection error|no completion).*{reason}"):
        send(server, ask(structured_output=mode), model=model)


def test_nobody_listens() -> None:
    """A refused connection names the address that was tried."""
    with fake.openai_server() as server:
        api_base = server.api_base
    with pytest.raises(TransientError, match=api_base):
        run_maybe_nested(backend_of("openai/m", api_base=api_base).send(ask()))


BODIES = [b"", b"<html>\n<b>proxy</b></html>", b"[]", b"{}", b"null", b"\xff", b'{"id": "1", "choices": [{"mes']
BODIES += [b'{"choices": []}', b'{"choices": [{"index": 0}]}', b'{"choices": [{"index": 0, "message": null}]}']


@pytest.mark.parametrize("mode", ["text", "completion"])
@pytest.mark.parametrize("kind", [{}, {"Content-Type": "application/json"}])
@pytest.mark.parametrize("body", BODIES)
def test_an_answer_that_is_none(server: OpenAIServer, model: str, body: bytes, kind: dict[str, str], mode: Any) -> None:
    """Status 200 with anything but a completion may be tried again, and is told in one line."""
    server.answer = fake.Answer(body, headers=kind)
    with pytest.raises(TransientError) as caught:
        send(server, ask(structured_output=mode), model=model)
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_a_rate_limit_in_the_body(server: OpenAIServer, model: str) -> None:
    """Some routers answer 200 with an error inside."""
    server.answer = fake.Answer({"error": {"message": "slow down", "code": 429}})
    with pytest.raises(TransientError, match="slow down") as caught:
        send(server, model=model)
    assert caught.value.rate_limited


def test_a_reply_without_content_is_empty(server: OpenAIServer, model: str) -> None:
    """A null content is an empty text, which is an invalid output: the model did answer."""
    server.answer = chat(None)
    assert send(server, model=model).text == ""


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}])
def test_a_server_that_reports_no_usage(server: OpenAIServer, model: str, usage: Any) -> None:
    """Tokens are counted here and marked as estimated: zeros would make the model the cheapest of all."""
    server.answer = chat("one two three", usage=usage)
    answer = send(server, model=model)
    assert answer.prompt_tokens >= 4
    assert answer.completion_tokens == 3
    assert answer.usage is not None and answer.usage["estimated"] is True


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "<think>Is it joy?\n</think>\n\njoy"}, "\n\njoy"),
        ({"content": "<think>kept</think>", "reasoning_content": "It is."}, "<think>kept</think>"),
        ({"content": "a <think>b</think>"}, "a <think>b</think>"),
        ({"content": None, "refusal": "No."}, "No."),
        (
            {
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}],
            },
            "",
        ),
    ],
)
def test_what_a_message_says(server: OpenAIServer, model: str, message: dict[str, Any], text: str) -> None:
    """Thoughts that a server left in the content are no part of the answer; nor is there one where nothing is said. The
    text of a refusal is kept."""
    server.answer = chat(**message)
    assert send(server, model=model).text == text


def test_parts_and_objects(server: OpenAIServer) -> None:
    """A content in parts is its texts; arguments that come as an object are their JSON."""
    server.answer = chat([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "joy"}])  # type: ignore[arg-type]
    assert send(server).text == "joy"
    call = {"id": "1", "type": "function", "function": {"name": "Mood", "arguments": {"label": "joy"}}}
    server.answer = chat(None, tool_calls=[call])
    assert json.loads(send(server, ask(structured_output="tool", schema=SCHEMA)).text) == {"label": "joy"}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": "7.0", "completion_tokens": 3}, (7, 3)),
        ({"prompt_tokens": 7, "total_tokens": 10}, (7, 3)),
        ({"prompt_tokens": 7, "completion_tokens": [3]}, (7, 0)),
    ],
)
def test_odd_accounts(server: OpenAIServer, usage: dict[str, Any], tokens: tuple[int, int]) -> None:
    """Numbers count however they are written, and what is missing is what is left of the total."""
    server.answer = chat("one two three", usage=usage)
    answer = send(server)
    assert (answer.prompt_tokens, answer.completion_tokens) == tokens


@pytest.mark.parametrize("prompt_tokens", ["unknown", {"text": 7}, -3, None])
def test_accounts_that_are_none(server: OpenAIServer, prompt_tokens: Any) -> None:
    """Where no number can be read, tokens are counted here."""
    server.answer = chat("one two three", usage={"prompt_tokens": prompt_tokens, "completion_tokens": 3})
    answer = send(server)
    assert answer.usage is not None and answer.usage["estimated"] is True


ODD_REPLIES = [
    b"[" * 200_000,
    {"choices": [{"index": 0, "text": 3, "message": {"role": "assistant", "content": 3}}]},
    {"choices": [{"index": 0, "error": {"message": "overloaded"}, "message": {"content": ""}, "text": ""}]},
]


@pytest.mark.parametrize("mode", ["text", "completion"])
@pytest.mark.parametrize("body", ODD_REPLIES, ids=["deep", "number", "error"])
def test_replies_that_say_nothing(server: OpenAIServer, body: Any, mode: Any) -> None:
    """JSON without an answer in it may be tried again, however it is built."""
    server.answer = fake.Answer(body)
    with pytest.raises(TransientError, match="the server's reply is no completion"):
        send(server, ask(structured_output=mode))


@pytest.mark.parametrize(("code", "limited"), [("429", True), (429, True), (None, False), ("x", False)])
def test_errors_inside_a_reply(server: OpenAIServer, code: Any, limited: bool) -> None:
    """The status in it decides, as a number or as a text; without one it may pass."""
    server.answer = fake.Answer({"error": {"message": "slow down", "code": code}})
    with pytest.raises(TransientError, match="slow down") as caught:
        send(server)
    assert caught.value.rate_limited is limited


@pytest.mark.parametrize(("status", "kind"), [(401, FatalError), (404, FatalError), (503, TransientError)])
def test_errors_in_plain_text(server: OpenAIServer, model: str, status: int, kind: type[Exception]) -> None:
    """What a server or a proxy says of a failure is shown, also where it is no JSON."""
    server.answer = fake.Answer(b"token expired\nsee the manual", status)
    with pytest.raises(kind, match="token expired"):
        send(server, model=model)


def test_a_reason_that_is_no_text(server: OpenAIServer, own_state: Path) -> None:
    """An odd finish_reason is left out, and the reply is kept."""
    server.answer = chat("joy")
    server.answer.body["choices"][0]["finish_reason"] = {"type": "stop"}
    reply = run_maybe_nested(LanguageModel("openai/m", api_base=server.api_base).complete(ask()))
    assert (reply.text, reply.finish_reason) == ("joy", None)


def test_an_address_with_a_query(server: OpenAIServer) -> None:
    """The query stays behind the path, as gateways with a version in it want."""
    backend = backend_of("openai/m", api_base=f"{server.api_base}/deployments/a/?api-version=1")
    run_maybe_nested(answer_of(backend, ask()))
    assert server.last.path == "/v1/deployments/a/chat/completions?api-version=1"


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:port/v1", "http://127.0.0.1:99999/v1", "127.0.0.1:1/v1", "http://"]
)
def test_an_address_that_is_none(address: str) -> None:
    """A placeholder that was left in, or half an address, is told in one line."""
    with pytest.raises(LanguageModelError, match="openai/m at ") as caught:
        run_maybe_nested(answer_of(ServerBackend("openai/m", address), ask()))
    assert "\n" not in str(caught.value)


def test_proxies_that_cannot_be_used(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no usable proxy is told as what it is; one that is usable is not asked for this
    machine."""
    monkeypatch.setenv("ALL_PROXY", "socks9://127.0.0.1:1")

    async def fresh(backend: Endpoint) -> Answer:
        return await answer_of(backend, ask())

    with pytest.raises(FatalError, match="proxies or certificates"):
        asyncio.run(fresh(backend_of("openai/m", api_base=server.api_base)))
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert asyncio.run(fresh(backend_of("openai/m", api_base=server.api_base))).text == "hello"


def test_nothing_of_the_environment_is_sent(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither organizations nor headers that are meant for OpenAI go to a server of one's own."""
    monkeypatch.setenv("MY_KEY", SECRET)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Corp: of-mine\nAuthorization: Bearer of-mine")
    send(server, api_key_env="MY_KEY")
    assert "of-mine" not in str(server.last.headers) and server.last.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("key", ["sk-ä", "sk-a\nb"])
def test_a_key_that_is_none(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """A key with characters that no header can hold is refused, and not shown."""
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(FatalError, match="'MY_KEY'") as caught:
        run_maybe_nested(answer_of(backend_of("openai/m", api_base=server.api_base, api_key_env="MY_KEY"), ask()))
    assert "sk-" not in str(caught.value)


def test_loops_that_end_leave_nothing_open(server: OpenAIServer) -> None:
    """However many event loops come and go, their connections go with them."""
    opened = Path(f"/proc/{os.getpid()}/fd")
    if not opened.exists():
        pytest.skip("needs /proc")
    counts = []
    for number in range(8):
        asyncio.run(answer_of(backend_of("openai/m", api_base=server.api_base), ask(replicate=number)))
        gc.collect()
        counts.append(len(list(opened.iterdir())))
    assert max(counts[4:]) <= max(counts[:4]) + 2


FORKED = """
import os, sys
from paretune import run_maybe_nested
from paretune.lm.backends.choose import backend_for
from paretune.lm.settings import Settings
from paretune.lm.types import Request

backend = backend_for(sys.argv[2], Settings(api_base=sys.argv[1]))
run_maybe_nested(backend.send(Request((("user", "hi"),), structured_output="text")))
child = os.fork()
if child == 0:
    sys.exit(0)
print(os.waitpid(child, 0)[1])
print(run_maybe_nested(backend.send(Request((("user", "hi"),), structured_output="text"))).text)
"""


@pytest.mark.parametrize("name", [UNKNOWN, KNOWN])
def test_a_fork_ends_quietly(server: OpenAIServer, name: str) -> None:
    """A child without the thread of the event loop does not wait for it, and leaves the parent its connection."""
    path = os.pathsep.join(name for name in sys.path if name)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", FORKED, server.api_base, name],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\nhello\n", "")
    assert (len(server.asked), server.connections) == (2, 1)


def test_a_missing_package_is_fatal(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, litellm: Any) -> None:
    """A provider whose SDK is not installed cannot succeed by trying again."""

    async def needs_package(**_: Any) -> Any:
        try:
            raise ImportError("Missing boto3 to call bedrock")
        except ImportError:
            raise litellm.APIConnectionError("Missing boto3 to call bedrock", "bedrock", "m") from None

    monkeypatch.setattr(litellm, "acompletion", needs_package)
    with pytest.raises(FatalError, match="Missing boto3"):
        run_maybe_nested(backend_of(KNOWN, api_base=server.api_base).send(ask()))


def test_a_bug_keeps_its_type(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, litellm: Any) -> None:
    """What is no failure of a call is not turned into one."""

    async def broken(**_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(litellm, "acompletion", broken)
    with pytest.raises(ZeroDivisionError):
        run_maybe_nested(backend_of(KNOWN, api_base=server.api_base).send(ask()))


# Keys


def test_a_providers_key_stays_away_from_other_servers(
    server: OpenAIServer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that the user names gets no key of the environment, in no header, by no endpoint."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    send(server, model=model)
    server.answer = fake.text("x")
    send(server, ask(structured_output="completion"), model=model)
    assert all(SECRET not in str(asked) for asked in server.asked)


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "mistral/mistral-small-latest", "gemini/gemini-pro"])
def test_nor_do_keys_of_other_providers_leave(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    """The same for providers with their own ways of sending a key."""
    for name in ("ANTHROPIC_API_KEY", "MISTRAL_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, SECRET)
    server.answer = failure(400, "no")
    with pytest.raises(LanguageModelError):
        send(server, model=model)
    assert SECRET not in str(server.asked)


@pytest.mark.parametrize("end", ["", "\n"])
def test_the_named_key_is_sent(server: OpenAIServer, model: str, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """The key that api_key_env names goes to the named server, without the line break that files end with."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-another-one")
    monkeypatch.setenv("MY_KEY", SECRET + end)
    send(server, api_key_env="MY_KEY", model=model)
    assert server.last.headers["authorization"] == f"Bearer {SECRET}"


def test_a_named_key_that_is_missing(server: OpenAIServer) -> None:
    """Without the key nothing is sent, and the error names the variable."""
    model = LanguageModel("openai/m", api_base=server.api_base, api_key_env="MY_KEY")
    with pytest.raises(FatalError, match=r"'MY_KEY'.* is not set"):
        run_maybe_nested(model.complete(ask()))
    assert server.asked == []


@pytest.mark.parametrize(
    ("model", "variable"), [("openai/gpt-4o-mini", "OPENAI_API_KEY"), ("gemini/gemini-2.5-flash", "GEMINI_API_KEY")]
)
def test_a_providers_key_that_is_missing(model: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the provider's key nothing is sent, and the error names the variable."""
    with pytest.raises(FatalError, match=f"no API key in the environment .*{variable}"):
        run_maybe_nested(LanguageModel(model).complete(ask()))


def test_an_unknown_provider_is_fatal() -> None:
    """A name that litellm cannot place is told in one line, at the first call."""
    with pytest.raises(FatalError, match="nonsense/m") as caught:
        run_maybe_nested(LanguageModel("nonsense/m").complete(ask()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("padding", [0, 150, 250, 280])
def test_no_error_shows_a_key(server: OpenAIServer, model: str, monkeypatch: pytest.MonkeyPatch, padding: int) -> None:
    """A server that repeats what it was sent, the key among it, does not get it into a message, not even in part."""
    monkeypatch.setenv("MY_KEY", SECRET)
    monkeypatch.setenv("OTHER_TOKEN", "another-secret-value")
    server.answer = lambda asked: failure(401, f"{'.' * padding} {asked.headers['authorization']} another-secret-value")
    with pytest.raises(FatalError) as caught:
        send(server, api_key_env="MY_KEY", model=model)
    for secret in (SECRET, "another-secret-value"):
        assert secret[:6] not in str(caught.value)


def test_no_error_shows_the_providers_key(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that litellm finds in the environment by itself is not shown either."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_base)
    server.answer = lambda asked: failure(401, f"bad {asked.headers['authorization']}")
    with pytest.raises(FatalError, match=r"bad Bearer \*\*\*"):
        run_maybe_nested(LanguageModel("openai/gpt-4o-mini").complete(ask()))
    assert server.last.headers["authorization"] == f"Bearer {SECRET}"


def test_no_traceback_shows_a_key(server: OpenAIServer, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do the errors behind the error, when all of it is printed."""
    monkeypatch.setenv("MY_KEY", SECRET)
    server.answer = lambda asked: failure(500, f"bad {asked.headers['authorization']}")
    model = LanguageModel(model, api_base=server.api_base, api_key_env="MY_KEY", max_attempts=1)
    with pytest.raises(TransientError) as caught:
        run_maybe_nested(model.complete(ask()))
    printed = "".join(traceback.format_exception(caught.value))
    assert "bad Bearer ***" in printed and SECRET not in printed


@pytest.mark.parametrize("said", ["pass%2Fword", "pass/word", base64.b64encode(b"user:pass/word").decode(), "q=sesame"])
def test_no_error_shows_what_stands_in_an_address(server: OpenAIServer, model: str, said: str) -> None:
    """User, password and query of an address: in no message, in whatever form they come back, nor in an identity."""
    server.answer = failure(400, f"what is {said} to me? (http://user:pass%2Fword@host/)")
    backend = backend_of(model, api_base=server.api_base.replace("//", "//user:pass%2Fword@") + "?q=sesame")
    with pytest.raises(FatalError, match=r"v1: what is \*\*\* to me\? \(http://host/\)"):
        run_maybe_nested(backend.send(ask()))
    for secret in ("user", "pass", "sesame"):
        assert secret not in str(backend.identity()) + backend.label


def test_addresses_with_other_queries_are_other_places() -> None:
    """A query may choose the model behind an address, so that it counts, unread."""
    places = [f"http://127.0.0.1:1/v1{query}" for query in ("", "?deployment=a", "?deployment=b")]
    identities = [backend_of("openai/m", api_base=place).identity()["endpoint"] for place in places]
    assert identities[0] == "http://127.0.0.1:1/v1" and len(set(identities)) == 3


@pytest.mark.parametrize("mode", ["text", "completion"])
def test_a_reply_that_repeats_the_key(
    server: OpenAIServer, model: str, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    """A server that puts its headers into the reply, as those for debugging do: the key is not stored either."""
    monkeypatch.setenv("MY_KEY", SECRET)
    make = fake.text if mode == "completion" else chat
    server.answer = lambda asked: make(f"you sent {asked.headers['authorization']}!")
    answer = send(server, ask(structured_output=mode), api_key_env="MY_KEY", model=model)
    assert answer.text == "you sent Bearer ***!"


def test_the_address_in_the_environment_is_in_the_key(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same model name behind another address is another model."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_base)
    here = LanguageModel("openai/gpt-4o-mini")
    assert run_maybe_nested(here.complete(ask())).text == "hello"
    assert here.identity == {"model": "openai/gpt-4o-mini", "endpoint": server.api_base}
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert LanguageModel("openai/gpt-4o-mini").identity["endpoint"] is None


def test_the_ledger_file_holds_no_key(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, own_state: Path) -> None:
    """Keys and passwords of addresses are in no byte of the ledger."""
    monkeypatch.setenv("MY_KEY", SECRET)
    with_login = server.api_base.replace("//", "//user:pass-test-word@")
    for api_base in (server.api_base, with_login):
        run_maybe_nested(LanguageModel("openai/m", api_base=api_base, api_key_env="MY_KEY").complete(ask()))
    kept = json.dumps(stored(own_state / "ledger.sqlite"))  # what is packed in it
    assert "so glad" in kept
    for content in (kept.encode(), *(file.read_bytes() for file in own_state.iterdir())):
        assert SECRET.encode() not in content
        assert b"pass-test-word" not in content


# What litellm knows


def test_capabilities_of_listed_and_unlisted_models() -> None:
    """litellm's list decides; a server of the user's own is taken to enforce schemas."""
    listed = backend_of("openai/gpt-4o-mini").capabilities()
    assert listed == {"structured_output": "native", "reasoning_effort": False, "reasons": False, "grammar": False}
    assert backend_of("openai/o3").capabilities()["reasoning_effort"] is True
    assert backend_of("openai/m", api_base="http://127.0.0.1:1/v1").capabilities()["structured_output"] == "native"
    assert backend_of("openai/not-listed-anywhere").capabilities()["structured_output"] == "prompt"


@pytest.mark.parametrize("variable", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_capabilities_do_not_depend_on_how_an_address_is_given(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """The same model at the same place takes the same, and has the same key, whoever is asked first."""
    address = "http://127.0.0.1:1/v1"
    for model in ("openai/mine", "openai/gpt-4o-mini"):
        named = LanguageModel(model, api_base=address).backend
        takes = named.capabilities()
        with monkeypatch.context() as environment:
            environment.setenv(variable, address)
            found = LanguageModel(model).backend
            known = found.capabilities()
            assert found.identity() == named.identity()
        assert {name: known[name] for name in takes} == takes


def test_what_is_unknown_needs_no_litellm(litellm: Any) -> None:
    """What is called without litellm is what litellm would call as it is: no name of its list, and none for which it
    renames a parameter or knows a reasoning effort."""
    names = [
        "m",
        "qwen3:8b",
        "Qwen/Qwen3-8B",
        "gpt-oss-20b",
        "o9-mini",
        "llama-3",
        "mistral",
        "gpt-4-mine",
        "gpt-5-mine",
    ]
    names += [
        "meta-llama/Llama-3.1-8B-Instruct",
        "deepseek-r1",
        "o3",
        "GPT-4o",
        "gpt-6",
        "gpt-4o-audio-preview",
        "gpt-4o",
    ]
    unknown = [name for name in names if not is_known(f"openai/{name}")]
    assert {"m", "Qwen/Qwen3-8B", "gpt-oss-20b", "deepseek-r1"} <= set(unknown)
    assert set(unknown).isdisjoint(["o3", "o9-mini", "gpt-5-mine", "gpt-6", "gpt-4o", "GPT-4o"])
    options = {"max_tokens": 9, "temperature": 0.5, "stop": ["x"]}
    for name in unknown:
        sent = litellm.utils.get_optional_params(model=name, custom_llm_provider="openai", **options)
        assert {key: sent[key] for key in options} == options
        assert not litellm.supports_reasoning(model=f"openai/{name}")
    listed = [name for name in litellm.model_cost if name.startswith("openai/")]
    assert listed and all(is_known(name) for name in listed)


def test_prices_come_from_the_list_unless_given(litellm: Any) -> None:
    """Dollars per million tokens: litellm lists them per token; an unlisted model has no price."""
    per_token = litellm.model_cost["gpt-4o-mini"]
    listed = backend_of("openai/gpt-4o-mini").price()
    assert listed is not None
    assert listed.prompt == pytest.approx(per_token["input_cost_per_token"] * 1e6)
    assert listed.completion == pytest.approx(per_token["output_cost_per_token"] * 1e6)
    assert backend_of("openai/gpt-4o-mini", fixed_price=Price(1, 2)).price() == Price(1, 2)
    assert backend_of("openai/not-listed-anywhere").price() is None


def test_every_retry_is_ours(server: OpenAIServer, model: str) -> None:
    """Over a failing server, max_attempts is the number of HTTP requests."""
    server.answer = failure(500, "down")
    model = LanguageModel(model, api_base=server.api_base, max_attempts=3)

    async def no_pause(seconds: float) -> None:
        """Wait zero seconds."""

    model.pause = no_pause
    with pytest.raises(TransientError, match="gave up after 3 attempts"):
        run_maybe_nested(model.complete(ask()))
    assert len(server.asked) == 3


SCRIPT = """
import sys
from paretune import LanguageModel, run_maybe_nested
from paretune.errors import LanguageModelError
from paretune.lm.types import Request

model = LanguageModel(sys.argv[2], api_base=sys.argv[1], price={"prompt": 1.0, "completion": 2.0}, max_attempts=1)
assert model.capabilities["structured_output"] == "native"
requests = [Request((("user", str(n)),), schema={"type": "object"}) for n in range(5)]
try:
    for request in requests:
        print(run_maybe_nested(model.complete(request)))
except LanguageModelError as error:
    print(error)
print(model.ledger.session)
print("litellm" in sys.modules)
"""


def run_script(server: OpenAIServer, model: str) -> list[str]:
    path = os.pathsep.join(name for name in sys.path if name)
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, server.api_base, model],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_rerun_needs_no_litellm(server: OpenAIServer, model: str) -> None:
    """The first run calls, quietly, to the end of the process; the second is served and never imports litellm. Nor does
    the first for a model that litellm does not know."""
    *replies, session, imported = run_script(server, model)
    assert (session, imported) == ("Session(paid=5, spent_usd=6.5e-05, served=0)", str(model == KNOWN))
    *again, session, imported = run_script(server, model)
    assert (session, imported) == ("Session(paid=0, spent_usd=0.0, served=5)", "False")
    assert again == [line.replace("served=False", "served=True") for line in replies]
    assert len(server.asked) == 5


def test_loops_one_after_the_other(server: OpenAIServer, model: str) -> None:
    """Connections belong to a loop; the next loop gets its own, and nothing of the last one is left open."""
    for n in range(3):
        there = LanguageModel(model, api_base=server.api_base)
        assert asyncio.run(there.complete(ask(replicate=n))).text == "hello"
        gc.collect()
