"""The commands where PARETUNE_LEDGER names a team's ledger in PostgreSQL: each knows of it, or says what it covers."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_server import PASSWORD, PostgresServer, programs
from project_copy import copy_project

from paretune import Budget, ScriptedLanguageModel, run_maybe_nested
from paretune.commands.doctor import examine
from paretune.commands.main import main
from paretune.estimating.earlier_calls import LedgerView
from paretune.lm.ledger.attribution import attributed_to
from paretune.lm.ledger.away import AwayError
from paretune.lm.ledger.queries import CallFilter, FileCalls, Order, opened
from paretune.lm.ledger.shared import SharedLedger
from paretune.lm.ledger.shared_calls import SharedCalls
from paretune.lm.types import Reply, Request
from paretune.pipeline.looks import count_looks

pytestmark = pytest.mark.skipif(programs() is None, reason="there is no PostgreSQL on this machine")

# key, model, cost, latency, trial, valid
CALLS: list[tuple[str, str, float | None, float | None, str, bool]] = [
    ("aaaa01", "openai/small", 0.002, 1.0, "0003", True),
    ("aaaa02", "openai/small", 0.004, 3.0, "0004", False),
    ("bbbb03", "openai/large", 0.25, 2.0, "0010", True),
    ("cccc04", "local/%free", None, None, "0010", True),
]
Run = Callable[..., str]


async def fill(ledger: SharedLedger) -> None:
    """The calls above, made by this machine; who asked is known."""
    for key, model, cost, latency, trial, valid in CALLS:
        request = {"messages": [["user", f"say {key}"]], "temperature": 0.5}
        sent = Reply(f"reply of {key}", None if cost is None else 1000, 20, cost, latency, 2, "stop")
        sent = dataclasses.replace(sent, usage={"cached": 3}, price={"prompt": 1.0, "completion": 2.0})
        reply = await ledger.store(key, model, request, sent)
        for search in ("5ea4c4ab12", "other"):
            with attributed_to(search=search, trial=trial, example="train/1"):
                ledger.note(reply, "guess", valid=valid)
    ledger.close()


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    """A server for the whole page."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def team(database: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedLedger]:
    """The ledger of the machine that made the calls."""
    ledger = SharedLedger(tmp_path_factory.mktemp("team") / "ledger.sqlite", database.address)
    run_maybe_nested(fill(ledger))
    yield ledger
    ledger.close()


@pytest.fixture
def run(
    database: PostgresServer, own_state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run a command on another machine, which has used one call of its own; what it prints."""
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("PARETUNE_LEDGER", database.address)
    mine = SharedLedger(own_state / "ledger.sqlite", database.address)
    mine.put("dddd05", "openai/mine", {"messages": [["user", "mine"]]}, Reply("x", 1, 1, 0.5, 0.1, 1))
    mine.close()

    def run(*arguments: str) -> str:
        main(list(arguments))
        printed = capsys.readouterr()
        assert PASSWORD not in printed.out + printed.err
        return printed.out

    return run


def part_of(values: list[str]) -> st.SearchStrategy[str | None]:
    """A beginning of one of the values, or none."""
    return st.none() | st.sampled_from([value[:end] for value in values for end in range(1, len(value) + 1)])


FILTERS = st.builds(
    CallFilter,
    key=part_of([call[0] for call in CALLS]),
    model=part_of(["openai/large", "%free", "_", "e/%"]),
    search=part_of(["5ea4c4ab12", "other", "%"]),
    trial=st.none() | st.sampled_from(["3", "0003", "10", "0", "4"]),
    invalid=st.booleans(),
    since=st.none() | st.sampled_from([0.0, time.time() + 3600]),
    before=st.none() | st.sampled_from([0.0, time.time() + 3600]),
)


@settings(max_examples=60)
@given(which=FILTERS, order=st.sampled_from(["expensive", "slow"]), limit=st.sampled_from([1, 20]))
def test_the_database_is_looked_into_as_the_file_is(
    team: SharedLedger, which: CallFilter, order: Order, limit: int
) -> None:
    """The same calls in the same order, with who asked, and the same sums, whatever is asked for."""
    there = SharedCalls(team.home)
    with opened(team.path) as connection:
        here = FileCalls(connection)
        assert rounded(there.whole(which, order, limit)) == rounded(here.whole(which, order, limit))
        assert rounded(there.totals(which)) == rounded(here.totals(which))
        for (mine, callers), (row, theirs) in zip(
            there.listed(which, order, limit), here.listed(which, order, limit), strict=True
        ):
            assert rounded({**mine, **row}) == rounded({"id": row["id"], **mine}) and rounded(callers) == rounded(
                theirs
            )


def rounded(value: Any) -> Any:
    """JSON values with times as exact as both keep them."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Mapping):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, Iterable) and not isinstance(value, str) else value


def test_calls_of_this_machine_and_of_the_team(team: SharedLedger, run: Run, tmp_path: Path) -> None:
    """What was used here, and a line that says so; with --team all calls."""
    here, there = run("calls"), run("calls", "--team", "--expensive")
    assert "dddd05" in here and "bbbb03" not in here
    name = team.home.database.name
    assert here.splitlines()[-1] == f"this is what was used here; all that {name} has: paretune calls --team"
    assert [line.split()[0] for line in there.splitlines()[1:5]] == ["bbbb03", "aaaa02", "aaaa01", "cccc04"]
    assert "4 calls, 3,000+80 tokens, $0.256 (1 of unknown cost): all models" in there
    assert "reply of bbbb03" in run("calls", "--team", "bbbb")
    assert run("calls", "--team", "--export", str(tmp_path / "all.jsonl")).startswith("wrote 4 calls")
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {row["key"] for row in rows} == {call[0] for call in CALLS} and rows[0]["asked_by"][0]["search"]


def test_calls_are_deleted_here_or_for_all(
    database: PostgresServer, own_state: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--prune tells whose it deletes; without --team the team keeps its own, with it each machine does."""
    other = SharedLedger(own_state / "other" / "ledger.sqlite", database.address)
    reply = Reply("x", 1, 1, 0.5, 0.1, 1)
    run_maybe_nested(other.store("eeee06", "openai/prunable", {"messages": []}, reply))
    assert "the copies here alone" in run("calls", "--prune", "0d")
    assert "1 call" in run("calls", "--prune", "0d") and "deleted 1 calls" in run("calls", "--prune", "0d", "--yes")
    assert "for the whole team" in run("calls", "--team", "--model", "prunable", "--prune")
    printed = run("calls", "--team", "--model", "prunable", "--prune", "--yes")
    assert printed == f"deleted 1 calls of {other.home.database.name}; each machine keeps what it has used\n"
    assert database.run("SELECT key FROM paretune_replies WHERE model = 'openai/prunable'") == []
    assert other.get("eeee06") is not None
    other.close()
    monkeypatch.delenv("PARETUNE_LEDGER")
    with pytest.raises(SystemExit):
        run("calls", "--team")


def test_looks_from_before_the_ledger_was_shared_count(
    database: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever joins a team brings along what was tested before; each configuration counts once."""
    split = tmp_path / "test.jsonl"
    split.write_text("{}\n")
    assert count_looks(split, ["a", "b"]) == 2
    monkeypatch.setenv("PARETUNE_LEDGER", database.address)
    assert count_looks(split, ["b", "c"]) == 3
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "another machine"))
    assert count_looks(split, ["c", "d"]) == 4


