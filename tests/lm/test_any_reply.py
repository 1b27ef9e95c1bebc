"""Replies of any shape and size: what is paid for is stored once, no secret of ours with it, and none is too large."""

from __future__ import annotations

import base64
import gzip
import json
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openai_server as fake
import pytest
from call_options import request_with
from hypothesis import HealthCheck, example, given, settings
from odd_replies import Sent, judged_reply, replies, with_usage
from openai_server import OpenAIServer, chat
from pydantic import BaseModel

from paretune.commands.main import main
from paretune.errors import TransientError
from paretune.eventloop import run_maybe_nested
from paretune.lm.backends.bodies import MAX_BYTES
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.queries import CallFilter, ids, opened, totals
from paretune.lm.types import Reply, Request
from paretune.schemas.parsing import parse_json

SECRET = 'sk-test/s3cret+\\"word'


def ask(text: str = "so glad") -> Request:
    return request_with(messages=(("user", text),), structured_output="text")


def complete(server: OpenAIServer, ledger: Ledger, request: Request | None = None, **options: Any) -> Reply:
    options = {"model": "openai/m", "api_base": server.api_base, "max_attempts": 1, "ledger": ledger, **options}
    return run_maybe_nested(LanguageModel(**options).complete(request or ask()))


@settings(suppress_health_check=list(HealthCheck), max_examples=150, deadline=None)
@example(with_usage({"prompt_tokens": 2**63, "completion_tokens": 1}, "\ud800"))
@example(with_usage({"prompt_tokens": 1e300}, 2**63))
@given(replies())
def test_any_reply_has_an_outcome_and_is_paid_once(server: OpenAIServer, ledger: Ledger, sent: Sent) -> None:
    """Whatever stands on the wire, an example has an outcome or a run its error; what was paid for is kept, listed and
    served to the next run as it was."""
    judged_reply(sent, server, ledger)
    with opened(ledger.path) as connection:
        assert sum(total.calls for total in totals(connection, CallFilter())) == len(
            list(ids(connection, CallFilter()))
        )


@pytest.mark.parametrize("odd", ['{"a":' * 600 + "1" + "}" * 600, "9" * 5000, "-" + "9" * 5000, "NaN", "1e999"])
def test_odd_json_in_an_account(server: OpenAIServer, ledger: Ledger, odd: str) -> None:
    """Deep nesting, and numbers that Python does not read, cost no reply."""
    body = json.dumps(chat("joy", usage={"prompt_tokens": 7, "odd": "here"}).body).replace('"here"', odd)
    server.answer = fake.Answer(body.encode())
    assert (complete(server, ledger).text, complete(server, ledger).served) == ("joy", True)


def echoed(asked: fake.Asked) -> fake.Answer:
    """An answer with all that the request carried in each place that an answer has."""
    sent = asked.headers["authorization"]
    quoted = quote(sent.removeprefix("Bearer "), safe="")
    body = chat(f"joy {sent}", usage={**fake.USAGE, sent: [{"headers": {"as": f"x{sent}x"}}], "q": quoted}).body
    body["choices"][0]["finish_reason"] = f"stop {sent}"
    return fake.Answer(body)


@pytest.mark.parametrize("model", ["openai/m", "openai/gpt-4o"])
@pytest.mark.parametrize("login", ["", "user:long-password", "u:p"])
def test_an_echo_of_what_was_sent(
    server: OpenAIServer,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    model: str,
    login: str,
) -> None:
    """A key, and a login however short, is in no file of the ledger, no export and not on the screen."""
    monkeypatch.setenv("MY_KEY", SECRET)
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    server.answer = echoed
    api_base = server.api_base.replace("//", f"//{login}@") if login else server.api_base
    reply = complete(server, ledger, model=model, api_base=api_base, api_key_env="MY_KEY")
    ledger.close()
    main(["calls", reply.key])
    main(["calls", "--export", str(tmp_path / "calls.jsonl")])
    shown = capsys.readouterr().out.encode() + b"".join(file.read_bytes() for file in tmp_path.iterdir())
    header = base64.b64encode(login.encode()) if login else SECRET.encode()
    assert header not in shown and quote(header, safe="").encode() not in shown
    assert b"***" in shown and reply.text.startswith("joy ") and "***" in reply.text


