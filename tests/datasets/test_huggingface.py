"""Local files as datasets: no network, nothing left behind, text as it stands."""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paretune.datasets import Dataset, HuggingFaceDataset, load_split
from paretune.errors import DataError, UsageError
from paretune.schemas.data_model import DataModel

ROOT = Path(__file__).parents[2]
ROWS = [{"text": f"row {i}", "label": i % 2} for i in range(10)]


class Text(DataModel):
    text: str


class Number(DataModel):
    number: int


TEMPLATES: dict[str, Any] = {
    "input_data_model": Text,
    "input_template": '{"text": {{ text | tojson }}}',
    "output_data_model": Number,
    "output_template": '{"number": {{ label }}}',
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Any attempt to reach the network fails the test; so does anything written to the home folder."""
    attempts: list[Any] = []

    def refuse(*address: Any, **options: Any) -> Any:
        attempts.append(address)
        raise OSError("no network in tests")

    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert attempts == []
    assert list(home.rglob("*")) == []


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    """One file of rows in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    elif path.suffix == ".parquet":
        from pyarrow import Table, parquet

        parquet.write_table(Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


def texts(dataset: Dataset) -> list[str]:
    return [x.get_json()["text"] for x, *_ in dataset]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_every_ending_gives_the_same_examples(tmp_path: Path, ending: str, streaming: bool) -> None:
    """The format of a file does not matter, nor whether it is streamed."""
    path = write(tmp_path / f"rows.{ending}", ROWS)
    x, y = load_split(path, streaming=streaming, **TEMPLATES)
    assert x.shape == y.shape == (10,)
    assert [item.text for item in x] == [row["text"] for row in ROWS]
    assert [item.number for item in y] == [row["label"] for row in ROWS]


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "tsv", "parquet"])
@pytest.mark.parametrize("text", ["2020-01-01", "null", "NA", "", "\"<&>'\\", "line\nbreak", "\u2028 é 🎉", " a "])
def test_text_stays_as_it_is(tmp_path: Path, ending: str, text: str) -> None:
    """No reader turns text into a date, into nothing, or into other text."""
    path = write(tmp_path / f"rows.{ending}", [{"text": text, "label": 0}] * 2)
    assert texts(HuggingFaceDataset(path, streaming=False, **TEMPLATES)) == [text, text]


@pytest.mark.parametrize("builder", ["json", "csv"])
def test_builder_names_with_data_files(tmp_path: Path, builder: str) -> None:
    """Hugging Face's own way of naming local files works, and attempts no network call."""
    path = write(tmp_path / f"rows.{'jsonl' if builder == 'json' else 'csv'}", ROWS)
    assert texts(HuggingFaceDataset(builder, split="train", data_files=path, **TEMPLATES))[9] == "row 9"
    assert len(texts(HuggingFaceDataset(builder, split="a", data_files={"a": [path, path]}, **TEMPLATES))) == 20


def test_a_folder_is_read_by_split(tmp_path: Path) -> None:
    """Files named after splits give each its split; otherwise the folder as a whole is the split train."""
    write(tmp_path / "named/tweets_train.jsonl", ROWS[:3])
    write(tmp_path / "named/tweets_test-00000.jsonl", ROWS[3:])
    assert len(texts(HuggingFaceDataset(str(tmp_path / "named"), split="train", **TEMPLATES))) == 3
    assert len(texts(HuggingFaceDataset(str(tmp_path / "named"), split="test", **TEMPLATES))) == 7
    write(tmp_path / "parts/a.jsonl", ROWS[:4])
    write(tmp_path / "parts/b.jsonl", ROWS[4:])
    dataset = HuggingFaceDataset(str(tmp_path / "parts"), shuffle=True, **TEMPLATES)
    assert sorted(texts(dataset)) == [row["text"] for row in ROWS]


def test_inputs_only(tmp_path: Path) -> None:
    """Without an output template the examples are one-tuples."""
    path = write(tmp_path / "rows.jsonl", ROWS)
    options = {key: value for key, value in TEMPLATES.items() if key.startswith("input")}
    (x,) = load_split(path, **options)
    assert x.shape == (10,)


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv"])
@pytest.mark.parametrize("streaming", [True, False])
def test_shuffle_permutes_and_repeats_itself(tmp_path: Path, ending: str, streaming: bool) -> None:
    """A seed gives one permutation, the limit cuts after it, and each iteration starts afresh."""
    path = write(tmp_path / f"rows.{ending}", ROWS)

    def shuffled(**options: Any) -> list[str]:
        dataset = HuggingFaceDataset(path, streaming=streaming, shuffle=True, **TEMPLATES, **options)
        assert texts(dataset) == texts(dataset)
        return texts(dataset)

    assert sorted(shuffled(seed=0)) == [row["text"] for row in ROWS]
    assert shuffled(seed=0) != shuffled(seed=1)
    assert shuffled(seed=0, limit=4) == shuffled(seed=0)[:4]


def test_a_batch_size_is_for_training(tmp_path: Path) -> None:
    """A batch size is kept for fit() and changes no row: it is nothing for Hugging Face's load_dataset."""
    path = write(tmp_path / "rows.jsonl", ROWS)
    dataset = HuggingFaceDataset(path, batch_size=4, **TEMPLATES)
    assert dataset.batch_size == 4 and texts(dataset) == texts(HuggingFaceDataset(path, **TEMPLATES))


def test_limit_and_repeat(tmp_path: Path) -> None:
    """The limit counts rows; each of them comes ``repeat`` times."""
    path = write(tmp_path / "rows.jsonl", ROWS)
    dataset = HuggingFaceDataset(path, limit=2, repeat=3, **TEMPLATES)
    assert texts(dataset) == ["row 0"] * 3 + ["row 1"] * 3


