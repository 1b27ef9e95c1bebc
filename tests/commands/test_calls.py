"""``paretune calls``: what the ledger holds, shown, exported and pruned."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import ledger_rows
from hypothesis import given
from hypothesis import strategies as st
from ledger_rows import format_1

from paretune.commands import calls
from paretune.commands.main import main
from paretune.lm.ledger.attribution import attributed_to
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.queries import opened
from paretune.lm.types import Reply

NOW = time.time()
DAY = 86400
# key, model, cost, latency, age in days, trial, valid
CALLS = [
    ("aaaa01", "openai/small", 0.002, 1.0, 0.5, "0003", True),
    ("aaaa02", "openai/small", 0.004, 3.0, 3.0, "0004", False),
    ("bbbb03", "openai/large", 0.25, 2.0, 10.0, "0010", True),
    ("cccc04", "local/free", None, 0.5, 40.0, "0010", True),
]

Run = Callable[..., str]


def fill(path: Path) -> None:
    """The calls above; ``aaaa01`` was asked by two trials."""
    ledger = Ledger(path)
    for key, model, cost, latency, age, trial, valid in CALLS:
        request = {"messages": [["system", "Be brief."], ["user", f"say {key}"]], "temperature": 0.5}
        sent = Reply(f"reply of {key}", 1000, 20, cost, latency, 2, "stop")
        accounts: dict[str, Any] = {"usage": {"cached": 3}, "price": {"prompt": 1.0, "completion": 2.0}}
        reply = ledger.put(key, model, request, replace(sent, **accounts))
        with attributed_to(search="5ea4c4ab12", trial=trial, example="train/1"):
            ledger.note(reply, "guess", valid=valid)
        with ledger.transaction() as connection:
            connection.execute("UPDATE replies SET created_at = ? WHERE key = ?", (NOW - age * DAY, key))
    with attributed_to(search="other", trial="0000", example="val/2"):
        ledger.note(ledger.get("aaaa01") or reply, "guess", valid=True)
    ledger.close()


@pytest.fixture
def ledger_file(own_state: Path) -> Path:
    fill(own_state / "ledger.sqlite")
    return own_state / "ledger.sqlite"


@pytest.fixture
def run(ledger_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on a wide terminal; what it prints."""
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments: str) -> str:
        main(["calls", *arguments])
        return capsys.readouterr().out

    return run


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says when it refuses: it exits with an error and prints nothing else."""
    with pytest.raises(SystemExit) as caught:
        main(["calls", *arguments])
    said = capsys.readouterr()
    assert caught.value.code in (1, 2) and said.out == "" and "Traceback" not in said.err
    return said.err


def listed(text: str) -> list[str]:
    """The keys of the table."""
    return re.findall(r"^([abc]{4}0\d) ", text, re.MULTILINE)


def stored(path: Path, table: str = "calls") -> list[str]:
    with opened(path) as connection:
        return [key for (key,) in connection.execute(f"SELECT DISTINCT key FROM {table} ORDER BY key")]


def test_the_newest_calls_come_first_with_their_accounts(run: Run) -> None:
    """A row a call, the newest first, and the totals at the end, by model."""
    out = run()
    assert listed(out) == ["aaaa01", "aaaa02", "bbbb03", "cccc04"]
    lines = out.splitlines()
    first = re.split(r"  +", lines[1])
    assert first[2:] == ["openai/small", "1000+20", "$0.002", "1 s", "2", "yes", "5ea4c4ab 0003 train/1 guess +1"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", first[1])
    assert lines[5:] == [
        "4 calls, 4,000+80 tokens, $0.256 (1 of unknown cost): all models",
        "  1 call, 1,000+20 tokens, cost unknown: local/free",
        "  1 call, 1,000+20 tokens, $0.25: openai/large",
        "  2 calls, 2,000+40 tokens, $0.006: openai/small",
    ]


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["--model", "small"], ["aaaa01", "aaaa02"]),
        (["--trial", "10"], ["bbbb03", "cccc04"]),
        (["--trial", "0010", "--model", "local"], ["cccc04"]),
        (["--trial", "0"], ["aaaa01"]),
        (["--search", "5ea4"], ["aaaa01", "aaaa02", "bbbb03", "cccc04"]),
        (["--search", "oth"], ["aaaa01"]),
        (["--search", "oth", "--trial", "3"], []),
        (["--search", "ea4"], []),
        (["--model", "%"], []),
        (["--invalid"], ["aaaa02"]),
        (["--invalid", "--trial", "3"], []),
        (["--since", "7d"], ["aaaa01", "aaaa02"]),
        (["--since", "13h"], ["aaaa01"]),
        (["--since", "2w"], ["aaaa01", "aaaa02", "bbbb03"]),
        (["--expensive"], ["bbbb03", "aaaa02", "aaaa01", "cccc04"]),
        (["--slow"], ["aaaa02", "bbbb03", "aaaa01", "cccc04"]),
        (["--limit", "1", "--slow"], ["aaaa02"]),
    ],
)
def test_options_choose_and_order(run: Run, arguments: list[str], keys: list[str]) -> None:
    """Every option narrows the calls down or orders them, and they combine."""
    out = run(*arguments)
    assert listed(out) == keys
    assert ("no such calls" in out) == (keys == [])


def test_totals_are_of_all_that_is_meant(run: Run) -> None:
    """A limit shortens the table, not the sums."""
    assert "1 of 2 calls, 2,000+40 tokens, $0.006: openai/small" in run("--limit", "1", "--model", "small")


def test_one_call_in_full(run: Run) -> None:
    """The start of a key shows everything that is known about its call."""
    out = run("aaaa01")
    for part in (
        "key         aaaa01\n",
        "model       openai/small\n",
        "asked by    search 5ea4c4ab12, trial 0003, train/1, by guess (valid, paid for)\n",
        "asked by    search other, trial 0000, val/2, by guess (valid, served)\n",
        "cost        $0.002 (at $1.0 and $2.0 a million tokens)\n",
        'usage       {"cached": 3}\n',
        "  temperature: 0.5\n",
        "--- system\nBe brief.\n",
        "--- user\nsay aaaa01\n",
        "--- reply\nreply of aaaa01\n",
    ):
        assert part in out


def test_a_key_must_mean_one_call(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """No call and several calls are told apart."""
    assert "no call has a key that starts with 'x%'" in failure(capsys, "x%")
    assert "several calls have keys that start with 'aa'" in failure(capsys, "aa")


def test_replies_cannot_steer_the_terminal(own_state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of replies, prompts and names are shown as text; lines stay lines."""
    ledger = Ledger(own_state / "ledger.sqlite")
    evil = "a\x1b[31m\r\x9b2J\nb"
    request = {"messages": [["user", evil]], "model": evil}
    ledger.note(ledger.put("k", evil, request, Reply(evil, 1, 1, None, 0.0, 1)), evil, valid=True)
    ledger.close()
    for arguments in ([], ["k"]):
        main(["calls", *arguments])
        out = capsys.readouterr().out
        assert not set(out) & {"\x1b", "\r", "\x9b"}
        assert "a\\x1b[31m\\r\\x9b2J" in out


