"""`paretune import`: what tables and other programs' logs say becomes trials, with the whole report."""

from __future__ import annotations

import csv
import json
import lzma
import math
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.commands.main import main
from paretune.files import read_json, write_jsonl
from paretune.importing.report import read_cells
from paretune.importing.tables import Columns
from paretune.importing.trials import imported
from paretune.stats import wilson

Capsys = pytest.CaptureFixture[str]
Scores = dict[str, list[float | None]]


def rows_of(scores: Scores, **more: Callable[[str, int], Any]) -> list[dict[str, Any]]:
    """A row for each score that is there: by configuration, that of each item."""
    return [
        {"model": name, "item": item, "score": score, **{key: value(name, item) for key, value in more.items()}}
        for name, values in scores.items()
        for item, score in enumerate(values)
        if score is not None
    ]


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def table_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def ends(argv: Sequence[str]) -> int:
    """The exit code of a command."""
    try:
        main(argv)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_table(tmp_path: Path, capsys: Capsys) -> None:
    """Rewards, costs, tokens and the frontier of a packed table; what has no column is not known; nothing is called."""
    scores: Scores = {"large": [1] * 18 + [0] * 2, "small": [1] * 12 + [0] * 8, "odd": [0] * 20}
    dollars = {"large": 0.5, "small": 0.25, "odd": 0.75}
    rows = rows_of(scores, cost=lambda name, _: dollars[name], question=lambda _, item: f"question {item}")
    plain = write_table(tmp_path / "plain.csv", rows)
    path = tmp_path / "results.csv.xz"
    path.write_bytes(lzma.compress(plain.read_bytes()))
    main(["import", str(path), "-o", str(tmp_path / "out")])
    assert "3 configurations on 20 items, 0 calls" in capsys.readouterr().out
    large, small, odd = table_of(tmp_path / "out")
    assert [row["model"] for row in (large, small, odd)] == ["large", "small", "odd"]
    lo, hi = wilson(18, 20)
    assert [float(large[f"val_reward{end}"]) for end in ("", "_lo", "_hi")] == pytest.approx([0.9, lo, hi])
    assert [row["on_frontier"] for row in (large, small, odd)] == ["True", "True", "False"]
    assert float(odd["val_cost"]) == 0.75 and float(odd["cost_usd"]) == 15
    assert not {"val_tokens_per_request", "val_latency"} & large.keys() and large["prompt_tokens"] == ""
    metrics = read_json(tmp_path / "out" / "metrics.json")
    assert metrics["winner"] == {"trial": 1, "model": "large"} and metrics["val"]["reward"] == 0.9
    assert metrics["search"]["frontier_size"] == 2
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "trials.csv", "pareto.json", "pareto.png", "report.md", "report.html", "metrics.json",
    }  # fmt: skip


def test_missing_cells(tmp_path: Path, capsys: Capsys) -> None:
    """They are told, take no part in means, and are no zeros; a configuration with too many of them is not ranked."""
    scores: Scores = {"whole": [1] * 10 + [0] * 10, "holes": [1] * 9 + [0] * 9 + [None] * 2, "bare": [1] + [None] * 19}
    path = write_table(tmp_path / "results.csv", rows_of(scores))
    main(["import", str(path), "-o", str(tmp_path / "out")])
    whole, holes, bare = table_of(tmp_path / "out")
    assert [float(row["val_reward"]) for row in (whole, holes)] == [0.5, 0.5]
    assert float(holes["val_failure_rate"]) == 0.1 and bare["status"] == "FAILED" and bare["val_reward"] == ""
    told = capsys.readouterr().err
    assert "of 60 cells 21 are missing and 0 failed" in told and "1 configurations have more than 10% of these" in told
    assert ends(["import", str(path), "-o", str(tmp_path / "out"), "--max-failures", "0"]) == 0
    assert [row["status"] for row in table_of(tmp_path / "out")] == ["COMPLETED", "FAILED", "FAILED"]


def test_replicates(tmp_path: Path) -> None:
    """Several rows of one configuration and item are replicates: the mean is over them, the examples stay as many."""
    rows = [*rows_of({"a": [1] * 10}), *rows_of({"a": [0] * 10})]
    found = imported(read_cells([write_table(tmp_path / "t.csv", rows)], Columns({})), {}, 0.1)
    (record,) = found.records
    assert [one.metrics["val_reward"] for one in record.replicates] == [0.5, 0.5] and record.n == 10
    assert [each.reward for each in record.outcomes] == [1.0] * 10 + [0.0] * 10


