"""The gateway: OpenAI's protocol over the ledger, for clients that know nothing of paretune."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_client import CHAT, client_of, question
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai_server import USAGE, Answer, Asked, OpenAIServer, chat, failure, openai_server, text

from paretune import Budget, LanguageModel, Ledger, ScriptedLanguageModel
from paretune.errors import RefusedInputError, TransientError
from paretune.files import canonical_json
from paretune.gateway.keys import Run
from paretune.gateway.protocol import events
from paretune.lm.ledger.attribution import attributed_to
from paretune.lm.ledger.queries import opened
from paretune.lm.passing import links_media, passed
from paretune.lm.types import Price, Request
from paretune.prompting.trace import Sample, tracing

KEY = "sk-of-the-provider-1234567890"


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """The server of a provider, whose key the gateway has."""
    monkeypatch.setenv("UPSTREAM_API_KEY", KEY)
    with openai_server() as server:
        yield server


def model_at(server: OpenAIServer, **options: Any) -> LanguageModel:
    settings: dict[str, Any] = {"max_attempts": 1, "price": Price(1.0, 1.0), **options}
    return LanguageModel("openai/m", api_base=server.api_base, api_key_env="UPSTREAM_API_KEY", **settings)


def test_what_is_not_understood_is_passed_on_and_kept_whole(upstream: OpenAIServer) -> None:
    """Unknown fields reach the server as they were sent, its reply comes back byte for byte, also from the ledger, and
    another value of an unknown field is another question."""
    reply = b'{"choices" : [{"index":0,"message":{"role":"assistant","content":"\\u00e9","x":1.50}}],"own":{"a":[1e3]}}'
    upstream.answer = Answer(reply)
    body = question("hello", odd={"deep": [1, {"é": None}], "big": 2**70}, temperature=0)

    async def main() -> None:
        async with client_of(model_at(upstream)) as client:
            for _ in range(2):
                response = await client.ask(body={**body, "model": "m"})
                assert (response.status, response.text) == (200, reply.decode())
            assert response.headers["x-paretune-served"] == "true"
            assert [asked.body for asked in upstream.asked] == [{**body, "model": "m"}]
            await client.ask(body={**body, "odd": {}})
            assert len(upstream.asked) == 2

    asyncio.run(main())


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(TEXTS | st.sampled_from(["messages", "n", "max_tokens", "prompt", "service_tier"]), VALUES)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, other=BODIES)
def test_a_key_stands_for_the_whole_body(body: dict[str, Any], other: dict[str, Any]) -> None:
    """Bodies have the same key when they say the same, whatever the order of their fields, and else never; which model
    and whether to stream is no part of them. No body of any shape breaks what is read in it."""
    model = ScriptedLanguageModel(lambda request: "hi")

    def key(fields: dict[str, Any]) -> str:
        return model.as_sent(passed(CHAT, fields))[1]

    again = dict(reversed(json.loads(json.dumps(body)).items()))
    assert key(body) == key({**again, "stream": True, "model": "m", "stream_options": {}})
    assert (key(body) == key(other)) == (canonical_json(body) == canonical_json(other))
    assert passed(CHAT, body).choices >= 1
    assert links_media(passed(CHAT, body)) in (True, False)


def test_keys_stay_on_their_sides(upstream: OpenAIServer) -> None:
    """The provider gets its own key and not the client's; a client never sees it, not even where the server echoes it;
    an unknown key gets nothing, nor does one that no run belongs to."""
    upstream.answer = lambda asked: chat(f"you sent {asked.headers['authorization']}")

    async def main() -> None:
        async with client_of(model_at(upstream)) as client:
            response = await client.ask(body=question("hello"))
            assert response.content == "you sent Bearer ***"
            assert upstream.last.headers["authorization"] == f"Bearer {KEY}"
            for header in ("Bearer sk-other", f"Basic {client.key.text}", ""):
                response = await client.ask(body=question("hello"), Authorization=header)
                assert (response.status, response.json["error"]["code"]) == (401, "invalid_api_key")
            client.key.run = None
            assert (await client.ask(body=question("hello"))).status == 401
            client.gateway.keys.revoke(client.key)
            assert (await client.ask(body=question("hello"))).status == 401

    asyncio.run(main())
    assert len(upstream.asked) == 1


def test_tools_embeddings_and_texts_pass_through(upstream: OpenAIServer) -> None:
    """Each kind of request goes to its path, and its reply comes back."""
    calls = [{"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]
    vectors = {"object": "list", "data": [{"index": 0, "embedding": [0.5, -1.0]}], "usage": {"prompt_tokens": 2}}
    answers = {"/v1/chat/completions": chat(None, tool_calls=calls), "/v1/completions": text(" a time")}
    answers["/v1/embeddings"] = Answer(vectors)
    upstream.answer = lambda asked: answers[asked.path]
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]

    async def main() -> None:
        async with client_of(model_at(upstream)) as client:
            response = await client.ask(body=question("1?", tools=tools, response_format={"type": "text"}))
            assert response.json["choices"][0]["message"]["tool_calls"] == calls
            assert upstream.last.body["tools"] == tools
            response = await client.ask("/completions", {"prompt": "Once upon"})
            assert response.json["choices"][0]["text"] == " a time"
            for _ in range(2):
                response = await client.ask("/embeddings", {"input": ["a"], "dimensions": 2})
                assert response.json == vectors
            assert [asked.path for asked in upstream.asked] == list(answers)

    asyncio.run(main())


def test_litellm_passes_on_what_it_does_not_know(upstream: OpenAIServer) -> None:
    """A model that litellm lists goes by way of it: chats with tools and fields that nobody knows, and embeddings;
    names of litellm's own settings are fields like others, and steer nothing."""
    calls = [{"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]
    vectors = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "x"}
    answers = {
        "/v1/chat/completions": chat(None, tool_calls=calls),
        "/v1/embeddings": Answer({**vectors, "usage": USAGE}),
    }
    upstream.answer = lambda asked: answers[asked.path]
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    names = ("openai/gpt-4o-mini", "openai/text-embedding-3-small")
    models = [LanguageModel(name, api_base=upstream.api_base, api_key_env="UPSTREAM_API_KEY") for name in names]
    odd = {"odd": {"a": 1}, "mock_response": "no", "num_retries": 3}

    async def main() -> None:
        async with client_of(*models) as client:
            response = await client.ask(body=question("1?", model="gpt-4o-mini", tools=tools, temperature=0.5, **odd))
            assert response.json["choices"][0]["message"]["tool_calls"] == calls
            assert upstream.last.body == question("1?", model="gpt-4o-mini", tools=tools, temperature=0.5, **odd)
            response = await client.ask("/embeddings", {"model": "text-embedding-3-small", "input": ["a"]})
            assert response.json["data"][0]["embedding"] == [0.5]
            assert {name: upstream.last.body[name] for name in ("model", "input")} == {
                "model": "text-embedding-3-small",
                "input": ["a"],
            }

    asyncio.run(main())


def test_openais_own_client_streams(upstream: OpenAIServer) -> None:
    """The openai package puts the events of a reply together again, calls of tools and usage too, from the ledger as
    well; the usage comes only where it is wanted."""
    import openai

    calls = [{"id": str(n), "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in range(2)]
    upstream.answer = chat("two calls", tool_calls=calls)

    async def main() -> None:
        async with client_of(model_at(upstream)) as client:
            one = openai.AsyncOpenAI(base_url=client.gateway.address, api_key=client.key.text, max_retries=0)
            asked: Any = {"model": "openai/m", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
            for _ in range(2):
                async with one.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
                    whole = await stream.get_final_completion()
                message = whole.choices[0].message
                assert (message.content, whole.choices[0].finish_reason) == ("two calls", "stop")
                assert [call.id for call in message.tool_calls or ()] == ["0", "1"]
                assert whole.usage is not None and whole.usage.total_tokens == 10
            chunks = [chunk async for chunk in await one.chat.completions.create(**asked, stream=True)]
            assert [chunk.usage for chunk in chunks] == [None, None]
            texts = await one.completions.create(model="m", prompt="hello", stream=True, extra_body={"temperature": 0})
            assert [chunk.choices[0].text async for chunk in texts] == [" there"]
            assert [each.id async for each in one.models.list()] == ["openai/m"]
            with pytest.raises(openai.AuthenticationError, match="not known here"):
                await one.with_options(api_key="x").models.list()
            await one.close()

    answers = {"/v1/chat/completions": upstream.answer, "/v1/completions": text(" there")}
    upstream.answer = lambda asked: answers[asked.path]
    asyncio.run(main())
    assert len(upstream.asked) == 2


@settings(deadline=None)
@given(
    message=st.dictionaries(st.sampled_from(["refusal", "annotations", "audio", "x"]), st.text() | st.none()),
    content=st.text() | st.none(),
    choices=st.integers(1, 3),
    usage=st.none() | st.dictionaries(st.text(), st.integers()),
)
def test_events_hold_the_whole_reply(
    message: dict[str, Any], content: str | None, choices: int, usage: dict[str, int] | None
) -> None:
    """What the chunks of any reply say, put together, is the reply."""
    whole = {"role": "assistant", **message, "content": content}
    reply = {"id": "1", "own": [1], "usage": usage}
    reply["choices"] = [{"index": n, "message": whole, "finish_reason": "stop"} for n in range(choices)]
    *chunks, done = events(CHAT, json.dumps(reply), {"stream_options": {"include_usage": True}})
    assert done == b"data: [DONE]\n\n"
    read = [json.loads(chunk.decode().removeprefix("data: ")) for chunk in chunks]
    assert read[-1]["choices"] == [] and read[-1]["usage"] == usage
    assert all(chunk["own"] == [1] for chunk in read)
    for number in range(choices):
        parts = [part for chunk in read for part in chunk["choices"] if part["index"] == number]
        together = {name: value for part in parts for name, value in part["delta"].items()}
        assert together == {name: value for name, value in whole.items() if value is not None}
        assert [part["finish_reason"] for part in parts] == [None, "stop"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RefusedInputError("no", filtered=True), 400, "content_filter"),
        (RefusedInputError("too long"), 400, None),
        (TransientError("down"), 503, "upstream_unavailable"),
        (TransientError("too many", rate_limited=True), 429, "rate_limit_exceeded"),
    ],
)
def test_errors_in_openais_form(error: Exception, status: int, code: str | None) -> None:
    """A status by the kind of the error, its message, and the word that the client need not try again."""

    def script(request: Request) -> str:
        raise error

    async def main() -> None:
        async with client_of(ScriptedLanguageModel(script, max_attempts=1)) as client:
            response = await client.ask(body=question("hello"))
            assert (response.status, response.json["error"]["code"]) == (status, code)
            assert str(error) in response.json["error"]["message"]
            assert response.headers["x-should-retry"] == "false"

    asyncio.run(main())


def test_a_refused_key_of_the_provider_is_no_unknown_key(upstream: OpenAIServer) -> None:
    """The client's key was right: it gets a bad request that names what the provider says, without the key."""
    upstream.answer = failure(401, f"bad key {KEY}")

    async def main() -> None:
        async with client_of(model_at(upstream)) as client:
            response = await client.ask(body=question("hello"))
            assert response.status == 400
            assert "bad key ***" in response.json["error"]["message"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        (CHAT, b"{", 400, "no JSON"),
        (CHAT, b"[]", 400, "JSON object"),
        (CHAT, b'{"messages": NaN}', 400, "NaN"),
        (CHAT, b'{"messages": "hello"}', 400, "must have messages"),
        (CHAT, {"model": 3, "messages": [{}]}, 400, "model must be a text"),
        (CHAT, {"stream": "yes", "messages": [{}]}, 400, "stream"),
        ("/embeddings", {}, 400, "must have input"),
        (CHAT, question("hello", model="nonsense"), 404, "there are: scripted/scripted"),
        ("/responses", {}, 404, "Not Found"),
    ],
)
def test_what_cannot_be_asked(path: str, body: Any, status: int, expected: str) -> None:
    """A wrong body, a model or a path that there is not: told in OpenAI's form, and nobody is called."""
    model = ScriptedLanguageModel(lambda request: "no")

    async def main() -> None:
        async with client_of(model) as client:
            answer = await client.ask(path, body)
            assert (answer.status, expected in answer.json["error"]["message"]) == (status, True), answer

    asyncio.run(main())
    assert model.backend.calls == []  # type: ignore[attr-defined]


def test_equal_questions_of_a_run_are_samples(tmp_path: Path) -> None:
    """The n-th equal question of a run draws anew where the model draws, and the same run again pays nothing; not so at
    temperature 0, with a seed, and for a client's own retry. Replicates and epochs draw anew."""
    model = ScriptedLanguageModel(lambda request: "hi", ledger=Ledger(tmp_path / "ledger.sqlite"))
    sent = model.backend.calls  # type: ignore[attr-defined]

    async def main() -> None:
        async with client_of(model) as client:
            for paid in (3, 3):
                client.begin()
                await asyncio.gather(*(client.ask(body=question("vote")) for _ in range(3)))
                assert len(sent) == paid
            assert sorted(request.draw for request in sent) == [0, 1, 2]
            for body in (question("vote", temperature=0), question("vote", temperature=0.0), question("vote", seed=1)):
                await client.ask(body=body)
                await client.ask(body=body)
            assert len(sent) == 6  # 0 and 0.0 are two spellings
            client.begin()
            await client.ask(body=question("vote"))
            response = await client.ask(body=question("vote"), **{"x-stainless-retry-count": "1"})
            assert response.headers["x-paretune-served"] == "true"
            with tracing(Sample(replicate=1, epoch=2)):
                client.begin()
            await client.ask(body=question("vote"))
            assert (len(sent), sent[-1].replicate, sent[-1].epoch) == (7, 1, 2)

    asyncio.run(main())


def test_a_long_lived_client_is_not_told_from_its_next_start() -> None:
    """Without draws equal questions get equal replies, however often, and nothing of them is kept in memory."""
    model = ScriptedLanguageModel(lambda request: "hi")

    async def main() -> None:
        async with client_of(model) as client:
            run = client.begin(Run(draws=False))
            assert {(await client.ask(body=question("vote"))).content for _ in range(3)} == {"hi"}
            assert run.replies == []

    asyncio.run(main())
    assert len(model.backend.calls) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_outlives_its_client(tmp_path: Path, caplog: pytest.LogCaptureFixture, stream: bool) -> None:
    """A client that goes away in the middle loses nothing: the reply is stored, with who asked, and served again. That
    it has gone is nobody's error."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    model = ScriptedLanguageModel(lambda request: "late", ledger=ledger, latency_s=0.1, price=Price(1.0, 1.0))

    async def main() -> None:
        async with client_of(model) as client:
            with attributed_to(search="s", trial="0001", example="val/3"):
                client.begin()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.ask(body=question("hello", stream=stream)), 0.03)
            await asyncio.sleep(0.15)
        assert not caplog.records
        assert ledger.session.paid == 1
        async with client_of(model) as client:
            assert (await client.ask(body=question("hello"))).headers["x-paretune-served"] == "true"

    asyncio.run(main())
    ledger.flush()
    with opened(ledger.path) as connection:
        who = connection.execute("SELECT search, trial, example, paid FROM asked WHERE search = 's'").fetchall()
    assert [tuple(row) for row in who] == [("s", "0001", "val/3", 1)]


def test_other_processes_tell_their_runs_apart(tmp_path: Path) -> None:
    """With the key of a client, keys of runs are issued: calls made with them are those of a trial and an example, of a
    replicate, under the client's budget; equal ones are samples. Such a key issues no others, and ends with its run."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    model = ScriptedLanguageModel(lambda request: "hi", ledger=ledger)
    who = {"trial": "0002", "example": "val/1", "replicate": 1}

    async def main() -> None:
        async with client_of(model) as client:
            with Budget(calls=2, ledger=ledger).charging(), attributed_to(search="s"):
                client.begin(Run(draws=False))
            issued = []
            for _ in range(2):
                response = await client.ask("/../paretune/keys", who)
                issued.append(response.json["key"])
                mine = {"Authorization": f"Bearer {issued[-1]}"}
                replies = [await client.ask(body=question("vote"), **mine) for _ in range(2)]
                assert [reply.status for reply in replies] == [200, 200]
            assert len(model.backend.calls) == 2  # type: ignore[attr-defined]
            assert (await client.ask(body=question("other"), **mine)).status == 429
            assert (await client.ask("/../paretune/keys", who, **mine)).status == 403
            for wrong in ([], {"who": 1}, {"replicate": -1}, {"epoch": True}):
                assert (await client.ask("/../paretune/keys", wrong)).status == 400
            async with client.session.delete(client.gateway.address + "/../paretune/keys", headers=mine) as ended:
                assert ended.status == 200
            assert (await client.ask(body=question("vote"), **mine)).status == 401

    asyncio.run(main())
    ledger.flush()
    with opened(ledger.path) as connection:
        asked = connection.execute("SELECT search, trial, example, replicate FROM asked").fetchall()
    assert [tuple(row) for row in asked] == [("s", "0002", "val/1", 1)] * 2


def test_the_cap_holds_with_many_clients(tmp_path: Path) -> None:
    """Of 40 different questions at once exactly as many are sent as the cap allows; the others hear of the budget."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    model = ScriptedLanguageModel(lambda request: "hi", ledger=ledger, latency_s=0.005)

    async def main() -> list[int]:
        async with client_of(model) as client:
            with Budget(calls=7, ledger=ledger).charging():
                client.begin()
            responses = await asyncio.gather(*(client.ask(body=question(f"{n}")) for n in range(40)))
            refused = [each for each in responses if each.status != 200]
            assert {each.json["error"]["code"] for each in refused} == {"budget_exceeded"}
            return [each.status for each in responses]

    statuses = asyncio.run(main())
    assert (statuses.count(200), statuses.count(429), len(model.backend.calls)) == (7, 33, 7)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        (question("x" * 100, max_tokens=10), 1),
        (question("x" * 100, max_completion_tokens=10, n=3), 1),
        (question("x" * 100), 0),
        ({"messages": [{"role": "user", "content": [{"image_url": {"url": "https://a/b.png"}}]}], "max_tokens": 1}, 0),
    ],
)
def test_the_most_that_a_call_can_take(tmp_path: Path, body: dict[str, Any], calls: int) -> None:
    """Under a cap in tokens a request of unknown size is not sent; all its choices are counted."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    model = ScriptedLanguageModel(lambda request: "hi", ledger=ledger)

    async def main() -> int:
        async with client_of(model) as client:
            with Budget(tokens=1000, ledger=ledger).charging():
                client.begin()
            return (await client.ask(body=body)).status

    assert (asyncio.run(main()), len(model.backend.calls)) == (200 if calls else 400, calls)  # type: ignore[attr-defined]


def test_choices_are_counted() -> None:
    """A request may bring several completions: of n, of best_of, of several prompts."""
    assert passed("/completions", {"prompt": ["a", "b"], "n": 3, "best_of": 4}).choices == 8
    assert passed("/completions", {"prompt": [1, 2, 3]}).choices == 1
    assert passed(CHAT, question("a")).choices == 1


def test_models_are_named_as_clients_name_them(upstream: OpenAIServer) -> None:
    """With the provider or without it, and none at all means the first."""
    other = ScriptedLanguageModel(lambda request: "other", name="other")

    async def main() -> None:
        async with client_of(model_at(upstream), other) as client:
            for name in ("openai/m", "m", ""):
                assert (await client.ask(body=question("hello", model=name))).content == "hello"
            assert (await client.ask(body=question("hello", model="scripted/other"))).content == "other"

    def answer(asked: Asked) -> Answer:
        assert asked.body["model"] == "m"
        return chat("hello")

    upstream.answer = answer
    asyncio.run(main())
