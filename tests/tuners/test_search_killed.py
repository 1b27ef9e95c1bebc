"""A search that is killed at any moment, and a record whose last line was cut short."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from odd_numbers import fit_arguments, make_builder, mostly_right, rows
from short_searches import CONCURRENCY, SHORT, Searching, calls_in, records_in, run

from paretune import ScriptedLanguageModel, tuners
from paretune.lm.ledger.ledger import Ledger
from paretune.trials.record import TrialRecord
from paretune.trials.store import TrialStore
from paretune.tuners import GridSearch

#: How often the search of each tuner is killed at a random moment; benchmarks/kills.py does it more often.
KILLS = 3


@pytest.fixture(scope="module")
def searching() -> Iterator[Searching]:
    """A process that forks searches, which may be killed."""
    with Searching() as process:
        yield process


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Callable[[str], tuple[list[dict[str, Any]], set[str]]]:
    """The records of a tuner's short search that nothing interrupts, and the calls that it makes."""

    @functools.cache
    def of(kind: str) -> tuple[list[dict[str, Any]], set[str]]:
        folder = tmp_path_factory.mktemp(kind)
        records = rows(run(kind, folder))
        calls = calls_in(folder)
        assert len(set(calls)) == len(calls)
        return records, set(calls)

    return of


def test_every_tuner_is_killed():
    """No tuner is left out of these tests."""
    assert set(SHORT) == set(tuners.__all__) - {"HyperParameters", "Objective", "Tuner"}


@pytest.mark.parametrize("kind", SHORT)
def test_killed_at_any_moment(tmp_path, searching, uninterrupted, kind):
    """Killed several times and run to its end, a search gives the records of an uninterrupted one.

    Of the calls only those may be made twice that were in flight at a kill: at most as many as are made at once.
    """
    records, calls = uninterrupted(kind)
    kills = searching.killed_at_random(kind, tmp_path, len(calls), KILLS, random.Random(20))
    assert kills == KILLS and records_in(tmp_path) == records
    made = calls_in(tmp_path)
    assert set(made) == calls and len(made) - len(calls) <= kills * CONCURRENCY


@pytest.mark.parametrize("kind", SHORT)
def test_killed_at_every_write(tmp_path, searching, uninterrupted, kind):
    """Killed at each write of a record (before, in, and after it), a search gives the records of an uninterrupted one,
    and makes no call again that was not in flight at a kill."""
    records, calls = uninterrupted(kind)
    kills = searching.killed_at_every_write(kind, tmp_path)
    assert kills >= len(records) and records_in(tmp_path) == records
    made = calls_in(tmp_path)
    assert set(made) == calls and len(made) - len(calls) <= kills * CONCURRENCY


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
