"""Nothing that was paid for is lost when the ledger's file cannot be written: a full disk, a lock, damage, a kill."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_rows import notes, replies, stored

from paretune.errors import ConfigError
from paretune.eventloop import run_maybe_nested
from paretune.lm.backends.scripted import ScriptedLanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.packing import Packer
from paretune.lm.ledger.rescue_file import SIZE, RescueFile
from paretune.lm.ledger.tables import store
from paretune.lm.types import Reply, Request

REPLY = Reply("joy", 12, 3, 0.25, 1.5, 2, "stop", model="m")
REQUEST = {"messages": [random.Random(0).randbytes(9000).hex()]}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    with contextlib.suppress(OSError):
        if subprocess.run(command, capture_output=True).returncode == 0:
            yield disk
            subprocess.run(["umount", "-l", str(disk)], check=True)
            return
    pytest.skip("only root may mount")


def texts(path: Path) -> dict[str, str]:
    """Replies by key, after a check of the whole file."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
    return replies(path)


def run(code: str, *arguments: object) -> str:
    """What a new Python prints; its errors are this test's."""
    start = "import os, sys\nfrom paretune.lm.ledger.ledger import Ledger\nfrom paretune.lm.types import Reply\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(name for name in sys.path if name)},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def test_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    """Ten writers in a row die by kill -9 in the midst of writing: what put() returned is there, the file sound."""
    code = (
        "import random, signal, time\n"
        "def write(name, report):\n"
        "    ledger = Ledger(sys.argv[1])\n"
        "    for n in range(10**9):\n"
        "        reply = ledger.put(f'{name}/{n}', 'm', {}, Reply('x' * 700, 1, 1, None, 0.0, 1))\n"
        "        os.write(report, f'{reply.key}\\n'.encode())\n"
        "        ledger.note(reply, 'module', valid=True)\n"
        "chance = random.Random(0)\n"
        "for name in range(10):\n"
        "    out, report = os.pipe()\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        write(name, report)\n"
        "    os.close(report)\n"
        "    first = os.read(out, 64)\n"
        "    time.sleep(chance.uniform(0, 0.05))\n"
        "    os.kill(child, signal.SIGKILL)\n"
        "    os.waitpid(child, 0)\n"
        "    with os.fdopen(out) as rest:\n"
        "        sys.stdout.write(first.decode() + rest.read())\n"
    )
    path = tmp_path / "ledger.sqlite"
    reported = run(code, path).split()
    assert {key.split("/")[0] for key in reported} == set("0123456789")
    ledger = Ledger(path)
    ledger.put("after", "m", {}, REPLY)
    ledger.close()
    assert set(reported) <= set(texts(path))


def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    """On a disk that is full the reply waits in space that was reserved, the error says so, and the next run has it."""
    path = small_disk / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.put("before", "m", {}, REPLY)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as handle:
        while True:
            handle.write(bytes(4096))
    failed = 0
    for number in range(40):
        try:
            ledger.put(f"{number:02}", "m", {"messages": ["x" * 2000]}, replace(REPLY, text=f"{number}"))
        except ConfigError as error:
            assert "ledger.sqlite.rescue" in str(error) and "waits" in str(error)
            failed += 1
    assert failed > 10
    with pytest.raises(ConfigError, match="waits"):  # not without what was asked, but the reply itself
        ledger.put("long", "m", {"messages": ["x" * 2 * SIZE]}, REPLY)
    with pytest.raises(ConfigError, match="is lost"):
        ledger.put("longer", "m", {}, replace(REPLY, text="x" * 2 * SIZE))
    filler.unlink()
    later = Ledger(path)
    held = [later.get(f"{number:02}") for number in range(40)]
    assert [reply and reply.text for reply in held] == [str(number) for number in range(40)]
    assert later.get("long") is not None and later.get("longer") is None
    later.put("after", "m", {}, REPLY)
    later.close()
    ledger.close()
    assert len(texts(path)) == 43
    assert RescueFile(Path(f"{path}.rescue")).waiting() == 0


def test_a_full_file_loses_nothing(ledger: Ledger) -> None:
    """The same where SQLite itself finds the file full: also the process that met the error goes on without loss."""
    ledger.put("before", "m", {}, REPLY)
    with ledger.transaction() as connection:
        connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(ConfigError, match=r"full; it was left as it is.*waits in .*ledger\.sqlite\.rescue"):
        ledger.put("k", "m", REQUEST, replace(REPLY, usage={"tokens": 3}, price={"prompt": 1.0}))
    assert (ledger.session.paid, ledger.session.spent_usd) == (2, 0.5)
    assert ledger.get("k") == replace(REPLY, key="k", served=True)
    ledger.close()
    call = stored(ledger.path)["k"]
    assert [call[name] for name in ("request", "usage", "price")] == [REQUEST, {"tokens": 3}, {"prompt": 1.0}]


def test_a_lock_loses_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the file longer than one waits, replies go to the rescue file; then all are there."""
    monkeypatch.setattr("paretune.lm.ledger.file.LOCK_TIMEOUT_S", 0.01)
    ledger.put("before", "m", {}, REPLY)
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for key in "ab":
        with pytest.raises(ConfigError, match="Another process"):
            ledger.put(key, "m", {}, REPLY)
    other.close()
    ledger.put("c", "m", {}, REPLY)
    assert set(texts(ledger.path)) == {"before", "a", "b", "c"}