def test_an_estimate_counts_what_the_team_has(team: SharedLedger, own_state: Path, database: PostgresServer) -> None:
    """Replies of others, what calls of theirs took, the facts and the account: nothing of it is here yet."""
    run_maybe_nested(spend(Budget(calls=9, account="estimated", ledger=team)))
    mine = SharedLedger(own_state / "ledger.sqlite", database.address)
    mine.put("dddd05", "m", {}, Reply("x", 1, 1, None, 0.1, 1))
    mine.close()
    view = LedgerView(mine)
    assert view.holds(["aaaa01", "dddd05", "none", "aaaa01"]) == 2
    assert view.answered_by_trial("other") == {"0003": 1, "0004": 1, "0010": 2}
    assert view.experience("openai/small")[""].latency_s == pytest.approx(2.0)
    assert (view.spent("estimated") or {})["calls"] == 1
    assert math.isclose((view.spent("estimated") or {})["usd"], 0.25)
    mine.close()


def test_an_estimate_goes_on_without_the_database(
    own_state: Path, database: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what was used here, as a rerun does, and one line says so; nobody knows then what a budget has spent."""
    mine = SharedLedger(own_state / "ledger.sqlite", database.address.replace(str(database.port), "1"))
    mine.put("dddd05", "m", {}, Reply("x", 1, 1, None, 0.1, 1))
    view = LedgerView(mine)
    assert (view.holds(["aaaa01", "dddd05"]), view.answered_by_trial("other"), view.experience("other")) == (1, {}, {})
    assert view.spent("default") is None and LedgerView(mine).holds(["dddd05"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("note: the ledger in PostgreSQL at 127.0.0.1:1/postgres does not answer")
    assert told.count("\n") == 1 and PASSWORD not in told
    mine.close()


async def spend(budget: Budget) -> None:
    """One call, a quarter of a dollar."""
    (await budget.reserve("m", ScriptedLanguageModel(lambda _: "x").backend, Request((("user", "x"),)))).settle(1, 0.25)


def test_doctor_looks_at_the_team(
    database: PostgresServer, team: SharedLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much it has and what waits for it here; each fault is one line with its cure, and no password."""
    copy_project(tmp_path / "project")

    def finding(address: str) -> tuple[str, str]:
        monkeypatch.setenv("PARETUNE_LEDGER", address)
        found = {what: (state, text) for state, what, text in examine(tmp_path / "project")}["team ledger"]
        assert "\n" not in found[1] and PASSWORD not in found[1]
        return found

    state, text = finding(database.address)
    assert state == "ok" and f"{team.home.database.name}: 4 replies, " in text and "wait" not in text
    monkeypatch.setattr("paretune.lm.ledger.home.Home.store", refuse)
    away = SharedLedger(Path(tmp_path / "paretune-home/ledger.sqlite"), database.address)
    run_maybe_nested(away.store("ffff07", "m", {}, Reply("x", 1, 1, None, 0.1, 1)))
    away.close()
    assert "1 replies of this machine wait for it" in finding(database.address)[1]
    place = "the ledger in PostgreSQL at 127.0.0.1:1/postgres"
    state, text = finding(database.address.replace(str(database.port), "1"))
    assert state == "fault" and text.startswith(f"{place} does not answer (connection to server at ")
    assert text.endswith("start it, or correct PARETUNE_LEDGER, then run again; what was paid for is kept here")
    database.run(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    database.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    state, text = finding(database.address.replace("team:", "reader:"))
    assert state == "fault" and "reader may not change paretune_" in text and text.endswith("SCHEMA public TO reader")
    assert finding("off")[0] == "warning"


async def refuse(*_: Any) -> None:
    """As a server that is away."""
    raise AwayError("nobody answers")
