"""Local models: finding the file, and one real server with the built-in model."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from call_options import request_with

from paretune.errors import ConfigError, FatalError, RefusedInputError
from paretune.eventloop import map_ordered, run_maybe_nested
from paretune.lm.backends.local import LocalBackend
from paretune.lm.backends.local_engine import division
from paretune.lm.backends.local_memory import loaded_models
from paretune.lm.backends.local_models import find_gguf
from paretune.lm.language_model import LanguageModel
from paretune.lm.options import CallOptions
from paretune.lm.types import Answer, Request
from paretune.lm.usage import cached_tokens

BUILT_IN = "local/smollm2-135m-instruct"
LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")


def test_the_built_in_model_is_found() -> None:
    """The model that comes with the environment is found by its name."""
    path = find_gguf(BUILT_IN)
    assert path.is_file()
    assert path.suffix == ".gguf"


def test_an_unknown_name_lists_what_there_is() -> None:
    """Neither built in nor a file: the error says what can be written."""
    with pytest.raises(ConfigError, match=r"unknown local model 'local/smollm3'.*smollm2-135m-instruct"):
        find_gguf("local/smollm3")


def test_a_missing_file_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error shows where the file was looked for."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"no such file: '{tmp_path}/models/m.gguf'"):
        find_gguf("local/models/m.gguf")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """The name alone makes no model."""
    (tmp_path / "m.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(ConfigError, match="is no GGUF file"):
        LanguageModel(f"local/{tmp_path}/m.gguf")


def test_a_truncated_file_is_fatal_and_the_process_lives(tmp_path: Path) -> None:
    """Half a download is told in one line at the first call."""
    with open(find_gguf(BUILT_IN), "rb") as handle:
        (tmp_path / "m.gguf").write_bytes(handle.read(100_000))
    model = LanguageModel(f"local/{tmp_path}/m.gguf")
    with pytest.raises(FatalError, match="cannot load") as caught:
        run_maybe_nested(model.complete(Request((("user", "hi"),), structured_output="text")))
    assert "\n" not in str(caught.value)


def test_a_model_is_its_content(tmp_path: Path) -> None:
    """The same file under another name has the same replies in the ledger; another file has not."""
    built_in = find_gguf(BUILT_IN)
    (tmp_path / "link.gguf").symlink_to(built_in)
    (tmp_path / "other.gguf").write_bytes(b"GGUF, but another one")
    here = LanguageModel(BUILT_IN).identity
    assert LanguageModel(f"local/{tmp_path}/link.gguf").identity == here
    assert LanguageModel(f"local/{tmp_path}/other.gguf").identity != here


@pytest.fixture(scope="module")
def served() -> Iterator[LocalBackend]:
    """The built-in model, served for this page."""
    backend = LocalBackend(BUILT_IN, slots=5)
    run_maybe_nested(backend.prepare())
    yield backend
    backend.close()


@pytest.fixture
def model(served: LocalBackend) -> LanguageModel:
    return LanguageModel(BUILT_IN, backend=served, concurrency=2)


def ask(prompt: str, **options: Any) -> Request:
    return request_with((("user", prompt),), temperature=0.0, **options)


def test_a_grammar_of_tokens_gives_a_label(model: LanguageModel) -> None:
    """A completion under the token grammar is one of the labels, whole, and costs nothing."""
    grammar = "root ::= " + " | ".join(f'<" {label}">' for label in LABELS)
    tweets = ("i am so happy", "i feel terrible", "he hit me")
    requests = [
        ask(f"Tweet: {tweet}\nEmotion:", structured_output="completion", grammar=grammar, max_tokens=8)
        for tweet in tweets
    ]
    replies = run_maybe_nested(map_ordered(model.complete, requests))
    assert all(reply.text.strip() in LABELS for reply in replies)
    assert all(reply.prompt_tokens > 5 and reply.completion_tokens > 0 for reply in replies)
    assert {reply.cost_usd for reply in replies} == {0.0}


def test_native_json_follows_the_schema(model: LanguageModel) -> None:
    """A reply under a JSON schema is JSON of that schema."""
    properties = {"label": {"type": "string", "enum": list(LABELS)}, "sure": {"type": "boolean"}}
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    request = ask("i am so happy: which emotion?", schema=schema, max_tokens=60)
    reply = json.loads(run_maybe_nested(model.complete(request)).text)
    assert reply.keys() == properties.keys()
    assert reply["label"] in LABELS
    assert isinstance(reply["sure"], bool)


@pytest.mark.parametrize("mode", ["text", "completion"])
def test_a_prompt_that_is_too_long_is_refused(model: LanguageModel, mode: Any) -> None:
    """More than the context holds is an input that cannot be answered, told under the model's own name."""
    with pytest.raises(RefusedInputError, match=f"{BUILT_IN}: .*exceeds the available context size"):
        run_maybe_nested(model.complete(ask("long " * 3000, structured_output=mode)))


