"""``paretune predict`` with a program's file: formats, order, errors by row, kills, caps, and what it leaves behind."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from openai_server import OpenAIServer

from paretune.commands.main import main

TEXTS = ["my parcel", "money back, please", "ä 😀", "=SUM(A1)", 'it\'s "odd", yes']


def written(path: Path, texts: list[str]) -> Path:
    """A data file of the kind that its name tells."""
    rows = [{"text": text} for text in texts]
    if path.suffix == ".csv" or path.suffix == ".tsv":
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, ["text"], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.table({"text": texts}), path)
    else:
        from openpyxl import Workbook

        book = Workbook()
        book.active.append(["text"])
        for text in texts:
            book.active.append([text])
            book.active.cell(book.active.max_row, 1).data_type = "s"
        book.save(path)
    return path


def predict(*arguments: Any) -> int:
    """Run the command; its exit code."""
    try:
        main(["predict", *map(str, arguments)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet", "xlsx"])
def test_every_format_in_order(ending: str, program_file: Path, tmp_path: Path) -> None:
    """Each row with its columns and typed answer, in the order of the file; a second run asks nothing anew."""
    out = tmp_path / "out.jsonl"
    assert predict(program_file, "--input", written(tmp_path / f"in.{ending}", TEXTS), "--output", out) == 0
    rows = read(out)
    assert [row["text"] for row in rows] == TEXTS
    assert all(set(row["prediction"]) == {"topic", "day"} for row in rows)
    assert predict(program_file, "--input", tmp_path / f"in.{ending}", "--output", out, "--max-calls", 0) == 0
    assert read(out) == rows


def test_errors_stay_with_their_rows(program_file: Path, tmp_path: Path, upstream: OpenAIServer) -> None:
    """A reply that says nothing, a missing column and a wrong type: an error each, the others are answered."""
    rows = [{"text": "a"}, {"text": "nonsense"}, {"words": "a"}, {"text": 3}, {"text": "b", "id": 7}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert predict(program_file, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl") == 1
    found = read(tmp_path / "out.jsonl")
    assert [("prediction" in row, "error" in row) for row in found] == [
        (True, False), (False, True), (False, True), (False, True), (True, False)
    ]  # fmt: skip
    assert "has not the form" in found[1]["error"] and "text" in found[2]["error"] and found[4]["id"] == 7


def test_formulas_are_no_formulas_in_csv(program_file: Path, tmp_path: Path) -> None:
    """What a spreadsheet would run is text there, in names of columns too; the parsed cells are whole."""
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "=cmd|'/C calc'!A0", "@x": "+1"}) + "\n")
    predict(program_file, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "out.csv")
    header, line = csv.reader(io.StringIO((tmp_path / "out.csv").read_text()))
    assert header == ["text", "'@x", "prediction.topic", "prediction.day", "error"]
    assert line[0] == "'=cmd|'/C calc'!A0" and line[1] == "'+1" and line[2] in ("order", "refund")


def test_a_cap_keeps_what_is_answered(
    program_file: Path, tmp_path: Path, upstream: OpenAIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error speaks of the option and counts the rows; the next run pays for the others alone."""
    source = written(tmp_path / "in.csv", [f"text {number}" for number in range(6)])
    assert predict(program_file, "--input", source, "--output", tmp_path / "out.csv", "--max-calls", 4) == 1
    said = capsys.readouterr().err
    assert "--max-calls 4" in said and "rows answered: 4" in said and "budget.calls" not in said
    assert not (tmp_path / "out.csv").exists() and len(upstream.asked) == 4
    assert predict(program_file, "--input", source, "--output", tmp_path / "out.csv") == 0
    assert len(upstream.asked) == 6


def test_a_kill_loses_nothing_that_is_stored(
    program_file: Path, tmp_path: Path, upstream: OpenAIServer, slow_down: Callable[[float], None]
) -> None:
    """Killed while it runs, by the signal that nobody can catch: no stored reply is asked for again."""
    slow_down(0.05)
    source = written(tmp_path / "in.jsonl", [f"text {number}" for number in range(60)])
    command = [
        sys.executable,
        "-m",
        "paretune",
        "predict",
        program_file,
        "--input",
        source,
        "--output",
        tmp_path / "o.csv",
    ]
    environment = {**os.environ, "OPENAI_API_KEY": "none"}
    with subprocess.Popen(list(map(str, command)), env=environment, cwd=tmp_path) as process:
        until = time.monotonic() + 60
        while len(upstream.asked) < 32 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "o.csv").exists()
    assert subprocess.run(list(map(str, command)), env=environment, cwd=tmp_path, check=False).returncode == 0
    in_flight = 16
    assert 60 <= len(upstream.asked) <= 60 + in_flight
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 61


def test_standard_input_and_a_limit(
    program_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], upstream: OpenAIServer
) -> None:
    """JSON lines in, JSON lines out; rows after the limit are not asked about."""
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert predict(program_file, "--input", "-", "--limit", 2) == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == TEXTS[:2]
    assert len(upstream.asked) == 2


def test_without_a_ledger_no_file_is_made(
    program_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: OpenAIServer
) -> None:
    """Neither a ledger nor a rescue file, in the folder or in the state's; every run asks, and its cap holds."""
    monkeypatch.setenv("PARETUNE_LEDGER", "on")  # which the option changes
    monkeypatch.delenv("PARETUNE_HOME")
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    source = written(tmp_path / "in.jsonl", TEXTS)
    for _ in range(2):
        assert predict(program_file, "--input", source, "--output", tmp_path / "out.jsonl", "--no-ledger") == 0
    assert len(upstream.asked) == 2 * len(TEXTS)
    assert (
        predict(program_file, "--input", source, "--output", tmp_path / "o.jsonl", "--no-ledger", "--max-calls", 2) == 1
    )
    assert len(upstream.asked) == 2 * len(TEXTS) + 2
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--limit", "0"], "--limit must be at least 1"), (["--output", "o.parquet"], "must end with .jsonl or .csv"),
        (["--trial", "2"], "--trial is of a project"), (["--max-calls", "-1"], "at least 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(
    arguments: list[str], expected: str, program_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that names the option."""
    source = written(tmp_path / "in.jsonl", TEXTS)
    assert predict(program_file, "--input", source, *arguments) == 1
    assert expected in capsys.readouterr().err
