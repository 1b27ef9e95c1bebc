"""The ledger: nothing that was paid for is lost, or paid for again."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from call_options import request_with
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_rows import format_1, notes, replies, stored

from paretune.errors import ConfigError
from paretune.eventloop import run_maybe_nested
from paretune.lm.backends.scripted import ScriptedBackend, ScriptedLanguageModel
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.budget import Budget
from paretune.lm.ledger.default import default_ledger
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.queries import CallFilter, opened, totals
from paretune.lm.options import CallOptions
from paretune.lm.types import Reply, Request

REPLY = Reply("joy", 12, 3, 0.25, 1.5, 2, "stop", key="k", model="m")
ASK = Request(messages=(("user", "how?"),))


def writer(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs ``code`` with the names of this page's subject at hand."""
    start = "import sys\nfrom paretune.lm.ledger.ledger import Ledger\nfrom paretune.lm.types import Reply\n"
    path = os.pathsep.join(name for name in sys.path if name)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", start + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_a_reply_comes_back_as_it_was(ledger: Ledger) -> None:
    """A stored reply is served whole, with the latency and the cost of the call that was paid for, and marked."""
    assert ledger.get("k") is None
    assert ledger.put("k", "m", {"a": 1}, REPLY) == REPLY
    assert ledger.get("k") == replace(REPLY, served=True)
    assert (ledger.session.paid, ledger.session.served, ledger.session.spent_usd) == (1, 1, 0.25)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    tokens=st.integers(0, 10**9),
    cost=st.none() | st.floats(0, 1e6),
)
def test_any_reply_survives_the_file(ledger: Ledger, text: str, tokens: int, cost: float | None) -> None:
    """Any text, count and cost is read back as the same value, also by another connection."""
    key = repr((text, tokens, cost))
    reply = replace(REPLY, text=text, prompt_tokens=tokens, cost_usd=cost, key=key)
    ledger.put(key, "m", {}, reply)
    other = Ledger(ledger.path)
    assert other.get(key) == replace(reply, served=True)
    other.close()


def test_the_first_reply_of_a_key_stays(ledger: Ledger) -> None:
    """Who comes second goes on with the reply that the file holds, or a rerun would see another one."""
    ledger.put("k", "m", {}, REPLY)
    assert ledger.put("k", "m", {}, replace(REPLY, text="anger")) == REPLY
    assert ledger.session.paid == 2


def test_a_reply_is_stored_before_it_is_used(ledger: Ledger) -> None:
    """When the caller sees a reply, another connection can read it from the file."""

    async def ask() -> dict[str, str]:
        await ScriptedLanguageModel(lambda request: "joy", ledger=ledger).complete(ASK)
        return replies(ledger.path)

    assert list(run_maybe_nested(ask()).values()) == ["joy"]


def test_the_raw_usage_and_the_price_are_kept(ledger: Ledger) -> None:
    """Costs can be computed again: the file holds the provider's usage and the price beside the cost."""
    reply = replace(REPLY, usage={"cached": 3}, price={"prompt": 1.0, "completion": 2.0})
    ledger.put("k", "m", {"b": 1, "a": 2}, reply)
    call = stored(ledger.path)["k"]
    assert (call["request"], call["usage"]) == ({"a": 2, "b": 1}, {"cached": 3})
    assert call["price"] == {"prompt": 1.0, "completion": 2.0}


class Elsewhere(ScriptedBackend):
    """The scripted backend as another model, or at another address."""

    def __init__(self, identity: dict[str, Any]) -> None:
        super().__init__(lambda request: "reply")
        self.stated = identity

    def identity(self) -> dict[str, Any]:
        return self.stated


def calls_of(ledger: Ledger, *asked: tuple[dict[str, Any], Request]) -> int:
    """How many calls several requests of several models lead to, one after the other."""
    backends = []
    for identity, request in asked:
        backend = Elsewhere(identity)
        backends.append(backend)
        model = ScriptedLanguageModel(lambda _: "", ledger=ledger)
        model.backend = backend
        run_maybe_nested(model.complete(request))
    return sum(len(backend.calls) for backend in backends)