def test_a_grammar_that_is_none_is_fatal(model: LanguageModel) -> None:
    """A grammar that cannot be parsed can never work."""
    with pytest.raises(FatalError, match=BUILT_IN):
        run_maybe_nested(model.complete(ask("hi", structured_output="text", grammar="root ::= (")))


@pytest.mark.parametrize("form", ["completion", "text"])
def test_prompts_that_share_their_examples_have_them_computed_once(form: Any, served: LocalBackend) -> None:
    """Each call finds them computed, in whichever slot; the replies are those of calls one by one."""
    examples = "\n\n".join(f"Text: it is day {n} of the rain here\nEmotion: sadness" for n in range(30))
    requests = []
    for tweet in ("i am so happy", "i feel terrible", "he hit me", "who is there", "she left", "we won"):
        asked = f"Text: {tweet}\nEmotion:"
        messages = (("prompt", f"{form}.\n\n{examples}\n\n{asked}"),)
        if form == "text":
            messages = (("system", f"{form}.\n\n{examples}"), ("user", asked))
        options = CallOptions(temperature=0.0, max_tokens=3)
        requests.append(Request(messages, structured_output=form, options=options))

    async def all_at_once() -> list[Answer]:
        return await asyncio.gather(*map(served.send, requests))

    answers = run_maybe_nested(all_at_once())
    computed = [(answer.prompt_tokens or 0) - cached_tokens(answer.usage) for answer in answers]
    assert min(answer.prompt_tokens or 0 for answer in answers) > 400
    assert max(computed) < 40
    assert [answer.text for answer in answers] == [run_maybe_nested(served.send(each)).text for each in requests]


@pytest.mark.parametrize(("named", "waits"), [("PATH", "0"), ("OMP_WAIT_POLICY", None)])
def test_threads_wait_without_spinning(
    named: str, waits: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the environment says how they wait."""
    monkeypatch.setenv("GOMP_SPINCOUNT", "")  # what the server sets is taken back after the test
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv(named, os.environ.get(named, "active"))
    (tmp_path / "own.gguf").symlink_to(find_gguf(BUILT_IN))
    backend = LocalBackend(f"local/{tmp_path}/own.gguf", slots=1)
    run_maybe_nested(backend.prepare())
    backend.close()
    assert os.environ.get("GOMP_SPINCOUNT") == waits


def addresses_of(served: LocalBackend) -> list[tuple[str, int]]:
    """Where its engines listen."""

    async def addresses() -> list[str]:
        async with served._served() as server:
            return [engine.address for engine in server.engines]

    parts = [each.removeprefix("http://").partition(":") for each in run_maybe_nested(addresses())]
    return [(host, int(port)) for host, _, port in parts]


def test_only_this_machine_and_only_with_the_key(served: LocalBackend) -> None:
    """The server listens on loopback alone, and answers nobody without its key."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    paths = ("v1/chat/completions", "v1/completions", "completion", "tokenize")
    for (host, port), path in itertools.product(addresses_of(served), paths):
        assert host == "127.0.0.1"
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=1):
            """Another address of this machine: nobody listens there."""
        for headers in ({}, {"Authorization": "Bearer none"}):
            request = urllib.request.Request(f"http://{host}:{port}/{path}", b"{}", headers)
            with pytest.raises(urllib.error.HTTPError) as caught:
                opener.open(request, timeout=5)
            assert caught.value.code == 401
            caught.value.close()


def test_closing_leaves_other_users_of_the_file_alone(served: LocalBackend, model: LanguageModel) -> None:
    """Models of one file share a server; it ends when the last one closes it."""
    other = LocalBackend(BUILT_IN)
    run_maybe_nested(other.prepare())
    assert addresses_of(other) == addresses_of(served)
    other.close()
    other.close()
    request = ask("still there?", structured_output="completion", max_tokens=1)
    assert run_maybe_nested(model.complete(request)).completion_tokens == 1


