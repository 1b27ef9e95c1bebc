"""The creation of a ledger: whatever interrupts it, and however many start at once, the next run goes on."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from paretune.errors import ConfigError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.queries import CallFilter, opened, prune, totals
from paretune.lm.types import Reply

REPLY = Reply("joy", 12, 3, 0.25, 1.5, 2, "stop", key="k", model="m")

START = (
    "import os, signal, sqlite3, sys\nfrom paretune.lm.ledger.ledger import Ledger\n"
    "from paretune.lm.ledger.queries import opened\n"
)
#: Opens a ledger, and dies before statement number N that it has SQLite execute.
DIES = (
    "class Dying(sqlite3.Connection):\n"
    "    left = int(sys.argv[2])\n"
    "    def execute(self, *arguments):\n"
    "        if not Dying.left:\n"
    "            os.kill(os.getpid(), signal.SIGKILL)\n"
    "        Dying.left -= 1\n"
    "        return super().execute(*arguments)\n"
    "connect = sqlite3.connect\n"
    "sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Dying, **options)\n"
    "Ledger(sys.argv[1]).fact('f')\n"
)
#: Opens a ledger where no file may grow beyond N bytes, which SQLite takes for a disk that is full.
FULL = (
    "import resource\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
    "from paretune.errors import ConfigError\n"
    "try:\n    Ledger(sys.argv[1]).fact('f')\nexcept ConfigError as error:\n    print(error)\n"
)
#: For each path on standard input: looks into the ledger where there is one, writes to it, and reports.
STARTS = (
    "from pathlib import Path\n"
    "for line in sys.stdin:\n"
    "    path = Path(line.strip())\n"
    "    ledger = Ledger(path)\n"
    "    try:\n"
    "        if path.exists():\n"
    "            with opened(path) as connection:\n"
    "                connection.execute('SELECT COUNT(*) FROM calls, facts, asked').fetchone()\n"
    "        ledger.remember('f', 1)\n"
    "        print('went on', flush=True)\n"
    "    except Exception as error:\n"
    "        print(repr(error), flush=True)\n"
    "    ledger.close()\n"
)


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs ``code``."""
    return subprocess.Popen(
        [sys.executable, "-c", START + code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(name for name in sys.path if name)},
    )


def goes_on(path: Path) -> None:
    """Reading, writing and pruning all work on what is there."""
    with opened(path) as connection:
        assert totals(connection, CallFilter()) == []
        assert connection.execute("SELECT COUNT(*) FROM facts").fetchone()[0] == 0
    assert prune(path, CallFilter()) == 0
    ledger = Ledger(path)
    assert ledger.fact("f") is None
    ledger.put("k", "m", {}, REPLY)
    ledger.close()
    assert Ledger(path).get("k") is not None


@pytest.mark.parametrize("mode", ["", "PRAGMA journal_mode = WAL"])
def test_a_file_without_tables_is_a_fresh_one(tmp_path: Path, mode: str) -> None:
    """An empty file, and one that has its log but no table, are gone on with by readers and writers."""
    path = tmp_path / "ledger.sqlite"
    path.touch()
    connection = sqlite3.connect(path)
    connection.execute(mode)
    connection.close()
    goes_on(path)


def test_a_kill_in_the_midst_of_creation(tmp_path: Path) -> None:
    """A process that dies by kill -9 before any statement of the creation leaves what the next one goes on with."""
    died = 0
    for number in range(20):
        path = tmp_path / str(number) / "ledger.sqlite"
        process = started(DIES, path, number)
        process.communicate(timeout=60)
        if process.returncode != -signal.SIGKILL:
            break
        died += 1
        if path.exists():
            goes_on(path)
    assert 8 < died < 20


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("limit", [0, 1000, 4096, 9000, 20_000, 40_000])
def test_a_full_disk_in_the_midst_of_creation(tmp_path: Path, limit: int) -> None:
    """Without room for the file the error names it, and once there is room the next run goes on."""
    path = tmp_path / "ledger.sqlite"
    process = started(FULL, path, limit)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and (str(path) in said or limit == 40_000), said
    goes_on(path)


def starts_of_four(times: int) -> Counter[str]:
    """What four processes report that start at once on a fresh project, so many times."""
    processes = [started(STARTS) for _ in range(4)]
    reports: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(times):
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"{folder}/{number}/ledger.sqlite\n")
                process.stdin.flush()
            for process in processes:
                assert process.stdout is not None
                reports[process.stdout.readline().strip()] += 1
        for process in processes:
            process.communicate(timeout=60)
    return reports


@pytest.mark.parametrize("times", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_four_processes_start_at_once(times: int) -> None:
    """On a fresh project all of them go on, those that look into the file while it is created as well."""
    assert starts_of_four(times) == {"went on": 4 * times}


def test_what_is_no_table_stays_an_error(tmp_path: Path) -> None:
    """A newer file is refused by readers and writers alike, as it is."""
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="format 99"), opened(path):
        pass
    with pytest.raises(ConfigError, match="format 99"):
        Ledger(path).fact("f")
    assert path.read_bytes() == before