HERE = {"model": "m", "endpoint": None}


def test_the_same_request_is_one_key(ledger: Ledger) -> None:
    """However a request is written down, the same request is paid for once."""
    schema = {"type": "object", "properties": {"a": {}, "b": {}}}
    turned = {"properties": {"b": {}, "a": {}}, "type": "object"}
    full = replace(ASK, schema=schema, options=CallOptions(temperature=0.0, max_tokens=5, stop=("\n",)))
    again = replace(ASK, schema=turned, options=CallOptions(temperature=0, max_tokens=5, stop=("\n",)))
    assert calls_of(ledger, (HERE, full), (HERE, again), ({"endpoint": None, "model": "m"}, full)) == 1


@pytest.mark.parametrize(
    ("identity", "change"),
    [
        ({"model": "other"}, {}),
        ({"endpoint": "http://127.0.0.1:1/v1"}, {}),
        ({}, {"messages": (("user", "how? "),)}),
        ({}, {"messages": (("system", "how?"),)}),
        ({}, {"messages": (("user", "how?"), ("user", ""))}),
        ({}, {"schema": {"type": "object"}}),
        ({}, {"schema_name": "other"}),
        ({}, {"grammar": "root ::= x"}),
        ({}, {"stop": ("\n",)}),
        ({}, {"temperature": 0.0}),
        ({}, {"temperature": 0.5}),
        ({}, {"max_tokens": 10}),
        ({}, {"reasoning_effort": "low"}),
        ({}, {"structured_output": "tool"}),
        ({}, {"replicate": 1}),
    ],
)
def test_whatever_determines_a_reply_is_in_the_key(
    ledger: Ledger, identity: dict[str, Any], change: dict[str, Any]
) -> None:
    """A request that may get another reply is a call of its own."""
    assert (
        calls_of(
            ledger, (HERE, ASK), (HERE | identity, request_with(**{"messages": ASK.messages, **change})), (HERE, ASK)
        )
        == 2
    )


def test_the_first_fact_stays(ledger: Ledger) -> None:
    """What a model supports is remembered as first learned, so that keys made from it never change."""
    assert ledger.fact("f") is None
    assert ledger.remember("f", {"mode": "native"}) == {"mode": "native"}
    assert ledger.remember("f", {"mode": "tool"}) == {"mode": "native"}
    assert ledger.fact("f") == {"mode": "native"}


def test_capabilities_are_asked_once_a_ledger(ledger: Ledger) -> None:
    """A later run goes by what was learned first, without asking the backend."""
    first = ScriptedLanguageModel(lambda _: "", ledger=ledger, reasoning_effort=True)
    assert first.capabilities["reasoning_effort"] is True
    later = ScriptedLanguageModel(lambda _: "", ledger=ledger, reasoning_effort=False)
    assert later.capabilities["reasoning_effort"] is True


def test_processes_share_one_file(tmp_path: Path) -> None:
    """Processes that create the file and write to it at the same time lose nothing."""
    code = (
        "path, name = sys.argv[1:]\nledger = Ledger(path)\nsys.stdin.read()\n"
        "for n in range(300):\n"
        "    ledger.put(f'{name}{n}', 'm', {}, Reply(name, 1, 1, None, 0.0, 1))\n"
        "    held = ledger.put(f'shared{n}', 'm', {}, Reply(name, 1, 1, None, 0.0, 1))\n"
        "    assert held.text == ledger.get(f'shared{n}').text\n"
        "ledger.close()\n"
    )
    path = tmp_path / "state" / "ledger.sqlite"
    processes = [writer(code, path, name) for name in "abc"]
    outcomes = [(process.communicate(timeout=60), process.returncode) for process in processes]
    assert outcomes == [(("", ""), 0)] * 3
    assert len(replies(path)) == 4 * 300


