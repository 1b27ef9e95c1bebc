"""The ledger's file takes little space, and that of an older paretune is taken over whole, whatever ends that."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_rows import format_1, notes, replies, stored

from paretune.files import canonical_json
from paretune.lm.ledger.attribution import attributed_to
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.queries import CallFilter, ids, opened, prune
from paretune.lm.types import Reply

REPLY = Reply("joy", 12, 3, 0.25, 1.5, 2, "stop", model="m")
KEYS = [f"{number:064x}" for number in range(7)] + ["short"]
ASKED = "key, search, trial, example, module, replicate, valid, paid, at"

#: Copies a file N times, and opens copy number N in a fork that dies before its statement number N; then opens one in
#: three forks at once.
DIES = """
import os, shutil, signal, sqlite3, sys
from paretune.lm.ledger import formats
from paretune.lm.ledger.ledger import Ledger

class Dying(sqlite3.Connection):
    left = 10**9

    def step(self):
        if not Dying.left:
            os.kill(os.getpid(), signal.SIGKILL)
        Dying.left -= 1

    def execute(self, *arguments):
        self.step()
        return super().execute(*arguments)

    def executemany(self, *arguments):
        self.step()
        return super().executemany(*arguments)

connect = sqlite3.connect
sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Dying, **options)
formats._BATCH = 3

def start(path, left):
    child = os.fork()
    if not child:
        Dying.left = left
        Ledger(path).fact("f")
        os._exit(0)
    return child

number, status = 0, 1
while status:
    path = f"{sys.argv[1]}-{number}"
    shutil.copy(sys.argv[1], path)
    status = os.waitpid(start(path, number), 0)[1]
    assert status in (0, signal.SIGKILL)
    number += 1
    print(path)
