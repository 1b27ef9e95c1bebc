"""A ledger that several machines share in PostgreSQL. Here each machine is a state folder of its own."""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import openai_server
from postgres_server import PASSWORD, PostgresServer, programs
from slow_link import slow_link
from team_calls import LEASE_S, Team, echo

from paretune import ScriptedLanguageModel, run_maybe_nested
from paretune.errors import BudgetError, ConfigError, TransientError
from paretune.lm.ledger.budget import Budget
from paretune.lm.ledger.default import default_ledger
from paretune.lm.ledger.shared import SharedLedger
from paretune.lm.types import Reply, Request

pytestmark = pytest.mark.skipif(programs() is None, reason="there is no PostgreSQL on this machine")

TEXTS = st.text(max_size=20) | st.sampled_from(["", "\0", "a\0b", "'\"\\", "é\ud800", "😀"])
AMOUNTS = st.none() | st.integers(0, 2**70)
COSTS = st.none() | st.floats(0, 1e6)


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    """A server for the whole page."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def machine(database: PostgresServer, tmp_path: Path) -> Iterator[Callable[[str], SharedLedger]]:
    """The ledger as a machine has it; each test begins with an empty database."""
    found: dict[str, SharedLedger] = {}
    database.empty()

    def ledger(name: str) -> SharedLedger:
        return found.setdefault(name, SharedLedger(tmp_path / name / "ledger.sqlite", database.address))

    yield ledger
    for each in found.values():
        each.close()


def question(text: str) -> Request:
    return Request((("user", text),), structured_output="text")


def reply(text: str = "joy", cost: float | None = 0.5) -> Reply:
    return Reply(text, 3, 1, cost, 0.25, 1)


def test_one_machine_pays_for_all(machine: Callable[[str], SharedLedger]) -> None:
    """Two machines that ask the same at the same time: each question is sent once, and both have every reply, in a file
    of their own as well."""
    models = [
        ScriptedLanguageModel(lambda asked: asked.messages[-1][1], latency_s=0.02, ledger=machine(name))
        for name in ("one", "two")
    ]
    questions = [question(f"text {number}") for number in range(20)]

    async def all_of(model: ScriptedLanguageModel) -> list[Reply]:
        return await asyncio.gather(*map(model.complete, questions))

    async def both() -> list[list[Reply]]:
        return await asyncio.gather(*map(all_of, models))

    first, second = run_maybe_nested(both())
    assert [each.text for each in first] == [each.text for each in second] == [f"text {n}" for n in range(20)]
    assert sum(len(model.backend.calls) for model in models) == 20
    sessions = [machine(name).session for name in ("one", "two")]
    assert [session.paid + session.served for session in sessions] == [20, 20]
    assert sum(session.paid for session in sessions) == 20


def test_a_server_that_is_far_away(database: PostgresServer, tmp_path: Path) -> None:
    """Thirty calls under a budget, 50 ms away: they share their round trips, while the event loop goes on."""
    database.empty()
    with slow_link(database.port, 0.05) as port:
        ledger = SharedLedger(tmp_path / "far.sqlite", database.address.replace(str(database.port), str(port)))
        model = ScriptedLanguageModel(lambda _: "joy", ledger=ledger, concurrency=30)
        assert model.capabilities  # and the connection is there
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.005)
                turns += 1

        async def all_of() -> float:
            counting, started = asyncio.create_task(count()), time.monotonic()
            await asyncio.gather(*(model.complete(question(f"far {number}")) for number in range(30)))
            counting.cancel()
            return time.monotonic() - started

        with Budget(calls=30, ledger=ledger).charging():
            took = asyncio.run(all_of())
        assert took < 3  # one after the other, three round trips each, are 4.5 seconds
        assert turns >= 10
        assert Budget(ledger=ledger).spent().calls == 30
        ledger.close()
    assert database.run("SELECT count(*) FROM paretune_replies") == [(30,)]


def test_whoever_goes_away_leaves_nothing_behind(
    database: PostgresServer, machine: Callable[[str], SharedLedger], tmp_path: Path
) -> None:
    """Cancelled while the database is asked: a claim and a reservation are given up, and what was paid for is kept."""
    near = machine("near")
    near.fact("any")
    with slow_link(database.port, 0.1) as port:
        far = SharedLedger(tmp_path / "far.sqlite", database.address.replace(str(database.port), str(port)))
        far.fact("any")
        backend = ScriptedLanguageModel(lambda _: "x").backend

        async def is_cancelled(work: Coroutine[Any, Any, object], after_s: float) -> bool:
            task = asyncio.create_task(work)
            await asyncio.sleep(after_s)
            task.cancel()
            await asyncio.wait([task])
            return task.cancelled()  # else this machine was too busy to be in time

        async def all_of() -> None:
            for after_s in (0.0, 0.01, 0.06):  # before it is sent, before it has arrived, and after
                name = f"after {after_s}"
                if await is_cancelled(far.claim(name), after_s):
                    assert await asyncio.wait_for(near.claim(name), 5) is None
                budgets = [Budget(calls=1, account=name, ledger=ledger) for ledger in (far, near)]
                if await is_cancelled(budgets[0].reserve("m", backend, question("x")), after_s):
                    (await asyncio.wait_for(budgets[1].reserve("m", backend, question("x")), 5)).settle()
                await is_cancelled(far.store(name, "m", "{}", reply()), after_s)
                assert far.get(name) is not None

        asyncio.run(all_of())
        far.fact("any")
        for after_s in (0.0, 0.01, 0.06):
            assert run_maybe_nested(near.fetch(f"after {after_s}"))
        far.close()


def test_the_reply_of_a_fallback_is_everybodys(machine: Callable[[str], SharedLedger]) -> None:
    """Where a machine got one, as the model was down, another one that finds the model up goes on with it."""

    def down(_: Request) -> str:
        raise TransientError("down")

    found = []
    for name, script in (("one", down), ("two", lambda _: "own")):
        spare = ScriptedLanguageModel(lambda _: "spare", name="spare", ledger=machine(name))
        model = ScriptedLanguageModel(script, name="main", fallbacks=[spare], max_attempts=1, ledger=machine(name))
        found.append(run_maybe_nested(model.complete(question("x"))))
    assert [each.text for each in found] == ["spare", "spare"] and found[1].served


def test_the_end_of_a_process_takes_nothing_along(
    database: PostgresServer, machine: Callable[[str], SharedLedger], tmp_path: Path
) -> None:
    """What it noted and settled last is in the database, although nobody closed anything."""
    script = """