def test_a_kill_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    """After kill -9 in the midst of writing, everything reported as stored is there, and the file is sound."""
    code = (
        "ledger = Ledger(sys.argv[1])\n"
        "for n in range(10**9):\n"
        "    ledger.put(f'{n:09}', 'm', {}, Reply('x' * 500, 1, 1, None, 0.0, 1))\n"
        "    print(n, flush=True)\n"
    )
    path = tmp_path / "ledger.sqlite"
    process = writer(code, path)
    assert process.stdout is not None
    reported = [int(process.stdout.readline()) for _ in range(500)]
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate()
    reported += [int(line) for line in rest.split("\n")[:-1]]
    ledger = Ledger(path)
    for n in reported:
        reply = ledger.get(f"{n:09}")
        assert reply is not None and reply.text == "x" * 500
    ledger.put("after", "m", {}, REPLY)
    ledger.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@pytest.mark.parametrize("content", [b"no database, but a long enough text" * 20, b"SQLite format 3\0" * 99])
def test_a_broken_file_is_an_error_of_two_lines_at_most(tmp_path: Path, content: bytes) -> None:
    """What cannot be read is named with its path and a cure, and left as it is."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"ledger\.sqlite") as caught:
        Ledger(path).get("k")
    assert len(str(caught.value).splitlines()) <= 2
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """The state folder's name is taken by a file: one plain error, no traceback of the file system's."""
    (tmp_path / "state").write_text("")
    with pytest.raises(ConfigError, match=r"state/ledger\.sqlite"):
        Ledger(tmp_path / "state" / "ledger.sqlite").put("k", "m", {}, REPLY)


def test_a_full_file_is_an_error_before_the_reply_is_used(ledger: Ledger) -> None:
    """A reply that cannot be stored is not used: the caller gets the error, and the next call pays again."""
    model = ScriptedLanguageModel(lambda _: "joy", ledger=ledger)
    run_maybe_nested(model.complete(replace(ASK, replicate=1)))
    connection = sqlite3.connect(ledger.path)
    connection.executescript("DROP TABLE replies; CREATE TABLE replies (key TEXT PRIMARY KEY)")
    connection.close()
    with pytest.raises(ConfigError, match="cannot be used"):
        run_maybe_nested(model.complete(ASK))


def test_a_reply_takes_little_space(ledger: Ledger) -> None:
    """A thousand replies of the usual size stay below two megabytes."""
    for n in range(1000):
        ledger.put(f"{n:064}", "m", {"messages": [["user", "how? " * 100]]}, REPLY)
    ledger.close()
    assert ledger.path.stat().st_size < 2_000_000


def test_the_default_ledger_follows_the_state_folder(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One object a file, in the state folder of the moment."""
    assert default_ledger() is default_ledger()
    assert default_ledger().path == own_state / "ledger.sqlite"
    monkeypatch.setenv("PARETUNE_HOME", str(own_state / "other"))
    assert default_ledger().path == own_state / "other" / "ledger.sqlite"


def test_a_transaction_is_stored_whole_or_not_at_all(ledger: Ledger) -> None:
    """What a block wrote is undone where it raises; its error stays itself, and SQLite's becomes a plain one."""
    with ledger.transaction() as connection:
        connection.execute("CREATE TABLE more (n INTEGER)")
        connection.execute("INSERT INTO more VALUES (1)")
    with pytest.raises(KeyError), ledger.transaction() as connection:
        connection.execute("INSERT INTO more VALUES (2)")
        raise KeyError("mine")
    with pytest.raises(ConfigError, match="no such table: other"), ledger.transaction() as connection:
        connection.execute("INSERT INTO more VALUES (3)")
        connection.execute("INSERT INTO other VALUES (3)")
    ledger.put("k", "m", {}, REPLY)
    ledger.close()
    connection = sqlite3.connect(ledger.path)
    assert connection.execute("SELECT n FROM more").fetchall() == [(1,)]
    connection.close()


def old_file(path: Path) -> None:
    """A ledger as the first version of paretune made it."""
    call = ("k", "m", "{}", "joy", 12, 3, "stop", None, None, 0.25, 1.5, 2, 0)
    format_1(path, [call], None, reasoning=False)


