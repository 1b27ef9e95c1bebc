"""A program's request, taken out: what others send of it is what the program sends, and gets its replies."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai_server as fake
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import Answer, Asked, OpenAIServer, chat

from paretune import DataModel, Generator, Input, LanguageModel, Program, run_maybe_nested
from paretune.errors import UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import HTTPRequest, Request
from paretune.serving.requests import whole_request
from paretune.serving.snippets import curl_command, openai_script, prompt_page

KEY = "sk-planted-0123456789"
ODD = 'it\'s "quoted" $HOME `x` \\n ä 😀 {{ }} %s\n\tend'


class Tweet(DataModel):
    text: str


class Emotion(DataModel):
    label: Literal["joy", "sadness"]


def digest_reply(asked: Asked) -> Answer:
    """A reply that depends on every byte of the request's body."""
    label = ["joy", "sadness"][hashlib.sha256(json.dumps(asked.body, sort_keys=True).encode()).digest()[0] % 2]
    if "prompt" in asked.body:
        return fake.text(f" {label}\n")
    in_lines = "Reply in this form:" in asked.body["messages"][0]["content"]
    return chat(f"Label: {label}" if in_lines else json.dumps({"label": label}))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A server whose replies tell one body from another; the key for it is in the environment."""
    monkeypatch.setenv("A_KEY", KEY)
    with fake.openai_server() as running:
        running.answer = digest_reply
        yield running


async def program_of(model: LanguageModel, form: Any, **options: Any) -> Program:
    """A program of one generator that has learned two examples."""
    inputs = Input(Tweet)
    examples = [
        {"input": {"text": "so glad"}, "output": {"label": "joy"}},
        {"input": {"text": ODD}, "output": {"label": "sadness"}},
    ]
    module = Generator(
        Emotion, model, instructions="Name the emotion.", examples=examples, structured_output=form, **options
    )
    return Program(inputs, await module(inputs))


def posted(http: HTTPRequest) -> bytes:
    """The reply to a request that is sent with the standard library."""
    headers = {name: value.replace(f"${http.key_env}", KEY) for name, value in http.headers.items()}
    request = urllib.request.Request(http.url, json.dumps(http.body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        return bytes(response.read())


@pytest.mark.parametrize("form", ["native", "prompt", "text", "completion"])
@pytest.mark.parametrize("name", ["openai/m", "openai/gpt-4o-mini", "deepseek/deepseek-chat"])
def test_what_is_exported_is_what_was_sent(name: str, form: Any, server: OpenAIServer, tmp_path: Path) -> None:
    """For each example: the ledger's key, the same body at the same place, and the same reply."""
    if (name, form) == ("deepseek/deepseek-chat", "completion"):
        pytest.skip("it continues no text")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    model = LanguageModel(name, api_base=server.api_base, api_key_env="A_KEY", ledger=ledger)
    program = run_maybe_nested(program_of(model, form, temperature=0.5, max_tokens=30, extra={"top_k": 7}))
    for text in ("what a day", ODD, "", "x" * 3000):
        record = Tweet(text=text)
        output = run_maybe_nested(program(record))
        sent = server.last
        whole = run_maybe_nested(whole_request(program, record))
        stored = ledger.get(whole.key)
        http = run_maybe_nested(whole.over_http())
        assert http.key_env == "A_KEY" and KEY not in repr(http)
        reply = posted(http)
        assert (server.last.path, server.last.body) == (sent.path, sent.body)
        assert server.last.headers["authorization"] == sent.headers["authorization"] == f"Bearer {KEY}"
        choice = json.loads(reply)["choices"][0]
        assert stored is not None and stored.text == (choice.get("text") or choice["message"]["content"])
        assert output is not None and output.get_json()["label"] in stored.text


def shell(command: str) -> str:
    """The output of a command in a shell that knows the key and nothing else."""
    environment = {"A_KEY": KEY, "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nowhere"}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, timeout=60, check=True)
    return done.stdout.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("form", ["native", "completion"])