@pytest.mark.parametrize("width", [70, 80, 100, 140])
def test_the_table_fits_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """No row is wider than the terminal, and each still says which call, when, and what it cost."""
    monkeypatch.setenv("COLUMNS", str(width))
    rows = run().splitlines()[:5]
    assert max(map(len, rows)) <= width
    assert all("$0.25" in row and "openai/large"[:11] in row for row in rows if row.startswith("bbbb03"))


def test_export_holds_everything(run: Run, tmp_path: Path) -> None:
    """One JSON line a call, all of them unless chosen otherwise, in the order asked for."""
    target = tmp_path / "new" / "calls.jsonl"
    assert "wrote 4 calls" in run("--export", str(target), "--expensive")
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["key"] for row in rows] == ["bbbb03", "aaaa02", "aaaa01", "cccc04"]
    first = rows[2]
    asked = first.pop("asked_by")
    assert [(one["trial"], one["example"], one["paid"]) for one in asked] == [
        ("0003", "train/1", True),
        ("0000", "val/2", False),
    ]
    assert first.pop("created_at") == pytest.approx(NOW - DAY / 2)
    assert first == {
        "key": "aaaa01",
        "model": "openai/small",
        "request": {"messages": [["system", "Be brief."], ["user", "say aaaa01"]], "temperature": 0.5},
        "reply": "reply of aaaa01",
        "prompt_tokens": 1000,
        "completion_tokens": 20,
        "finish_reason": "stop",
        "usage": {"cached": 3},
        "price": {"prompt": 1.0, "completion": 2.0},
        "cost_usd": 0.002,
        "latency_s": 1.0,
        "attempts": 2,
        "reasoning": None,
    }
    run("--export", str(target), "--invalid")
    assert [json.loads(line)["key"] for line in target.read_text().splitlines()] == ["aaaa02"]