import paretune
from paretune.lm.ledger.attribution import attributed_to
from paretune.lm.types import Request

model = paretune.ScriptedLanguageModel(lambda _: "joy")
with paretune.Budget(calls=5).charging(), attributed_to(search="a search"):
    reply = paretune.run_maybe_nested(model.complete(Request((("user", "x"),))))
    model.ledger.note(reply, "guess", valid=True)
"""
    machine("any").fact("any")
    own = {"PARETUNE_HOME": str(tmp_path / "ends"), "PARETUNE_LEDGER": database.address}
    subprocess.run([sys.executable, "-c", script], env={**os.environ, **own}, check=True)
    assert database.run("SELECT search, module FROM paretune_notes") == [("a search", "guess")]
    assert database.run("SELECT calls, held_calls FROM paretune_accounts") == [(1, 0)]


@settings(max_examples=40, deadline=None)
@given(texts=st.tuples(TEXTS, TEXTS, st.none() | TEXTS), amounts=st.tuples(AMOUNTS, AMOUNTS), cost=COSTS, usage=TEXTS)
def test_any_reply_comes_back(
    shared: Callable[[], tuple[SharedLedger, SharedLedger]], texts: Any, amounts: Any, cost: Any, usage: Any
) -> None:
    """Another machine reads a reply as the one that stored it does."""
    one, two = shared()
    text, model, reasoning = texts
    came = Reply(text, *amounts, cost, 0.5, 1, "stop", usage={"note": usage}, reasoning=reasoning)
    stored = run_maybe_nested(one.store(key := f"{random.random()}", model, {"prompt": text}, came))
    found = run_maybe_nested(two.claim(key))
    assert found is not None
    assert (found.text, found.prompt_tokens, found.completion_tokens, found.cost_usd, found.usage, found.reasoning) == (
        stored.text, stored.prompt_tokens, stored.completion_tokens, stored.cost_usd, stored.usage, stored.reasoning,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shared(
    database: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], tuple[SharedLedger, SharedLedger]]:
    """Two machines for all examples of a property."""
    folder = tmp_path_factory.mktemp("shared")
    both = tuple(SharedLedger(folder / name / "ledger.sqlite", database.address) for name in ("one", "two"))
    return lambda: both  # type: ignore[return-value]


def test_who_waits_goes_on_where_the_first_one_has_died(
    machine: Callable[[str], SharedLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that nobody renews is another one's as soon as its lease has ended, and not before; one that is renewed
    stays for as long as its call takes."""
    for module in ("leases", "home"):
        monkeypatch.setattr(f"paretune.lm.ledger.{module}.LEASE_S", 0.6)
    monkeypatch.setattr("paretune.lm.ledger.leases._renewing", None)  # another thread would be in a pause of 5 s
    dead, alive, waiting = (machine(name) for name in ("dead", "alive", "waiting"))

    async def claims() -> tuple[float, bool]:
        assert await dead.home.claim("of the dead", "ticket") == (True, None)  # and nobody renews it
        await alive.claim("of the living")
        started = time.monotonic()
        assert await waiting.claim("of the dead") is None
        took = time.monotonic() - started
        await asyncio.sleep(0.8)
        long_call = asyncio.create_task(waiting.claim("of the living"))
        await asyncio.sleep(0.2)
        still_waits = not long_call.done()
        await alive.store("of the living", "m", "{}", reply())
        found = await long_call
        assert found is not None and found.text == "joy"
        return took, still_waits

    took, still_waits = run_maybe_nested(claims())
    assert took >= 0.5 and still_waits