def test_the_curl_command(form: Any, server: OpenAIServer) -> None:
    """It sends the body that the program sends, whatever signs stand in it, with the key of the environment."""
    model = LanguageModel("openai/m", api_base=server.api_base, api_key_env="A_KEY")
    program = run_maybe_nested(program_of(model, form, extra={"top_k": 7}))
    run_maybe_nested(program(Tweet(text=ODD)))
    sent = server.last
    whole = run_maybe_nested(whole_request(program, Tweet(text=ODD)))
    command = curl_command(run_maybe_nested(whole.over_http()))
    assert KEY not in command and json.loads(shell(command))["choices"]
    assert (server.last.path, server.last.body) == (sent.path, sent.body)
    assert server.last.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("name", "form"), [("openai/m", "native"), ("openai/m", "completion"), ("azure/gpt-4o", "text")]
)
def test_the_script_over_the_openai_package(
    name: str, form: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends the same body to the same place, and prints what the program gets."""
    monkeypatch.setenv("AZURE_API_VERSION", "2024-10-21")
    model = LanguageModel(name, api_base=server.api_base, api_key_env="A_KEY")
    program = run_maybe_nested(program_of(model, form, extra={"top_k": 7}))
    run_maybe_nested(program(Tweet(text=ODD)))
    sent = server.last
    whole = run_maybe_nested(whole_request(program, Tweet(text=ODD)))
    script = openai_script(run_maybe_nested(whole.over_http()))
    assert KEY not in script
    environment = {"A_KEY": KEY, "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert (server.last.path, server.last.body) == (sent.path, sent.body)
    stored = model.ledger.get(whole.key)
    assert stored is not None and done.stdout.strip() == stored.text.strip()


def test_other_protocols_go_by_curl_alone(server: OpenAIServer) -> None:
    """Of a provider with a protocol of its own the request is what litellm sends; the openai package cannot send it."""
    model = LanguageModel("anthropic/claude-sonnet-4-5", api_base=server.address, api_key_env="A_KEY")
    program = run_maybe_nested(program_of(model, "text"))
    http = run_maybe_nested(run_maybe_nested(whole_request(program, Tweet(text="x"))).over_http())
    assert http.url == f"{server.address}/v1/messages" and "$A_KEY" in http.headers.values()
    assert server.asked == []
    with pytest.raises(UsageError, match="does not speak OpenAI's protocol: take --format curl"):
        openai_script(http)


def test_what_is_no_single_request(server: OpenAIServer) -> None:
    """Several samples, several steps and models inside paretune are refused with the form that has them."""
    model = LanguageModel("openai/m", api_base=server.api_base)
    voting = run_maybe_nested(program_of(model, "text", samples=3, temperature=0.7))
    with pytest.raises(UsageError, match=r"makes 3 calls .* --format program"):
        run_maybe_nested(whole_request(voting, Tweet(text="x")))
    local = run_maybe_nested(program_of(LanguageModel("local/smollm2-135m-instruct"), "text"))
    whole = run_maybe_nested(whole_request(local, Tweet(text="x")))
    with pytest.raises(UsageError, match=r"inside paretune alone.* --format program"):
        run_maybe_nested(whole.over_http())


@settings(max_examples=25, deadline=None)
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_no_text_leaves_its_quotes(text: str) -> None:
    """In a shell each text is one word, as it is, beside the key."""
    http = HTTPRequest(f"http://h/{text}?k=$A_KEY", {"X": f"Bearer $A_KEY {text}"}, {"prompt": text}, "A_KEY")
    words = shell(curl_command(http).replace("curl -sS", "printf '%s\\0'", 1)).split("\0")
    assert words[0] == f"http://h/{text}?k={KEY}"
    assert words[2] == f"X: Bearer {KEY} {text}"
    assert json.loads(words[4]) == {"prompt": text}


@given(text=st.text())
def test_a_prompt_stays_inside_its_fence(text: str) -> None:
    """A page shows each message as it is, whatever fences stand in it."""
    page = prompt_page(Request(messages=(("user", text),), structured_output="text"), "m")
    fence = page.split("## user\n\n")[1].split("\n")[0]
    assert set(fence) == {"`"} and fence not in text
    assert f"{fence}\n{text}\n{fence}\n" in page
