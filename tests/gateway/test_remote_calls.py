"""Language models that are called through a gateway: as if they were called here, with one home for accounts."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_numbers import fit_arguments, make_builder, mostly_right, numbers, rows
from openai_server import chat, failure, openai_server
from remote_gateway import remote_gateway

from paretune import Budget, LanguageModel, Ledger, ScriptedLanguageModel
from paretune import errors as all_errors
from paretune.errors import BudgetError, ConfigError, FatalError, ParetuneError, RefusedInputError, TransientError
from paretune.lm.backends.gateway import KEY
from paretune.lm.ledger.attribution import attributed_to
from paretune.lm.ledger.queries import CallFilter, opened, totals
from paretune.lm.options import CallOptions
from paretune.lm.transport import error_of, error_values, request_of, request_values
from paretune.lm.types import Price, Reply, Request
from paretune.tuners import Objective, RandomSearch

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
REQUESTS = st.builds(
    Request,
    messages=st.lists(st.tuples(st.sampled_from(["system", "user"]), TEXTS), min_size=1, max_size=3).map(tuple),
    structured_output=st.sampled_from(["native", "tool", "prompt", "text", "completion"]),
    schema=st.none() | st.dictionaries(TEXTS, st.integers() | TEXTS, max_size=2),
    grammar=st.none() | TEXTS,
    options=st.builds(
        CallOptions,
        temperature=st.none() | st.floats(0, 2),
        stop=st.lists(TEXTS.filter(bool), max_size=2),
        seed=st.none() | st.integers(0, 2**31 - 1),
        extra=st.dictionaries(st.sampled_from(["top_k", "min_p"]), st.integers(0, 9), max_size=2),
    ),
    replicate=st.integers(0, 3),
    epoch=st.integers(0, 3),
    draw=st.integers(0, 3),
    body=st.none() | st.dictionaries(TEXTS, TEXTS, max_size=2),
    record=st.none() | st.dictionaries(TEXTS, st.integers(), max_size=2),
)


@given(REQUESTS)
def test_a_request_arrives_as_it_was_sent(request_: Request) -> None:
    """By way of JSON a request stays what it is, and so does what it is keyed by."""
    arrived = request_of(json.loads(json.dumps(request_values(request_))))
    assert arrived == request_ and arrived.record == request_.record
    assert arrived.stated() == request_.stated()


@pytest.mark.parametrize("kind", list(all_errors.__all__))
def test_an_error_arrives_as_its_kind(kind: str) -> None:
    """Every kind of error comes back as itself, with its message and what it says beside that."""
    error: ParetuneError = getattr(all_errors, kind)("why")
    for name in ("retry_after", "rate_limited", "filtered"):
        if hasattr(error, name):
            setattr(error, name, 2.5 if name == "retry_after" else True)
    back = error_of(json.loads(json.dumps(error_values(error))))
    assert (type(back), str(back), vars(back)) == (type(error), "why", vars(error))


def ask(model: LanguageModel, text: str, **more: Any) -> Reply:
    return asyncio.run(model.complete(Request((("user", text),), **more)))


def test_a_run_moves_between_a_gateway_and_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked by way of a gateway is in its ledger under the keys of a local run, with tokens, cost and who
    asked, and the client's copy serves it without the gateway; the other way round nothing is asked either."""
    with openai_server() as server:
        server.answer = lambda asked: chat(f"echo {asked.body['messages'][0]['content']}")
        options: dict[str, Any] = {"api_base": server.api_base, "price": {"prompt": 1.0, "completion": 2.0}}
        local = LanguageModel("openai/m", ledger=Ledger(tmp_path / "head.sqlite"), **options)
        before = ask(local, "before")
        with remote_gateway(monkeypatch, local, ledger=local.ledger) as address:
            remote = LanguageModel("openai/m", gateway=address, price={"prompt": 9, "completion": 9})
            assert remote.identity == local.identity and remote.pricing == local.pricing
            assert remote.capabilities == local.capabilities
            assert dataclasses.replace(ask(remote, "before"), served=False) == before
            with attributed_to(search="s", trial="0001", example="val/2"):
                first = ask(remote, "é", replicate=1)
                remote.ledger.note(first, "judge", valid=False, replicate=1)
            remote.ledger.flush()
            assert not first.served and first.cost_usd == (7 * 1.0 + 3 * 2.0) / 1e6
        session = remote.ledger.session
        assert (session.paid, session.served, session.spent_usd) == (1, 1, first.cost_usd)
        again = LanguageModel("openai/m", ledger=local.ledger, **options)
        assert ask(again, "é", replicate=1) == dataclasses.replace(first, served=True)
        assert ask(remote, "é", replicate=1) == dataclasses.replace(first, served=True)  # the gateway has ended
        assert len(server.asked) == 2
    with opened(local.ledger.path) as connection:
        columns = "search, trial, example, module, replicate, valid, paid"
        noted = connection.execute(f"SELECT {columns} FROM asked").fetchall()
        assert [tuple(row) for row in noted] == [("s", "0001", "val/2", "judge", 1, 0, 1)]
        assert totals(connection, CallFilter())[0].calls == 2


