"""A search that is killed at any moment, and a record whose last line was cut short."""

from __future__ import annotations

import collections
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import odd_numbers
import pytest
from odd_numbers import CONCURRENCY, fit_arguments, make_builder, mostly_right, rows

import paretune
from paretune import ScriptedLanguageModel
from paretune.lm.ledger import Ledger
from paretune.tuners import GridSearch
from paretune.tuners.trials import TrialRecord, TrialStore


@pytest.fixture
def searching() -> Iterator[subprocess.Popen[str]]:
    """A process that forks searches; see odd_numbers.serve."""
    with subprocess.Popen(
        [sys.executable, odd_numbers.__file__],
        env={**os.environ, "PYTHONPATH": str(Path(paretune.__file__).parent.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_killed_at_any_moment(tmp_path, searching):
    """Killed six times and run to its end, a search gives the records of an uninterrupted one.

    Of the calls only those may be made twice that were in flight at a kill: at most as many as are made at once.
    """
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    expected = rows(odd_numbers.run(whole, CONCURRENCY))
    calls = (whole / "calls").read_text().split()
    rng = random.Random(20)
    kills = 0
    for kill in range(6):
        print(killed, file=searching.stdin)
        process = int(searching.stdout.readline())
        target = len(calls) * (kill + rng.random()) / 7
        deadline = time.monotonic() + 20
        while lines(killed) < target and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.005)
        os.kill(process, signal.SIGKILL)
        assert searching.stdout.readline() == "ended\n"
        assert not (killed / "records.json").exists()
        kills += 1
    print(killed, file=searching.stdin)
    searching.stdout.readline()
    assert searching.stdout.readline() == "ended\n"
    assert json.loads((killed / "records.json").read_text()) == expected
    made = collections.Counter((killed / "calls").read_text().split())
    assert set(made) == set(calls)
    assert sum(made.values()) - len(made) <= kills * CONCURRENCY


def lines(folder: Path) -> int:
    """How many calls were made so far."""
    calls = folder / "calls"
    return calls.read_bytes().count(b"\n") if calls.exists() else 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, list[dict[str, Any]]]:
    """A finished search of three trials: its folder and its records."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, rows(search(folder))


def search(folder: Path) -> GridSearch:
    """A short search in a folder, whose ledger is there as well."""
    model = ScriptedLanguageModel(mostly_right, ledger=Ledger(folder / "ledger.sqlite"))
    tuner = GridSearch(make_builder(model), "val_reward", 3, directory=folder, verbose=False)
    tuner.search(**fit_arguments())
    return tuner


def test_record_cut_at_every_byte(tmp_path):
    """Wherever the last line was cut, all earlier trials are loaded, and a line appended then is whole."""
    store = TrialStore(tmp_path / "search.jsonl")
    for number in ("0001", "0002", "0003"):
        store.append(TrialRecord(number, "COMPLETED", {"name": "é\n"}, metrics={"val_reward": 0.5}))
    content, whole = store.path.read_bytes(), store.load()
    for end in range(content.rindex(b"\n", 0, -1) + 1, len(content)):
        store.path.write_bytes(content[:end])
        assert list(store.load()) == ["0001", "0002"]
        if end % 9 == 0 or end > len(content) - 3:
            store.append(whole["0003"])
            assert store.load() == whole


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_search_goes_on_after_a_cut_line(finished, share):
    """A search whose last line is not whole runs that trial again, out of the ledger, to the same records."""
    folder, expected = finished
    (path,) = (folder / "search").glob("*.jsonl")
    content = path.read_bytes()
    begin = content.rindex(b"\n", 0, -1) + 1
    path.write_bytes(content[: begin + int(share * (len(content) - begin))])
    again = search(folder)
    assert again.resumed == 2 and rows(again) == expected
    assert again.session.paid == 0 and again.session.served == 10
    assert search(folder).resumed == 3


def test_record_of_foreign_lines(tmp_path):
    """Lines that are no records are passed over, and of two records of a trial the later one counts."""
    store = TrialStore(tmp_path / "search.jsonl")
    assert store.load() == {}
    store.append(TrialRecord("0001", "COMPLETED", {"a": 1}))
    with open(store.path, "ab") as handle:
        handle.write(b'[1, 2]\n\xff\xfe\n{"trial": "0002"}\nnull\n\n')
    store.append(TrialRecord("0003", "FAILED", {"a": 3}, error="é"))
    store.append(TrialRecord("0001", "COMPLETED", {"a": 2}))
    assert [record.values for record in store.load().values()] == [{"a": 2}]
    store.discard()
    assert store.load() == {}
