"""What a running search tells of itself on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from filelock import FileLock
from odd_numbers import fit_arguments, make_builder, mostly_right

from paretune import ScriptedLanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.trials.record import TrialRecord
from paretune.trials.store import TrialStore
from paretune.tuners import GridSearch
from paretune.tuners.status import Status, latest_status


def test_a_search_tells_what_it_is_at(tmp_path: Path) -> None:
    """While it runs: which trials are under way, with their hyperparameters; afterwards what was spent. The file says
    what the object does."""
    seen: list[Status | None] = []

    def script(request: Request) -> str:
        seen.append(latest_status(tmp_path / "parity"))
        return mostly_right(request)

    model = ScriptedLanguageModel(script, ledger=Ledger(tmp_path / "ledger.sqlite"), latency_s=0.05)
    tuner = GridSearch(
        make_builder(model), ["val_reward", "val_tokens_per_request"], directory=tmp_path, project_name="parity",
        constraints=["val_tokens_per_request <= 1000"], verbose=False,
    )  # fmt: skip
    tuner.search(**fit_arguments())
    running = [status for status in seen if status is not None and status.running]
    assert running and running[0].total == 6 and running[0].goals == tuner.oracle.goals
    assert all(set(values) <= {kind.name for kind in tuner.space.space} for values in running[0].running.values())
    ended = latest_status(tmp_path / "parity")
    assert ended is not None and not ended.is_running() and tuner.status is None
    assert (ended.answered, ended.paid) == (tuner.session.paid + tuner.session.served, tuner.session.paid)
    assert ended.rule == tuner.rule and ended.ledgers == (str(tmp_path / "ledger.sqlite"),)
    assert Status.read(ended.path) == ended


def test_which_search_is_looked_at(tmp_path: Path) -> None:
    """The one that runs, else the last one; what is no status is passed over, and one without room is left out."""
    tuner = GridSearch(
        make_builder(ScriptedLanguageModel(mostly_right, ledger=Ledger(tmp_path / "ledger.sqlite"))), "val_reward",
        directory=tmp_path, project_name="parity", verbose=False,
    )  # fmt: skip
    tuner.search(**fit_arguments())
    folder = tmp_path / "parity"
    first = latest_status(folder)
    assert first is not None
    replace(first, record=str(folder / "later.jsonl"), at=first.at + 1).write()
    (folder / "odd.json").write_text(json.dumps({"goals": 1}))
    later = latest_status(folder)
    assert later is not None and later.path.name == "later.json"
    with FileLock(Path(first.record).with_suffix(".lock")):
        running = latest_status(folder)
        assert running is not None and running.path == first.path and running.is_running()
    replace(first, record=str(tmp_path / "no folder" / "x.jsonl")).write()
    assert latest_status(tmp_path / "no folder") is None


def test_a_record_is_read_as_it_grows(tmp_path: Path) -> None:
    """Each trial is read once, in any number of looks; a line that is not whole waits for the next one."""
    store = TrialStore(tmp_path / "a.jsonl")
    assert store.read() == ([], 0)
    place, found = 0, []
    for number in range(1, 5):
        store.append(TrialRecord(f"{number:04d}", "FAILED" if number == 2 else "COMPLETED", {}))
        if number == 3:
            with open(store.path, "ab") as handle:
                handle.write(b'{"trial": "00')
        if number != 1:
            more, place = store.read(place)
            found += [record.trial for record in more]
    assert found == ["0001", "0002", "0003", "0004"]
    assert sorted(store.load()) == ["0001", "0003", "0004"]
