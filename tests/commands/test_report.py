"""`paretune report` on a search that runs, has ended, was killed, or never began."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from finished_project import GOALS, PARAMS, TRIALS, ended, printed, trial, write_project

from paretune.pipeline.scoring import Scoring
from paretune.trials.record import TrialRecord
from paretune.trials.rules import Rule
from paretune.trials.store import TrialStore
from paretune.tuners.status import Status

Capsys = pytest.CaptureFixture[str]
PAGE, SUMMARY = Path(".paretune/live/report.html"), Path(".paretune/live/report.md")


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrialRecord]:
    """The trials of a search in a project, which is the current folder; none of them is in its record yet."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "PARETUNE_HOME"):
        monkeypatch.delenv(name, raising=False)
    write_project(tmp_path)
    scoring = Scoring(PARAMS)
    found = [*(trial(*each, scoring) for each in TRIALS), *ended(scoring)]
    return [replace(record, scoring="a") for record in found]


def begun(**more: object) -> Status:
    """A search of five trials has begun."""
    Path(".paretune/searches").mkdir(parents=True, exist_ok=True)
    record = str(Path(".paretune/searches/s.jsonl").absolute())
    running = {"0003": {"few_shot": 6, "model": "openai/other"}}
    status = Status(
        record=record, goals=GOALS, rule=Rule(), scoring="a", ledgers=(), total=5, running=running, answered=40,
        paid=12, spent_usd=0.25, began=time.time() - 75,
    )  # fmt: skip
    status = replace(status, **more)  # type: ignore[arg-type]
    status.write()
    return status


def keep(*records: TrialRecord) -> None:
    """These trials have ended."""
    for record in records:
        TrialStore(Path(".paretune/searches/s.jsonl")).append(record)


def test_no_search(records: list[TrialRecord], capsys: Capsys) -> None:
    """It says what begins one."""
    assert printed(capsys, "report") == (
        1,
        "error: no search has begun here; `dvc repro` begins one, and writes reports/report.html when it has ended\n",
    )


def test_a_running_search(records: list[TrialRecord], capsys: Capsys) -> None:
    """Before the first trial a page waits; then it has the trials, and says what runs, what was spent, and that there
    is no test. A trial that was scored by something else is left out."""
    begun()
    with FileLock(".paretune/searches/s.lock"):
        assert printed(capsys, "report") == (0, f"{PAGE}: The search is running: 0 of 5 trials are finished.\n")
        assert 'http-equiv="refresh"' in PAGE.read_text() and "<script" not in PAGE.read_text()
        keep(replace(records[0], scoring="old"), records[1], records[3], records[4])
        assert printed(capsys, "report") == (0, f"{PAGE}: The search is running: 2 of 5 trials are finished.\n")
    text = SUMMARY.read_text().replace("\\", "")
    assert text.startswith("### The search is running: 2 of 5 trials are finished.\n\nRunning: trial 3 (few shot 6")

    for part in ("Dropped by the race: 1, which saved 17 calls.", "Failed: 1.", "12 were paid, for $0.25", "1:15"):
        assert part in text, part
    assert "There is no test result yet" in text and "trial `0002`" in text
    assert 'id="live"' in PAGE.read_text() and 'http-equiv="refresh"' not in PAGE.read_text()


def test_a_search_that_was_killed_and_one_that_has_ended(records: list[TrialRecord], capsys: Capsys) -> None:
    """Nobody holds the record any more: what is missing, why, and that it goes on from there."""
    begun(stopped="the budget of $1 is spent")
    keep(*records[:2])
    expected = "The search has stopped, 2 of 5 trials are finished: the budget of $1 is spent; it goes on from here."
    assert printed(capsys, "report") == (0, f"{PAGE}: {expected}\n")
    begun()
    assert "its process has ended" in printed(capsys, "report")[1]
    begun(total=2)
    assert printed(capsys, "report")[1] == f"{PAGE}: The search has finished, all 2 trials.\n"


def test_the_folder_or_the_examples_are_others(records: list[TrialRecord], capsys: Capsys) -> None:
    """What is missing is said in a line."""
    begun(folder="/no/such/folder")
    assert "was run in '/no/such/folder', which is gone" in printed(capsys, "report")[1]
    begun()
    keep(records[0])
    val = Path("data/splits/val.jsonl")
    val.write_text("".join(val.read_text().splitlines(keepends=True)[:7]))
    assert "validates on 20 examples, but data/splits/val.jsonl has 7" in printed(capsys, "report")[1]


def test_watching(records: list[TrialRecord], capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a search, draws each new trial, and ends with it. Nothing is drawn by half, and the results of the
    pipeline stay as they were."""
    monkeypatch.setattr("paretune.commands.report._EVERY_S", 0.02)
    reports = {path: path.read_bytes() for path in Path("reports").iterdir()}

    def search() -> None:
        time.sleep(0.1)
        with FileLock(".paretune/searches/s.lock"):
            begun()
            for number, record in enumerate(records[:3], start=1):
                keep(record)
                for _ in range(1000):
                    if SUMMARY.exists() and f" {number} of 5" in SUMMARY.read_text():
                        break
                    time.sleep(0.01)

    Path(".paretune/searches").mkdir(parents=True)
    thread = threading.Thread(target=search)
    thread.start()
    code, text = printed(capsys, "report", "--watch")
    thread.join()
    assert code == 0 and "waiting for a search to begin" in text
    counts = re.findall(r"(\d) of 5 trials", text)
    assert counts[-1] == "3" and sorted(set(counts)) == sorted(set(counts) | {"1", "2", "3"})
    assert text.splitlines()[-2].startswith(f"{PAGE}: The search has stopped, 3 of 5")  # the waiting is on stderr
    assert not list(PAGE.parent.glob("*.part"))
    assert reports == {path: path.read_bytes() for path in Path("reports").iterdir()}