def test_an_error_inside_a_choice_shows_no_key(
    server: OpenAIServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a choice says of an error is told without the key."""
    monkeypatch.setenv("MY_KEY", SECRET)
    server.answer = fake.Answer({"choices": [{"error": {"message": f"bad key {SECRET}"}, "message": {}}]})
    with pytest.raises(TransientError, match=r"bad key \*\*\*"):
        complete(server, ledger, api_key_env="MY_KEY")


def test_an_error_inside_a_choice_is_one_line(server: OpenAIServer, ledger: Ledger) -> None:
    """However many lines a server writes, and of what length."""
    server.answer = fake.Answer({"choices": [{"error": {"message": "a\nerror: forged\n" + "b" * 9000}, "message": {}}]})
    with pytest.raises(TransientError) as caught:
        complete(server, ledger)
    assert "it says: a error: forged b" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 500


def packed(content: bytes, kind: str) -> bytes:
    if kind == "gzip":
        return gzip.compress(content)
    packing = zlib.compressobj(wbits=-15 if kind == "raw" else 15)
    return packing.compress(content) + packing.flush()


@pytest.mark.parametrize("kind", ["gzip", "deflate", "raw"])
def test_a_reply_may_be_packed(server: OpenAIServer, ledger: Ledger, kind: str) -> None:
    """The kinds of packing that requests allow for are unpacked, also that of servers which leave out the header."""
    content = packed(json.dumps(chat("joy").body).encode(), kind)
    server.answer = fake.Answer(content, headers={"Content-Encoding": "deflate" if kind == "raw" else kind})
    assert complete(server, ledger).text == "joy"
    assert server.last.headers["accept-encoding"] == "gzip, deflate"


def test_a_packing_that_nobody_asked_for(server: OpenAIServer, ledger: Ledger) -> None:
    """It is named."""
    server.answer = fake.Answer(b"xyz", headers={"Content-Encoding": "br"})
    with pytest.raises(TransientError, match="Content-Encoding is 'br'"):
        complete(server, ledger)


def bomb() -> bytes:
    """A quarter of a gigabyte, packed."""
    packing = zlib.compressobj(wbits=31)
    block = bytes(1 << 20)
    return b"".join([*(packing.compress(block) for _ in range(256)), packing.flush()])


@pytest.mark.parametrize("model", ["openai/m", "openai/gpt-4o"])
@pytest.mark.parametrize("kind", ["plain", "bomb"])
@pytest.mark.parametrize("status", [200, 500])
def test_a_reply_without_end(server: OpenAIServer, ledger: Ledger, model: str, kind: str, status: int) -> None:
    """A reply longer than the limit, or that would unpack to more, is an error before it is in memory or stored, by way
    of litellm too."""
    complete(server, ledger, ask("before"), model=model)
    server.answer = fake.Answer(b'"' + b"x" * (MAX_BYTES + 1), status)
    if kind == "bomb":
        server.answer = fake.Answer(bomb(), status, {"Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        with pytest.raises(TransientError, match=r"no completion \(it is longer than 32 MiB"):
            complete(server, ledger, model=model)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES
    finally:
        tracemalloc.stop()
    with opened(ledger.path) as connection:
        assert len(list(ids(connection, CallFilter()))) == 1


def nested(opening: str, closing: str = "", levels: int = 50_000) -> str:
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize("model", ["openai/m", "openai/gpt-4o"])
@pytest.mark.parametrize("place", ["top", "usage", "message", "text"])
@pytest.mark.parametrize("deep", [nested("[", "]"), nested('{"a":', "}"), nested('["]",{"}":', "}]")], ids=len)
def test_a_reply_nested_without_measure_is_paid_once(
    server: OpenAIServer, ledger: Ledger, model: str, place: str, deep: str
) -> None:
    """Wherever a reply is nested deeper than Python reads, it is read quickly, stored, and served the next time."""
    complete(server, ledger, ask("before"), model=model)
    body = chat("joy", usage={**fake.USAGE, "odd": "usage"}, odd="message").body
    if place == "text":
        body["choices"][0]["message"]["content"] = deep
    server.answer = fake.Answer(
        json.dumps({**body, "odd": "top"}).replace(f'"odd": "{place}"', f'"odd": {deep}').encode()
    )
    started, before = time.process_time(), len(server.asked)
    first, again = complete(server, ledger, model=model), complete(server, ledger, model=model)
    assert time.process_time() - started < 1.0
    assert len(server.asked) == before + 1 and again.served
    assert first.text == again.text == (deep if place == "text" else "joy")
    assert parse_json(first.text, Label) is None


def test_an_answer_nested_without_measure_is_malformed(server: OpenAIServer, ledger: Ledger) -> None:
    """The arguments of a tool call as JSON of a hundred thousand levels are an answer that does not validate."""
    body = json.dumps(chat(None, tool_calls=[{"function": {"arguments": "here"}}]).body)
    server.answer = fake.Answer(body.replace('"here"', nested('{"label":', "}")).encode())
    reply = complete(server, ledger)
    assert reply.text.startswith('{"label": {"label"') and parse_json(reply.text, Label) is None
    assert complete(server, ledger).served


class Label(BaseModel):
    label: str


BRACES = [
    "{" * 200_000,
    '{"a":' * 100_000,
    '{"a":[' * 100_000,
    "[" * 200_000 + "{",
    "<think>" * 100_000,
    '{"' * 200_000,
]


@pytest.mark.parametrize("text", BRACES, ids=lambda text: text[:8])
def test_braces_without_end_are_read_quickly(text: str) -> None:
    """What opens a hundred thousand objects and closes none takes a moment, and is no record."""
    started = time.process_time()
    assert parse_json(text, Label) is None
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("body", ['{"a":' * 100_000, "{" * 200_000, "[" * 200_000])
def test_nesting_without_end_is_no_completion(server: OpenAIServer, ledger: Ledger, body: str) -> None:
    """As a body it is refused as quickly."""
    server.answer = fake.Answer(body.encode())
    started = time.process_time()
    with pytest.raises(TransientError, match="no completion"):
        complete(server, ledger)
    assert time.process_time() - started < 1.0