def test_named_columns(tmp_path: Path) -> None:
    """Several hyperparameters, numbers as numbers, further metrics with their directions, objectives and texts."""
    rows = [
        {"m": m, "t": t, "q": q, "right": int(q < 10 * t), "length": 100 - q, "said": f"a{q}", "gold": f"g{q}"}
        for m in "xy"
        for t in (0.5, 1.0)
        for q in range(10)
    ]
    path = tmp_path / "results.jsonl"
    write_jsonl(path, rows)
    options = ["--configuration", "m", "--configuration", "t", "--item", "q", "--score", "right", "--answer", "said"]
    more = ["--target", "gold", "--metric", "length:min", "--objective", "val_reward", "--objective", "val_length"]
    main(["import", str(path), "-o", str(tmp_path / "out"), *options, *more])
    table = table_of(tmp_path / "out")
    assert [(row["m"], row["t"]) for row in table] == [("x", "0.5"), ("x", "1.0"), ("y", "0.5"), ("y", "1.0")]
    assert {row["val_length"] for row in table} == {"95.5"}
    assert len(read_json(tmp_path / "out" / "pareto.json")) == 4
    (cell, *_) = read_cells(
        [path], Columns({"configuration": ["t"], "item": ["q"], "score": ["right"], "answer": ["said"]})
    )
    assert cell.values == {"t": 0.5} and cell.outcome.output == {"answer": "a0"} and cell.y == {"answer": "g0"}