def test_closing_frees_the_port_and_a_later_call_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After close() nobody listens; the next call starts another server. A proxy is none of its business."""
    (tmp_path / "own.gguf").symlink_to(find_gguf(BUILT_IN))
    backend = LocalBackend(f"local/{tmp_path}/own.gguf", slots=1)
    request = ask("hi", structured_output="completion", max_tokens=1, grammar='root ::= <" joy">')
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "example.org")

    async def call() -> None:
        await asyncio.gather(*(backend.prepare() for _ in range(4)))
        await backend.send(request)

    run_maybe_nested(call())
    before = addresses_of(backend)
    backend.close()
    for address in before:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=1)
    assert os.environ["no_proxy"] == "example.org,127.0.0.1"
    run_maybe_nested(call())
    assert not set(before) & set(addresses_of(backend))
    backend.close()


@pytest.mark.slow
def test_two_models_take_turns_in_the_memory_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one, the model that is asked stops the other one, and each starts again when it is asked again."""
    backends = []
    for name in ("a", "b"):
        (tmp_path / f"{name}.gguf").symlink_to(find_gguf(BUILT_IN))
        backends.append(LocalBackend(f"local/{tmp_path}/{name}.gguf", slots=1))
    loaded_models.unload_all()
    monkeypatch.setattr(loaded_models, "limit", 300_000_000)
    request = ask("hi", structured_output="completion", max_tokens=1)
    first, second = backends
    places = {}
    for backend in (first, second, first):
        answer = run_maybe_nested(backend.send(request))
        assert answer.completion_tokens == 1
        assert loaded_models.loaded() == [backend.path]
        (places[backend],) = addresses_of(backend)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(places[second], timeout=1)
    for backend in backends:
        backend.close()
    assert loaded_models.loaded() == []


def test_a_model_that_is_too_big_says_how_big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size counts the context of the calls in flight, and the weights of three engines; nothing is loaded."""
    cores(monkeypatch, 2)
    monkeypatch.setattr(loaded_models, "limit", 500_000_000)
    (tmp_path / "own.gguf").symlink_to(find_gguf(BUILT_IN))
    model = LanguageModel(f"local/{tmp_path}/own.gguf", concurrency=16)
    with pytest.raises(FatalError, match=r"takes about 1\.6 GB .* may take 0\.5 GB.*memory_gb"):
        run_maybe_nested(model.complete(ask("hi", max_tokens=1)))


def cores(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A machine with so many."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)), raising=False)


@pytest.mark.parametrize(
    ("number", "slots", "size", "expected"),
    [
        (1, 4, 1, [(4, 1, 1)]),
        (2, 4, 1, [(2, 1, 1), (2, 1, 1), (2, 1, 2)]),
        (2, 1, 1, [(1, 1, 2)]),
        (3, 7, 1, [(3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 1, 3)]),
        (16, 4, 1, [*[(1, 1, 3)] * 4, (1, 1, 16)]),
        (1, 4, 2**30, [(4, 1, 1)]),
        (2, 4, 2**30, [(4, 2, 2)]),
        (16, 4, 2**30, [(4, 15, 15)]),
    ],
)
def test_a_small_model_has_an_engine_a_core(
    number: int,
    slots: int,
    size: int,
    expected: list[tuple[int, int, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At most as many as there are calls at once, and one for what prompts share; a big model has one engine."""
    cores(monkeypatch, number)
    with open(tmp_path / "m.gguf", "wb") as handle:
        handle.truncate(size)
    assert division(tmp_path / "m.gguf", slots) == expected


KILLED = """
import os, signal, sys
from paretune import run_maybe_nested
from paretune.lm.backends.local import LocalBackend

backend = LocalBackend("local/smollm2-135m-instruct", slots=1)

async def address():
    async with backend._served() as server:
        return server.engines[0].address

print(run_maybe_nested(address()), flush=True)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("end", "code"), [("exit", 0), ("kill", -9)])
def test_nothing_listens_when_the_process_is_gone(end: str, code: int) -> None:
    """The server lives in the process: it ends with it, also when that is killed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(name for name in sys.path if name)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, end], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (code, "")
    host, _, port = done.stdout.strip().removeprefix("http://").partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)


def test_the_process_ends_where_a_call_was_given_up(tmp_path: Path) -> None:
    """The server works on the call still: the end waits for it, where it would else never come."""
    script = f"""
import asyncio
from paretune import LanguageModel, run_maybe_nested
from paretune.lm.options import CallOptions
from paretune.lm.types import Request

async def main():
    model = LanguageModel({BUILT_IN!r})
    request = Request(messages=(("user", "Tell a long story."),), options=CallOptions(max_tokens=200))
    call = asyncio.create_task(model.complete(request))
    await asyncio.sleep(1.0)
    call.cancel()
    await asyncio.wait([call])

run_maybe_nested(main())
"""
    environment = {**os.environ, "PARETUNE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environment, timeout=60, check=True)