def test_a_damaged_file_loses_nothing(tmp_path: Path) -> None:
    """A reply that comes when the file is damaged is taken into the file that stands in its place later."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"no database, but a long enough text" * 20)
    with pytest.raises(ConfigError, match=r"ledger\.sqlite.*move it away.*waits in"):
        Ledger(path).put("k", "m", {}, REPLY)
    assert path.read_bytes() == b"no database, but a long enough text" * 20
    path.rename(tmp_path / "away")
    ledger = Ledger(path)
    assert ledger.get("k") == replace(REPLY, key="k", served=True)
    ledger.close()


def test_the_first_reply_stays_also_after_a_rescue(ledger: Ledger) -> None:
    """A rescued reply whose key another process stored meanwhile gives way."""
    with ledger.transaction() as connection:
        connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(ConfigError):
        ledger.put("k", "m", REQUEST, REPLY)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as connection:
        store(connection, Packer(), ("k", "m", "{}", "first", 1, 1, None, None, None, None, 0, 1, 0, None))
    held = ledger.get("k")
    assert held is not None and held.text == "first"


def test_no_call_is_sent_when_the_disk_is_nearly_full(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pays for a reply that may find no room; what the ledger holds is served all the same."""
    model = ScriptedLanguageModel(lambda _: "joy", ledger=ledger)
    ask = Request(messages=(("user", "how?"),))
    run_maybe_nested(model.complete(ask))
    fresh = ScriptedLanguageModel(lambda _: "joy", ledger=Ledger(ledger.path))
    monkeypatch.setattr("paretune.lm.ledger.ledger.MIN_FREE_BYTES", 1 << 70)
    with pytest.raises(ConfigError, match="nearly full"):
        run_maybe_nested(fresh.complete(replace(ask, replicate=1)))
    assert run_maybe_nested(fresh.complete(ask)).text == "joy"
    assert fresh.ledger.session.paid == 0
    fresh.ledger.close()


ROW = st.lists(st.none() | st.integers(-(2**60), 2**60) | st.text(max_size=40) | st.floats(allow_nan=False), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    rows=st.lists(ROW, min_size=1, max_size=4), torn=st.binary(max_size=20).map(lambda text: text.replace(b"\0", b""))
)
def test_any_row_comes_back_once(tmp_path: Path, rows: list[list[Any]], torn: bytes) -> None:
    """What was kept is handed out whole, in order, once, whatever a kill in the midst of writing left before it."""
    rescue = RescueFile(tmp_path / "rescue")
    rescue.prepare()
    with open(rescue.path, "r+b") as handle:
        handle.write(b'["' + torn.replace(b"\n", b""))
    for row in rows:
        rescue.keep(row)
    assert rescue.waiting() == len(rows)
    taken: list[Any] = []
    rescue.take(taken.extend)
    assert taken == rows
    rescue.take(taken.extend)
    assert taken == rows
    assert rescue.path.stat().st_size == SIZE