@pytest.mark.parametrize(
    ("row", "options", "words"),
    [
        ({"model": "a", "item": 1, "right": 1}, [], "has no column 'score' or 'reward' or 'correct'"),
        ({"model": "a", "item": 1, "score": 1}, ["--cost", "usd"], "has no column 'usd'"),
        ({"model": "a", "item": 1, "score": "good"}, [], "row 1, 'score': 'good' is not a number"),
        ({"model": "a", "item": 1, "score": 1, "cost": -1}, [], "must be a number of at least 0"),
        ({"model": "a", "item": 1, "score": ""}, [], "there is no scored item in it"),
        ({"model": "a", "item": 1, "score": 1}, ["--objective", "val_cost"], "'val_cost' is not known of all"),
        ({"model": "a", "item": 1, "score": 1}, ["--metric", "item:down"], "behind the colon stands max or min"),
        ({"model": "a", "item": 1, "score": 1}, ["--rule", "best"], "the winner's rule is one of"),
    ],
)
def test_what_cannot_be(row: Any, options: list[str], words: str, tmp_path: Path, capsys: Capsys) -> None:
    """One line: what is wrong where, and what there is."""
    path = write_table(tmp_path / "results.csv", [row])
    assert ends(["import", str(path), "-o", str(tmp_path / "out"), *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") <= 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.none() | st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=4))
def test_means_of_any_table(tmp_path_factory: pytest.TempPathFactory, scores: list[list[int | None]]) -> None:
    """Each configuration's reward is the mean of its cells, whatever is missing, and in whatever order rows come."""
    given_: Scores = {f"c{place}": list(values) for place, values in enumerate(scores)}
    rows = rows_of(given_)
    if not rows:
        return
    random.Random(0).shuffle(rows)
    path = write_table(tmp_path_factory.mktemp("table") / "t.csv", rows)
    found = imported(read_cells([path], Columns({})), {}, 1.0)
    means = {record.values["model"]: record.metrics["val_reward"] for record in found.records}
    for name, values in given_.items():
        known = [value for value in values if value is not None]
        assert name not in means if not known else math.isclose(means[name], sum(known) / len(known))
    assert found.missing == found.cells - len(rows)


def inspect_sample(number: int, value: Any, epoch: int = 1, error: str | None = None) -> dict[str, Any]:
    return {
        "id": f"q{number}",
        "epoch": epoch,
        "input": [{"role": "user", "content": f"What is {number}?"}] if number else "attachment://one",
        "target": str(number),
        "attachments": {"one": "What is nought?"},
        "output": {"completion": f"It is {number}"},
        "scores": None if error else {"match": {"value": value}, "judge": {"value": {"tone": 0.5}}},
        "model_usage": {"m": {"input_tokens": 10, "input_tokens_cache_read": 5, "output_tokens": 2}},
        "events": [{"event": "model"}, {"event": "state"}, {"event": "model"}],
        "working_time": 1.5,
        **({"error": {"message": error}} if error else {}),
    }


def inspect_log(values: Sequence[Any], temperature: float, epochs: int = 1) -> dict[str, Any]:
    head = {
        "task": "sums",
        "model": "openai/m",
        "model_generate_config": {"temperature": temperature},
        "model_args": {"x": {}},
    }
    samples = [inspect_sample(n, value, epoch) for epoch in range(1, epochs + 1) for n, value in enumerate(values)]
    return {
        "version": 2,
        "status": "success",
        "eval": head,
        "plan": {"steps": [{"solver": "generate"}]},
        "samples": samples,
    }


def write_archive(path: Path, log: dict[str, Any], zstandard: bool) -> Path:
    """A log as an `.eval` file; Python's zipfile writes no Zstandard, so that its headers are written over."""
    samples = {f"samples/{one['id']}_epoch_{one['epoch']}.json": one for one in log["samples"]}
    members = {**samples, "header.json": {name: value for name, value in log.items() if name != "samples"}}
    contents = {name: json.dumps(value).encode() for name, value in members.items()}
    packed = {name: pyarrow.compress(text, codec="zstd", asbytes=True) for name, text in contents.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if zstandard else zipfile.ZIP_DEFLATED) as archive:
        for name, content in (packed if zstandard else contents).items():
            archive.writestr(name, content)
        places = {member.filename: member.header_offset for member in archive.infolist()}
    if zstandard:
        whole = bytearray(path.read_bytes())
        for name, text in contents.items():
            central = whole.rindex(b"PK\x01\x02", 0, whole.rindex(name.encode()))
            for method, sizes in ((places[name] + 8, places[name] + 14), (central + 10, central + 16)):
                whole[method : method + 2] = struct.pack("<H", 93)
                whole[sizes : sizes + 12] = struct.pack("<III", zlib.crc32(text), len(packed[name]), len(text))
        path.write_bytes(whole)
    return path


@pytest.mark.parametrize("form", ["deflate", "zstandard", "json"])
def test_logs_of_inspect(form: str, tmp_path: Path, capsys: Capsys) -> None:
    """Each log is a configuration: its model and options; letters are rewards, epochs replicates, errors failures."""
    logs = [inspect_log(["C", "C", "I", "P"] * 5, 0.0), inspect_log(["C", "I", "I", "N"] * 5, 0.7, epochs=2)]
    logs[0]["samples"][3] = inspect_sample(3, "C", error="out of memory")
    paths = []
    for number, log in enumerate(logs):
        path = tmp_path / f"{number}.{'json' if form == 'json' else 'eval'}"
        paths.append(path)
        if form == "json":
            path.write_text(json.dumps(log))
        else:
            write_archive(path, log, form == "zstandard")
    main(["import", *map(str, paths), "-o", str(tmp_path / "out")])
    first, second = table_of(tmp_path / "out")
    assert [first["temperature"], second["temperature"]] == ["0.0", "0.7"]
    assert (first["model"], first["solver"], first["n"]) == ("openai/m", "generate", "20")
    assert float(first["val_reward"]) == pytest.approx(12 / 19) and float(second["val_reward"]) == 0.25
    assert (first["replicates"], second["replicates"]) == ("1", "2")
    assert float(first["val_tokens_per_request"]) == 17 and float(first["val_latency"]) == 0.75
    assert "of 60 cells 0 are missing and 1 failed" in capsys.readouterr().err
    cells = list(read_cells(paths[:1], Columns({}), score="judge/tone"))
    assert {cell.outcome.reward for cell in cells} == {0.5, None}
    assert [cell.x["input"] for cell in cells[:2]] == ["What is nought?", "What is 1?"]
    assert ends(["import", *map(str, paths), "--score", "judge"]) == 1
    assert "choose one, --score judge/tone" in capsys.readouterr().err


def promptfoo_result(number: int, label: str, score: float, **more: Any) -> dict[str, Any]:
    return {
        "provider": {"id": "openai:m", "label": "m"},
        "prompt": {"raw": f"{label} {number}", "label": label},
        "vars": {"text": f"text {number}"},
        "testCase": {"vars": {"text": f"text {number}"}, "assert": [{"type": "equals", "value": "x"}]},
        "response": {"output": {"answer": number}},
        "score": score,
        "latencyMs": 250,
        "cost": 0.001,
        "tokenUsage": {"total": 12, "prompt": 10, "completion": 2},
        "failureReason": 0 if score else 1,
        **more,
    }


def test_the_output_of_promptfoo(tmp_path: Path) -> None:
    """A provider with a prompt is a configuration; a call that failed is a failure, a wrong answer is not."""
    results = [promptfoo_result(n, "short", float(n % 2)) for n in range(20)]
    results += [promptfoo_result(n, "long", 1.0, cost=0.002) for n in range(19)]
    results += [promptfoo_result(19, "long", 0.0, failureReason=2, response={"error": "no connection"})]
    path = tmp_path / "out.json"
    path.write_text(json.dumps({"evalId": "e", "results": {"version": 3, "results": results}, "config": {}}))
    main(["import", str(path), "-o", str(tmp_path / "out")])
    short, long = table_of(tmp_path / "out")
    assert (short["provider"], short["prompt"], long["prompt"]) == ("m", "short", "long")
    assert [float(row["val_reward"]) for row in (short, long)] == [0.5, 1.0]
    assert float(long["val_failure_rate"]) == 0.05 and float(long["val_cost"]) == 0.002
    assert float(short["val_latency"]) == 0.25 and float(short["val_tokens_per_request"]) == 12


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.eval", b"no zip", "cannot be read as a zip archive"),
        ("a.json", b'{"eval": {}, "samples": [{}]}', "is no log of inspect that is understood"),
        ("a.json", b'{"results": {"results": [{}]}}', "is no output of promptfoo that is understood"),
        ("a.json", b"{", "is not valid JSON"),
        ("a.txt", b"x", "unknown ending"),
        ("none.csv", None, "data file not found"),
    ],
)
def test_files_that_are_none(name: str, content: bytes | None, words: str, tmp_path: Path, capsys: Capsys) -> None:
    """One line that says what was expected."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert ends(["import", str(path)]) == 1
    assert words in capsys.readouterr().err