shutil.copy(sys.argv[1], f"{sys.argv[1]}-shared")
children = [start(f"{sys.argv[1]}-shared", 10**9) for _ in range(3)]
assert not any(os.waitpid(child, 0)[1] for child in children)
print(f"{sys.argv[1]}-shared")
"""


def old_file(path: Path) -> tuple[dict[str, dict[str, Any]], list[tuple[Any, ...]]]:
    """A file of format 1 with everything that one may hold; what a reader sees in it."""
    more = ("stop", '{"n":1}', '{"prompt":1.0}', 0.25, 1.5, 2)
    calls = [
        (
            key,
            f"m{n % 2}",
            canonical_json({"messages": [["user", "é" * 300 + key]]}),
            f"r{n}",
            n,
            3,
            *more,
            100.0 - n,
            "why",
        )
        for n, key in enumerate(KEYS)
    ]
    calls[3] = (*calls[3][:4], 0, 0, None, '{"completion_tokens":null,"prompt_tokens":null}', *calls[3][8:])
    calls[4] = (*calls[4][:6], None, None, None, None, *calls[4][10:13], None)
    asked = [(key, "s", "0001", f"val/{number}", "g", 0, 1, 1, 5.0) for number, key in enumerate(KEYS)]
    asked += [(KEYS[0], "", "", "", "judge", 1, 0, 0, 6.5)]
    format_1(path, calls, asked)
    return stored(path), notes(path, ASKED)


def test_an_older_file_is_taken_over_whole(tmp_path: Path) -> None:
    """Calls with all that is known of them, who asked, and facts are what a reader saw before."""
    path = tmp_path / "ledger.sqlite"
    calls, asked = old_file(path)
    assert [call["key"] for call in calls.values()] == sorted(KEYS) and len(asked) == 9
    assert (calls[KEYS[3]]["prompt_tokens"], calls[KEYS[3]]["latency_s"]) == (None, 1.5)
    ledger = Ledger(path)
    assert ledger.fact("f") == 7
    served = ledger.get(KEYS[1])
    assert served == Reply("r1", 1, 3, 0.25, 1.5, 2, "stop", True, KEYS[1], "m1", {"n": 1}, {"prompt": 1.0}, "why")
    ledger.close()
    assert (stored(path), notes(path, ASKED)) == (calls, asked)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name IN ('calls', 'asked')").fetchall()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_a_kill_in_the_midst_of_taking_over(tmp_path: Path) -> None:
    """Before any statement: nothing is lost for who reads then, an older paretune keeps off, and the next run goes on;
    several processes may do it at once."""
    path = tmp_path / "ledger.sqlite"
    calls, asked = old_file(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    paths = os.pathsep.join(name for name in sys.path if name)
    command = [sys.executable, "-c", DIES, str(path)]
    process = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    copies = list(map(Path, process.stdout.split()))
    assert len(copies) > 50
    halves = 0
    for copy in copies:
        assert (stored(copy), notes(copy, ASKED)) == (calls, asked), copy
        with closing(sqlite3.connect(copy)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            halves += "calls" in tables and "replies" in tables
        assert version == (2 if "replies" in tables else 1)
        ledger = Ledger(copy)
        assert ledger.get(KEYS[0]) is not None
        ledger.close()
        assert (stored(copy), notes(copy, ASKED)) == (calls, asked), copy
    assert halves > 20


def test_reading_takes_nothing_over(tmp_path: Path) -> None:
    """A file of format 1 is read as it is, and filters find the same as in one of format 2."""
    path = tmp_path / "ledger.sqlite"
    old_file(path)
    before = path.read_bytes()
    filters = [{"key": KEYS[2][:-1]}, {"key": "sho"}, {"key": "0" * 63 + "2"}, {"search": "s", "trial": "1"}]
    filters += [{"invalid": True}, {"model": "m1", "since": 95.0}, {"before": 96.0}]

    def found() -> list[list[str]]:
        with opened(path) as connection:
            names = dict(connection.execute("SELECT id, key FROM calls").fetchall())
            return [[names[one] for one in ids(connection, CallFilter(**options))] for options in filters]

    old = found()
    assert [len(keys) for keys in old] == [7, 1, 1, 8, 1, 3, 3]
    assert path.read_bytes() == before
    Ledger(path).fact("f")
    assert found() == old


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    calls=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), TEXTS, TEXTS, st.none() | TEXTS), max_size=12),
    shared=TEXTS,
)
def test_whatever_is_packed_comes_back(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[Any, ...]], shared: str
) -> None:
    """Requests that share beginnings, ends or nothing, and any reply, are read as they were, by any connection."""
    path = tmp_path_factory.mktemp("packed") / "ledger.sqlite"
    ledger, sent = Ledger(path), {}
    ledger.fact("f")
    for number, (kind, cut, text, answer, reasoning) in enumerate(calls):
        request = {"a": (shared * 40)[: cut * 40] + str(kind) + text, "schema": shared * 9}
        key, reply = f"{number:064x}", replace(REPLY, text=answer, reasoning=reasoning, usage={"n": number})
        ledger.put(key, "m", request, replace(reply, key=key))
        sent[key] = (request, replace(reply, key=key, served=True))
        if number == 6:
            ledger.close()  # frames are found again
    assert {key: call["request"] for key, call in stored(path).items()} == {key: sent[key][0] for key in sent}
    assert all(ledger.get(key) == reply for key, (_, reply) in sent.items())
    ledger.close()


def sizes(path: Path, table: str) -> tuple[int, int]:
    """How many rows there are, and the bytes of their requests."""
    with closing(sqlite3.connect(path)) as connection:
        count, size = connection.execute(f"SELECT COUNT(*), TOTAL(length(request)) FROM {table}").fetchone()
        return count, int(size)


def noise(seed: object, size: int) -> str:
    """A text that cannot be made smaller than half of it."""
    return random.Random(repr(seed)).randbytes(size // 2).hex()


@pytest.mark.parametrize("length", [800, 4_000, 100_000])
def test_what_requests_share_is_kept_once(ledger: Ledger, length: int) -> None:
    """Of four trials that run at once, each with a long prompt of its own before the question, each prompt is stored
    once or twice, however long it is and however often the ledger is opened."""
    for number in range(60):
        request = {"messages": [["system", noise(number % 4, length)], ["user", noise(("q", number), 64)]]}
        ledger.put(f"{number:064x}", "m", {**request, "schema": noise("schema", 160)}, REPLY)
        if number == 30:
            ledger.close()
    ledger.close()
    frames, rows = sizes(ledger.path, "frames"), sizes(ledger.path, "replies")
    assert (frames[0], rows[0]) == (4, 60)
    assert frames[1] + rows[1] < 60 * 80 + 8 * 0.6 * (length + 400)


def test_requests_that_share_little_make_no_frames(ledger: Ledger) -> None:
    """Long texts that are all different are stored once each."""
    for number in range(40):
        ledger.put(f"{number:064x}", "m", {"messages": [["user", noise(number, 2_000)]]}, REPLY)
    ledger.close()
    assert sizes(ledger.path, "frames") == (0, 0)


def test_a_prune_deletes_what_nobody_needs(ledger: Ledger) -> None:
    """With the last reply of a frame the frame is gone, and with a call the notes on it; the others are whole."""
    for number in range(20):
        request = {"messages": [["system", noise(number % 2, 900)], ["user", str(number)]]}
        with attributed_to(search=f"s{number % 2}", trial="1", example=f"val/{number}"):
            ledger.note(ledger.put(f"{number:064x}", "m", request, REPLY), "g", valid=True)
    ledger.close()
    before = stored(ledger.path)
    assert sizes(ledger.path, "frames")[0] == 2
    assert prune(ledger.path, CallFilter(search="s0")) == 10
    assert sizes(ledger.path, "frames")[0] == 1
    assert stored(ledger.path) == {key: call for key, call in before.items() if int(key, 16) % 2}
    assert len(notes(ledger.path, "key")) == 10


def steps(path: Path, which: CallFilter, limit: int | None) -> int:
    """The steps that SQLite's machine takes to find calls, in hundreds."""
    count = [0]

    def more() -> None:
        count[0] += 1

    with opened(path) as connection:
        connection.set_progress_handler(more, 100)
        assert list(ids(connection, which, limit=limit))
        connection.set_progress_handler(None, 0)
    return count[0]