def test_an_export_that_fails_is_an_error(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A target that cannot be written is named."""
    (tmp_path / "folder").mkdir()
    assert "cannot write" in failure(capsys, "--export", str(tmp_path / "folder"))
    assert list(tmp_path.glob(".*.part")) == []


def test_prune_asks_first(run: Run, ledger_file: Path) -> None:
    """Without --yes it says what would go and what that had cost, and deletes nothing."""
    out = run("--prune", "7d")
    assert "2 calls, 2,000+40 tokens, $0.25 (1 of unknown cost)" in out and "--yes" in out
    assert len(stored(ledger_file)) == 4


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--prune", "7d"], ["aaaa01", "aaaa02"]),
        (["--prune", "7d", "--model", "large"], ["aaaa01", "aaaa02", "cccc04"]),
        (["--prune", "--invalid"], ["aaaa01", "bbbb03", "cccc04"]),
        (["aaaa", "--prune"], ["bbbb03", "cccc04"]),
        (["--prune", "0d"], []),
        (["--prune", "90d"], ["aaaa01", "aaaa02", "bbbb03", "cccc04"]),
    ],
)
def test_prune_deletes_what_is_named(run: Run, ledger_file: Path, arguments: list[str], left: list[str]) -> None:
    """With --yes exactly those calls go, and the notes of who asked for them; the ledger works on."""
    run(*arguments, "--yes")
    assert stored(ledger_file) == stored(ledger_file, "asked") == left
    ledger = Ledger(ledger_file)
    assert [key for key, *_ in CALLS if ledger.get(key)] == left
    ledger.close()


def test_prune_gives_the_space_back(own_state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is small again."""
    path = own_state / "ledger.sqlite"
    ledger = Ledger(path)
    for number in range(200):
        ledger.put(f"{number}", "m", {}, Reply(random.Random(number).randbytes(10_000).hex(), 1, 1, None, 0.0, 1))
    ledger.close()
    assert path.stat().st_size > 2_000_000
    main(["calls", "--prune", "0d", "--yes"])
    assert path.stat().st_size < 100_000
    assert "deleted 200 calls" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--prune"], ["--prune", "1d", "--limit", "3"], ["--prune", "1d", "--slow"]])
def test_prune_must_be_told_what(
    run: Run, ledger_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Neither everything by accident, nor a limit that it would not heed."""
    assert "--prune" in failure(capsys, *arguments, "--yes")
    assert len(stored(ledger_file)) == 4


def test_prune_waits_for_nobody(run: Run, ledger_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While another connection has the ledger open, nothing is deleted, and it goes on undisturbed."""
    other = Ledger(ledger_file)
    assert other.get("aaaa01") is not None
    assert "another process uses the ledger" in failure(capsys, "--prune", "0d", "--yes")
    assert other.put("dddd05", "m", {}, Reply("x", 1, 1, None, 0.0, 1)).text == "x"
    other.close()
    assert len(stored(ledger_file)) == 5


def test_looking_changes_nothing(run: Run, ledger_file: Path) -> None:
    """Reading leaves the file as it is, byte for byte, also while another process writes."""
    before = ledger_file.read_bytes()
    other = sqlite3.connect(ledger_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert len(listed(run())) == 4
    other.close()
    assert ledger_file.read_bytes() == before


def test_looking_does_not_tidy_up(ledger_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a killed process left in SQLite's log is shown, and left there."""
    ledger = Ledger(ledger_file)
    ledger.put("aaaa09", "m", {}, Reply("x", 1, 1, None, 0.0, 1))
    there = tmp_path / "there"
    shutil.copytree(ledger_file.parent, there)
    ledger.close()
    monkeypatch.setenv("PARETUNE_HOME", str(there))
    before = [(there / f"ledger.sqlite{end}").read_bytes() for end in ("", "-wal")]
    main(["calls", "aaaa09"])
    assert [(there / f"ledger.sqlite{end}").read_bytes() for end in ("", "-wal")] == before


def test_the_ledger_of_an_older_paretune_can_be_read(own_state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file without notes of who asked is listed and shown, and left as it is."""
    path = own_state / "ledger.sqlite"
    fill(path)
    texts = ("request", "usage", "price")
    calls = [call | {name: json.dumps(call[name]) for name in texts} for call in ledger_rows.stored(path).values()]
    path.unlink()
    format_1(path, [tuple(call.values())[:13] for call in calls], None, reasoning=False)
    before = path.read_bytes()
    main(["calls"])
    assert len(listed(capsys.readouterr().out)) == 4
    main(["calls", "aaaa02"])
    assert "reply of aaaa02" in capsys.readouterr().out
    assert path.read_bytes() == before
    main(["calls", "--prune", "7d", "--yes"])
    assert len(stored(path)) == 2


def test_no_ledger_is_said_plainly(
    own_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is none, it says where it looked, and makes none."""
    assert "there is no ledger yet" in failure(capsys)
    assert not own_state.exists()
    monkeypatch.delenv("PARETUNE_HOME")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert repr(str(tmp_path)) in failure(capsys, "--prune", "0d")
    assert list(tmp_path.iterdir()) == []


def test_the_ledger_is_found_from_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nearest one at or above the current folder, not above the project's root."""
    monkeypatch.delenv("PARETUNE_HOME")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    project = tmp_path / "project"
    (project / "conf").mkdir(parents=True)
    (project / "conf" / "config.yaml").write_text("")
    monkeypatch.chdir(project / "conf")
    fill(tmp_path / ".paretune" / "ledger.sqlite")
    assert "there is no ledger yet" in failure(capsys)
    fill(project / ".paretune" / "ledger.sqlite")
    assert calls.ledger_path() == project / ".paretune" / "ledger.sqlite"
    main(["calls"])
    assert len(listed(capsys.readouterr().out)) == 4


def test_a_damaged_ledger_is_an_error(own_state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is named, with what to do about it."""
    own_state.mkdir()
    (own_state / "ledger.sqlite").write_bytes(b"no database, but a long enough text" * 20)
    for arguments in ([], ["--prune", "0d", "--yes"], ["--export", str(own_state / "out.jsonl")]):
        assert "move it away" in failure(capsys, *arguments)


def test_replies_that_wait_are_mentioned(run: Run, ledger_file: Path) -> None:
    """What the next run takes in is not in the table, but it is counted."""
    Path(f"{ledger_file}.rescue").write_bytes(b"\n[1]\n\n[2]\n" + bytes(100))
    assert "2 more wait in ledger.sqlite.rescue" in run()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--since", "7"],
        ["--since", "d"],
        ["--since", "-1d"],
        ["--since", "9" * 400 + "d"],
        ["--since", "٣d"],
        ["--prune", "1y"],
        ["--limit", "0"],
        ["--limit", "1e3"],
        ["--limit", "9" * 30],
        ["--trial", ""],
        ["--model", ""],
        [""],
        ["--slow", "--expensive"],
        ["--yes"],
        ["--export"],
    ],
)
def test_bad_arguments_are_refused(run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """One message, no traceback."""
    assert "error: " in failure(capsys, *arguments)


@given(text=st.text(max_size=12) | st.from_regex(r"[0-9]{1,12}[smhdw]", fullmatch=True))
def test_any_text_is_an_age_or_an_error(text: str) -> None:
    """Ages are plain numbers with a unit; anything else is argparse's own error."""
    try:
        seconds = calls._duration(text)
    except argparse.ArgumentTypeError:
        return
    assert seconds == int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}[text[-1]]


def test_a_reader_that_goes_away_is_no_error(ledger_file: Path) -> None:
    """``paretune calls | head -1`` ends without a word, however much there is to say."""
    ledger = Ledger(ledger_file)
    for number in range(1500):
        ledger.put(f"{number:064}", "m" * 60, {}, Reply("x", 1, 1, None, 0.0, 1))
    ledger.close()
    process: subprocess.Popen[Any] = subprocess.Popen(
        [sys.executable, "-m", "paretune.commands.main", "calls", "--limit", "1500"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(name for name in sys.path if name)},
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith(b"KEY")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=30) == 0
    process.stderr.close()