def test_a_failed_call_leaves_its_claim(machine: Callable[[str], SharedLedger]) -> None:
    """Where a call has brought nothing the next machine tries at once."""

    async def both() -> None:
        one, two = machine("one"), machine("two")
        assert await one.claim("key") is None
        one.release("key")
        assert await asyncio.wait_for(two.claim("key"), 5) is None

    run_maybe_nested(both())


def test_facts_and_looks_are_those_of_all(machine: Callable[[str], SharedLedger]) -> None:
    """The first value of a fact stays; each configuration that anybody tested on a split counts once."""
    one, two = machine("one"), machine("two")
    assert one.remember("fact", {"native": True}) == two.remember("fact", {"native": False}) == {"native": True}
    assert two.remember("fact", 3, again=True) == 3 == one.fact("fact")
    assert one.look("split", ["a", "b"]) == 2
    assert two.look("split", ["b", "c"]) == 3
    assert two.look("other", ["a"]) == 1


def test_a_cap_holds_over_machines(machine: Callable[[str], SharedLedger]) -> None:
    """Eight threads on four machines, each at its own speed: as many calls as the cap allows, neither more nor less."""
    budgets = [Budget(calls=100, account="team", ledger=machine(f"machine {number % 4}")) for number in range(8)]
    backend, allowed = ScriptedLanguageModel(lambda _: "x").backend, [0] * 8

    def spend(number: int) -> None:
        async def reserve() -> None:
            while True:
                charge = await budgets[number].reserve("m", backend, question("x"))
                allowed[number] += 1
                await asyncio.sleep(random.random() / 500)
                charge.settle(10, 0.01)

        with pytest.raises(BudgetError, match=r"budget\.calls=100 does not allow another call: 100 are spent"):
            asyncio.run(reserve())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(spend, range(8)))
    assert sum(allowed) == 100
    calls, tokens, usd = budgets[0].spent()
    assert (calls, tokens, usd) == (100, 1000, pytest.approx(1.0))