def test_looking_reads_no_more_in_a_large_ledger(tmp_path: Path) -> None:
    """The newest calls, one call, the calls of a trial: the work is that of what is shown, not of all that is held."""
    small, large = (tmp_path / f"{size}.sqlite" for size in (200, 4_000))
    for path in (small, large):
        ledger = Ledger(path)
        ledger.put("0" * 64, "m", {}, REPLY)
        ledger.close()
        with closing(sqlite3.connect(path)) as connection, connection:
            for number in range(int(path.stem)):
                connection.execute(
                    "INSERT INTO replies SELECT NULL, ?, 1, ?, 1, 1, 0, 0, 1, NULL, 0, request, answer FROM replies"
                    " LIMIT 1",
                    (f"{number:032}".encode(), number),
                )
            connection.execute("INSERT INTO names (name) VALUES ('s'), ('t')")
            connection.execute("INSERT INTO notes SELECT id, 2 + (id > 50), '1', 'val/1', 1, 0, 1, 1, 1.0 FROM replies")
    for options, limit in (({}, 20), ({"key": f"{7:032}".encode().hex()}, None), ({"search": "s"}, None)):
        counts = [steps(path, CallFilter(**options), limit) for path in (small, large)]
        assert counts[1] <= counts[0] + 2, options


def test_a_reply_is_one_row_more(ledger: Ledger) -> None:
    """Storing a reply runs as many statements in a large ledger as in a small one."""
    counts = []
    for round_ in range(2):
        for number in range(300):
            ledger.put(f"{round_}{number:063x}", "m", {"messages": [["user", f"how? {number}"]]}, REPLY)
        seen: list[str] = []
        ledger._open().set_trace_callback(seen.append)
        ledger.put(f"{round_}{'a' * 63}", "m", {"messages": [["user", "how?"]]}, REPLY)
        ledger._open().set_trace_callback(None)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 2
    assert len(replies(ledger.path)) == 602