def test_rows_keep_their_numbers_when_shuffled(tmp_path: Path) -> None:
    """An error names the row where it stands in the file."""
    rows = [{"text": "a", "label": 0 if i != 6 else "six"} for i in range(9)]
    path = write(tmp_path / "rows.jsonl", rows)
    with pytest.raises(DataError, match=r"row 6 \(counted from 0\), output template"):
        load_split(path, shuffle=True, seed=3, **TEMPLATES)


def error_of(path: str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_split(path, **{**TEMPLATES, **options})
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def test_what_cannot_be_found(tmp_path: Path) -> None:
    """A missing file, an unknown ending, an empty folder and an unknown split each say what would do."""
    (tmp_path / "rows.txt").write_text("a")
    (tmp_path / "empty").mkdir()
    path = write(tmp_path / "rows.jsonl", ROWS)
    assert "not found" in error_of(str(tmp_path / "none.jsonl"))
    assert "unknown ending '.txt' (known: .json, .jsonl, .csv" in error_of(str(tmp_path / "rows.txt"))
    assert "no data files" in error_of(str(tmp_path / "empty"))
    assert "has no split 'test'" in error_of(path, split="test")
    write(tmp_path / "mix/a.csv", ROWS)
    write(tmp_path / "mix/b.jsonl", ROWS)
    assert "mixes .csv, .jsonl" in error_of(str(tmp_path / "mix"))


@pytest.mark.parametrize("streaming", [True, False])
def test_unknown_split_of_a_builder(tmp_path: Path, streaming: bool) -> None:
    """Hugging Face's two wordings of an unknown split become one, with the splits that there are."""
    path = write(tmp_path / "rows.csv", ROWS)
    message = error_of("csv", split="test", data_files=path, streaming=streaming)
    assert message == "dataset 'csv[test]' has no split 'test' (it has: train)"


def test_a_csv_without_the_column(tmp_path: Path) -> None:
    """The columns that there are stand in the error."""
    path = write(tmp_path / "rows.csv", [{"Text": "a", "label": 0}])
    message = error_of(path)
    assert "'text' is undefined; did you mean 'Text'?" in message
    assert "columns: Text, label" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"text": "a"}\n\n{"text": \n', "line 3: not valid JSON"),
        (b"[1]\n", "item 0 (counted from 0): a row must be a JSON object"),
        (b'{"text": "\xff"}\n', "line 1: not valid JSON"),
        (b'"text"\n', "line 1: a row must be a JSON object"),
        (b"", "has no rows"),
    ],
)
def test_broken_json(tmp_path: Path, content: bytes, reason: str) -> None:
    """A broken line is named as an editor counts it."""
    (tmp_path / "rows.jsonl").write_bytes(content)
    options = {"output_data_model": None, "output_template": None}
    assert reason in error_of(str(tmp_path / "rows.jsonl"), **options)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_broken_csv(tmp_path: Path, streaming: bool) -> None:
    """A parser's error becomes one that names the dataset."""
    (tmp_path / "rows.csv").write_text("text,label\na,1\nb,2,3,4\n")
    assert "cannot be read" in error_of(str(tmp_path / "rows.csv"), streaming=streaming)


def test_a_hub_dataset_without_network(tmp_path: Path) -> None:
    """Offline and not in the cache: a short error with the cure, and no traceback."""
    program = (
        "from paretune.datasets import gsm8k as g\n"
        "from paretune.pipeline.run_stage import run_stage\n"
        "run_stage(lambda: g.load_data())\n"
    )
    environment = {"PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    first, *rest = done.stderr.splitlines()
    assert first.startswith("error: dataset 'openai/gsm8k[train]' cannot be reached: ")
    assert len(rest) == 1
    assert "connect to the network once, or use local files" in rest[0]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_two_splits_of_one_file(tmp_path: Path, ending: str, shuffle: bool) -> None:
    """The rows that one split takes and those that another one skips are all rows, each once."""
    path = write(tmp_path / f"rows{ending}", [{"text": str(n), "label": n} for n in range(10)])

    def numbers(**options: int) -> list[int]:
        _, y = load_split(path, shuffle=shuffle, seed=3, **options, **TEMPLATES)
        return [record.number for record in y]

    head, tail = numbers(limit=7), numbers(skip=7)
    assert head + tail == numbers() and sorted(head + tail) == list(range(10)) and len(tail) == 3
    assert numbers(skip=2, limit=3) == head[2:5]


def test_arguments_that_do_not_fit(tmp_path: Path) -> None:
    """Half an output and an empty limit are refused before anything is read."""
    path = write(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(UsageError, match="belong together"):
        HuggingFaceDataset(path, **{**TEMPLATES, "output_template": None})
    with pytest.raises(UsageError, match=r"must be >= 1 \(got limit=0"):
        HuggingFaceDataset(path, limit=0, **TEMPLATES)
    with pytest.raises(UsageError, match=r"skip must be >= 0 \(got -1"):
        HuggingFaceDataset(path, skip=-1, **TEMPLATES)
    with pytest.raises(UsageError, match=r"batch_size must be >= 1 \(got 0"):
        HuggingFaceDataset(path, batch_size=0, **TEMPLATES)


def test_a_dataset_of_ones_own() -> None:
    """Any subclass with ``__iter__`` can be materialized."""

    class Own(Dataset):
        def __iter__(self) -> Iterator[tuple[DataModel, ...]]:
            yield from ((Text(text=str(i)), Number(number=i)) for i in range(3))

    x, y = Own().materialize()
    assert x.dtype == y.dtype == object
    assert [item.number for item in y] == [0, 1, 2]