def test_errors_of_the_gateway_are_the_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused input, a server that is down after all attempts, and a spent budget are the errors of a local call; the
    cap is the gateway's, for all of its clients."""
    with openai_server() as server:
        local = LanguageModel("openai/m", api_base=server.api_base, max_attempts=1, ledger=Ledger(tmp_path / "l"))
        budget = Budget(calls=3, ledger=local.ledger)
        with remote_gateway(monkeypatch, local, ledger=local.ledger, budget=budget) as address:
            one, other = (LanguageModel("openai/m", gateway=address, ledger=Ledger(tmp_path / n)) for n in "ab")
            server.answer = failure(400, "content filter", code="content_filter")
            with pytest.raises(RefusedInputError) as refused:
                ask(one, "a")
            assert refused.value.filtered
            server.answer = failure(503, "down")
            with pytest.raises(TransientError, match="down"):
                ask(one, "b")
            server.answer = chat("fine")
            assert ask(other, "c").text == "fine"
            for model in (one, other):
                with pytest.raises(BudgetError, match=r"budget\.calls=3"):
                    ask(model, "d")
            assert ask(one, "c").served


def test_who_may_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, with another one, and where no gateway is, one line says what to do."""
    model = ScriptedLanguageModel(lambda _: "yes", ledger=Ledger(tmp_path / "l"))
    with remote_gateway(monkeypatch, model, ledger=model.ledger) as address:
        assert ask(LanguageModel(model.model, gateway=address), "x").text == "yes"
        monkeypatch.setenv(KEY, "sk-other")
        with pytest.raises(ConfigError, match="is not that of the gateway"):
            ask(LanguageModel(model.model, gateway=address), "y")
        monkeypatch.delenv(KEY)
        with pytest.raises(ConfigError, match="PARETUNE_GATEWAY_KEY is not set"):
            ask(LanguageModel(model.model, gateway=address), "y")
    monkeypatch.setenv(KEY, "sk-other")
    monkeypatch.setattr("paretune.lm.backends.gateway._AWAY_S", 0.2)
    with pytest.raises(FatalError, match="none answers at"):
        ask(LanguageModel(model.model, gateway=address), "y")


def test_a_search_by_way_of_a_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search whose model is behind a gateway has the trials, the name and the accounts of a local one; the gateway's
    ledger has who asked, and each reply is paid for once over both."""

    def searched(model: LanguageModel, folder: Path) -> RandomSearch:
        tuner = RandomSearch(
            make_builder(model), objective=Objective("val_reward", "max"), max_trials=3, directory=folder, verbose=False
        )
        tuner.search(**fit_arguments(validation_data=numbers(8, start=100)))
        return tuner

    local = ScriptedLanguageModel(mostly_right, price=Price(1, 1), ledger=Ledger(tmp_path / "head.sqlite"))
    with remote_gateway(monkeypatch, local, ledger=local.ledger) as address:
        there = searched(LanguageModel(local.model, gateway=address), tmp_path / "there")
    assert there.session.paid == local.ledger.session.paid > 0
    here = searched(local, tmp_path / "here")
    assert rows(there) == rows(here) and here.session.paid == 0
    assert there.search_name == here.search_name
    with opened(local.ledger.path) as connection:
        asked = connection.execute("SELECT COUNT(DISTINCT example) FROM asked WHERE trial = '0001'").fetchone()[0]
    assert asked == 6 + 8


def test_a_gateway_that_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client waits for a gateway that is away for a moment."""
    model = ScriptedLanguageModel(lambda _: "yes", ledger=Ledger(tmp_path / "l"))
    with remote_gateway(monkeypatch, model, ledger=model.ledger) as address:
        client = LanguageModel(model.model, gateway=address)
        ask(client, "x")
    port = int(address.rsplit(":", 1)[1].partition("/")[0])

    async def asked_meanwhile() -> Reply:
        task = asyncio.create_task(client.complete(Request((("user", "y"),))))
        await asyncio.sleep(0.3)
        assert not task.done()
        with remote_gateway(monkeypatch, model, ledger=model.ledger, port=port):
            return await task

    assert asyncio.run(asked_meanwhile()).text == "yes"
    with closing(model.ledger):
        assert model.ledger.session.paid == 2