def test_the_ledger_of_an_older_paretune_goes_on(tmp_path: Path) -> None:
    """Its replies and facts are served under their keys, and what is new is kept beside them."""
    path = tmp_path / "ledger.sqlite"
    old_file(path)
    ledger = Ledger(path)
    reply = ledger.get("k")
    assert reply == replace(REPLY, served=True)
    assert ledger.fact("f") == 7
    ledger.note(reply, "module", valid=True)
    ledger.put("new", "m", {}, REPLY)
    ledger.close()
    assert list(replies(path)) == ["k", "new"]
    assert notes(path, "key") == [("k",)]


def test_the_ledger_of_a_newer_paretune_is_left_alone(tmp_path: Path) -> None:
    """A format that is not known is refused, with both numbers, before anything is written."""
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"format 99, .* up to 2"):
        Ledger(path).get("k")
    assert path.read_bytes() == before


def test_a_strange_account_of_usage_costs_no_reply(ledger: Ledger) -> None:
    """Whatever a provider says about usage, the reply is stored, and the account is JSON."""
    strange: list[dict[Any, Any]] = [{"n": float("nan")}, {"o": object()}, {1: 1, "a": 2}, {"s": "\ud800"}]
    for key, usage in enumerate(strange):
        ledger.put(str(key), "m", {}, replace(REPLY, usage=usage))
    found = [call["usage"] for call in stored(ledger.path).values()]
    assert len(found) == 4 and found[3] == {"s": "\ufffd"}


@pytest.mark.parametrize("tokens", [2**63, -(2**70), 10**400])
def test_numbers_beyond_64_bits_cost_no_reply(ledger: Ledger, tokens: int) -> None:
    """The nearest number that the file can hold is stored and returned, and sums of several do not overflow."""
    for key in "abc":
        reply = ledger.put(
            key, "m\ud800", {"a": "\ud800"}, replace(REPLY, prompt_tokens=tokens, finish_reason="\ud800")
        )
        assert ledger.get(key) == replace(reply, served=True)
        assert (abs(reply.prompt_tokens), reply.finish_reason, reply.model) == (2**63 - 1, "\ufffd", "m\ufffd")
    ledger.close()
    with opened(ledger.path) as connection:
        assert [found.calls for found in totals(connection, CallFilter())] == [3]


def test_a_reply_outlives_the_deletion_of_its_ledger(tmp_path: Path) -> None:
    """A folder that is deleted in mid-run is noticed: the reply just paid for waits for the next run, and no other."""
    path = tmp_path / "state" / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.note(ledger.put("before", "m", {}, REPLY), "module", valid=True)
    shutil.rmtree(path.parent)
    with pytest.raises(ConfigError, match=r"was deleted or replaced .* paid for again\. The reply .* waits in"):
        ledger.put("k", "m", {}, REPLY)
    later = Ledger(path)
    assert later.get("k") == replace(REPLY, served=True)
    assert later.get("before") is None
    ledger.put("more", "m", {}, REPLY)  # what was in flight meanwhile
    assert later.get("more") is not None
    ledger.close()
    later.close()
    assert notes(path, "key") == []


@pytest.mark.parametrize("is_replaced", [False, True])
def test_no_call_is_sent_without_its_ledger(ledger: Ledger, is_replaced: bool) -> None:
    """Where the file was deleted, or another one is in its place, nothing is read, written or paid for."""
    backend = ScriptedBackend(lambda _: "joy")
    model = LanguageModel("scripted/m", backend=backend, ledger=ledger)
    run_maybe_nested(model.complete(replace(ASK, replicate=1)))
    ledger.path.rename(ledger.path.with_suffix(".moved"))
    if is_replaced:
        ledger.path.touch()
    uses: list[Callable[[], Any]] = [
        lambda: run_maybe_nested(model.complete(ASK)),
        lambda: Budget(calls=1, ledger=ledger).spent(),
        lambda: ledger.remember("f", 1),
        lambda: ledger.get("k"),
    ]
    for use in uses:
        with pytest.raises(ConfigError, match="was deleted or replaced while this run had it open"):
            use()
    assert len(backend.calls) == 1
    assert not ledger.path.exists() or ledger.path.stat().st_size == 0