def test_what_the_dead_had_in_flight_is_spent(
    machine: Callable[[str], SharedLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In full, once its lease has ended; what its owner then settles after all counts once."""
    monkeypatch.setattr("paretune.lm.ledger.home.LEASE_S", 0.3)
    monkeypatch.setattr("paretune.lm.ledger.home.keep_renewing", lambda holder: None)
    budget = Budget(calls=2, ledger=machine("dead"))
    charge = run_maybe_nested(budget.reserve("m", ScriptedLanguageModel(lambda _: "x").backend, question("x")))
    assert Budget(ledger=machine("other")).spent().calls == 0
    time.sleep(0.5)
    assert Budget(ledger=machine("other")).spent().calls == 1
    charge.settle()
    assert Budget(ledger=machine("other")).spent().calls == 1


@pytest.mark.slow
def test_the_server_goes_away_and_comes_back(
    database: PostgresServer, machine: Callable[[str], SharedLedger], tmp_path: Path
) -> None:
    """What arrives meanwhile is kept here and handed over, also by a later process; whoever wants to send a call waits;
    what is settled meanwhile is settled."""
    one, two = machine("one"), machine("two")
    budget = Budget(calls=3, ledger=one)
    model = ScriptedLanguageModel(lambda _: "late", ledger=two)
    charge = run_maybe_nested(budget.reserve("m", model.backend, question("x")))
    two.fact("any")
    database.kill()
    comes_back = threading.Timer(0.5, database.start)
    try:
        for key in ("paid", "paid too"):
            assert run_maybe_nested(one.store(key, "m", "{}", reply())).text == "joy"
        charge.settle(5, 0.1)
        assert not run_maybe_nested(two.fetch("paid")) and one.get("paid") is not None
        comes_back.start()
        assert run_maybe_nested(model.complete(question("waits"))).text == "late"
        comes_back.join()
    finally:
        comes_back.cancel()
        if not _answers(database):
            database.start()
    one.close()
    later = SharedLedger(tmp_path / "one" / "ledger.sqlite", database.address)
    later.fact("any")
    for key in ("paid", "paid too"):
        found = run_maybe_nested(two.claim(key))
        assert found is not None and found.served
    one.home.renew()
    assert budget.spent() == (1, 5, pytest.approx(0.1))
    later.close()


def _answers(database: PostgresServer) -> bool:
    try:
        return bool(database.run("SELECT 1"))
    except Exception:
        return False


@pytest.mark.slow
def test_a_team_that_is_killed(
    database: PostgresServer,
    machine: Callable[[str], SharedLedger],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four processes on one ledger, each of them and the server killed: what was stored is not paid for again, the cap
    holds, and in the end all have the same replies."""
    calls, cap = 60, 110
    with openai_server() as model:
        echo(model)
        team = Team(tmp_path, database, model, 4, calls, cap)
        try:
            team.start()
            for number in range(4):
                team.wait_for_calls(10 * (number + 1))
                team.kill(number)
                team.start()
            team.wait_for_calls(50)
            team.kill_database()
            results = team.results()
        finally:
            team.close()
        repeated = team.check_repeated()
        assert all(len(found) == calls for found in results)
        assert all(question == text for found in results for question, text in found.items())
        assert repeated <= 4 * 8 + 4 * 8  # the calls in flight of each process that was killed, and at the server's end
        monkeypatch.setattr("paretune.lm.ledger.home.LEASE_S", LEASE_S)
        time.sleep(LEASE_S)  # until then what the dead had in flight is held
        spent = Budget(calls=cap, ledger=machine("any")).spent().calls
        assert len(model.asked) <= spent <= cap


def fault(address: str, folder: Path) -> str:
    """What is said of a ledger at an address: in one line, without a part of the password."""
    ledger = SharedLedger(folder / f"{random.random()}.sqlite", address)
    with pytest.raises(ConfigError) as caught:
        run_maybe_nested(ledger.claim("key"))
    told = "".join(traceback.format_exception(caught.value)) + str(caught.value)
    assert PASSWORD not in told and "secret" not in told and "\n" not in str(caught.value)
    ledger.close()
    return str(caught.value)


def test_a_database_that_cannot_be_used(
    database: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the place and the cure."""
    monkeypatch.setattr("paretune.lm.ledger.away.AWAY_S", 0.1)
    place, right = f"127.0.0.1:{database.port}", database.address
    database.empty()
    for statement in (
        "DROP DATABASE IF EXISTS ascii",
        "CREATE DATABASE ascii WITH ENCODING 'SQL_ASCII' TEMPLATE template0",
        "DROP ROLE IF EXISTS guest",
        f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'",
    ):
        database.run(statement)
    guest = right.replace("team:", "guest:")
    wrong = {
        right.replace(PASSWORD, f"{PASSWORD}-2"): f"{place}/postgres cannot be used: .*password.*; correct",
        right.replace(f":{PASSWORD}", ""): "no password supplied; give the password in PGPASSWORD",
        right.rpartition("/")[0] + "/none": f"{place}/none cannot be used: .*does not exist; correct",
        right.rpartition("/")[0] + "/ascii": f"{place}/ascii has the encoding SQL_ASCII.*WITH ENCODING 'UTF8'",
        right.replace(str(database.port), "1"): "127.0.0.1:1/postgres does not answer .*start it",
        f"{right}?sslmode=require": "does not support SSL.*; the server has no TLS: leave sslmode out",
        f"{right}?sslmode=sometimes": "cannot be used: .*sslmode.*; correct sslmode",
        f"{right}?options=-cdefault_transaction_read_only%3Don": "read-only transaction; name a server that",
        guest: "permission denied for schema public; let the database's owner run: GRANT .* TO guest",
    }
    for address, match in wrong.items():
        assert re.search(match, found := fault(address, tmp_path)), found
    ledger = SharedLedger(tmp_path / "owner.sqlite", right)
    ledger.fact("any")  # makes the tables
    ledger.close()
    assert "let the tables' owner run: GRANT SELECT, INSERT, " in fault(guest, tmp_path)


@pytest.mark.parametrize(
    "login", ["team:se@cret", "team:se/cret", "team:1/secret", "team:s%ecret", "te@m:secret", "team:secret@["]
)
def test_a_password_that_is_cut_in_two_is_not_shown(login: str, tmp_path: Path) -> None:
    """Not a part of it either; what is to be written instead is."""
    with pytest.raises(ConfigError, match=r"no address of a PostgreSQL database: .* write @ as %40") as caught:
        SharedLedger(tmp_path / "ledger.sqlite", f"postgresql://{login}@db.example/ledger")
    assert "cret" not in str(caught.value)


def test_tables_of_a_newer_paretune(database: PostgresServer, machine: Callable[[str], SharedLedger]) -> None:
    """They are left as they are."""
    machine("one").fact("any")
    database.run("UPDATE paretune_format SET version = 99")
    with pytest.raises(ConfigError, match="has format 99, this paretune knows formats up to 1: update paretune"):
        machine("two").fact("any")


def test_the_environment_names_the_database(
    database: PostgresServer, machine: Callable[[str], SharedLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PARETUNE_LEDGER, for everything that the project does."""
    monkeypatch.setenv("PARETUNE_LEDGER", database.address)
    ledger = default_ledger()
    assert isinstance(ledger, SharedLedger) and default_ledger() is ledger
    model = ScriptedLanguageModel(lambda _: "joy")
    run_maybe_nested(model.complete(question("by the environment")))
    assert database.run("SELECT answer ->> 0 FROM paretune_replies") == [("joy",)]
    ledger.close()
    with monkeypatch.context() as wrong, pytest.raises(ConfigError, match="must be on, off or postgresql") as caught:
        wrong.setenv("PARETUNE_LEDGER", "me:secret@host/db")
        default_ledger()
    assert "secret" not in str(caught.value)