def test_rows_stay_until_they_are_stored(tmp_path: Path) -> None:
    """Where storing fails, the rows are there for the next time."""
    rescue = RescueFile(tmp_path / "rescue")
    rescue.prepare()
    rescue.keep(["paid", "x" * 3 * SIZE])

    def fail(rows: list[Any]) -> None:
        raise sqlite3.OperationalError("no")

    with pytest.raises(sqlite3.OperationalError):
        rescue.take(fail)
    taken: list[Any] = []
    rescue.take(taken.extend)
    assert taken == [["paid", "x" * 3 * SIZE]]
    assert rescue.path.stat().st_size == SIZE


def test_the_space_is_reserved(tmp_path: Path) -> None:
    """The file has its blocks from the beginning: writing into it needs none of a full disk's."""
    rescue = RescueFile(tmp_path / "rescue")
    rescue.prepare()
    assert rescue.path.stat().st_blocks * 512 >= SIZE


def test_writers_side_by_side_keep_all_their_rows(tmp_path: Path) -> None:
    """The file is shared: no row overwrites another."""
    path = tmp_path / "rescue"
    RescueFile(path).prepare()

    def write(name: str) -> None:
        for number in range(20):
            RescueFile(path).keep([name, number])

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken: list[Any] = []
    RescueFile(path).take(taken.extend)
    assert sorted(taken) == [[name, number] for name in "abcd" for number in range(20)]


def test_a_fork_has_a_connection_and_a_lock_of_its_own(tmp_path: Path) -> None:
    """A process that is forked while a thread of its parent writes can write itself, and both keep what they wrote."""
    code = (
        "import threading, time\n"
        "ledger, one = Ledger(sys.argv[1]), Reply('x', 1, 1, None, 0.0, 1)\n"
        "ledger.note(ledger.put('before', 'm', {}, one), 'module', valid=True)\n"
        "inside = threading.Event()\n"
        "def hold():\n"
        "    with ledger.transaction() as connection:\n"
        "        connection.execute(\"INSERT INTO facts VALUES ('f', '1')\")\n"
        "        inside.set()\n"
        "        time.sleep(0.1)\n"
        "thread = threading.Thread(target=hold)\n"
        "thread.start()\n"
        "inside.wait()\n"
        "import warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    held = ledger.get('before')\n"
        "    ledger.put('child', 'm', {}, one)\n"
        "    ledger.close()\n"
        "    os._exit(0 if held else 1)\n"
        "thread.join()\n"
        "ledger.put('parent', 'm', {}, one)\n"
        "print(os.waitpid(child, 0)[1], ledger.fact('f'))\n"
    )
    path = tmp_path / "ledger.sqlite"
    assert run(code, path).split() == ["0", "1"]
    assert set(texts(path)) == {"before", "child", "parent"}
    assert notes(path, "key, module") == [("before", "module")]


def test_a_fork_outlives_its_parents_ledger(tmp_path: Path) -> None:
    """A parent that closes its ledger takes nothing away from the fork that is still writing."""
    code = (
        "ledger, one = Ledger(sys.argv[1]), Reply('x', 1, 1, None, 0.0, 1)\n"
        "ledger.put('before', 'm', {}, one)\n"
        "(here, there), (done, tell) = os.pipe(), os.pipe()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    ledger.put('first', 'm', {}, one)\n"
        "    os.write(there, b'.')\n"
        "    os.read(done, 1)\n"
        "    ledger.put('second', 'm', {}, one)\n"
        "    os._exit(0)\n"
        "os.read(here, 1)\n"
        "ledger.close()\n"
        "os.write(tell, b'.')\n"
        "print(os.waitpid(child, 0)[1])\n"
    )
    path = tmp_path / "ledger.sqlite"
    assert run(code, path).split() == ["0"]
    assert set(texts(path)) == {"before", "first", "second"}
