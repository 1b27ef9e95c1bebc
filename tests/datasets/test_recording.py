"""A file of recorded replies, in each of its forms."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import paretune
from paretune.datasets.recording import Recording
from paretune.errors import ConfigError, DataError
from paretune.files import write_jsonl
from paretune.lm.backends.recorded import Recorded

#: question, model, reply, tokens of the prompt and of the reply, dollars, seconds; None: not recorded.
Row = tuple[str, str, str | None, int | None, int | None, float | None, float | None]
LOG: list[Row] = [
    ("one?", "a", "1", 5, 1, 0.001, 0.5),
    ("one?", "b", "eins", 6, 2, None, 0.25),
    ("two?", "a", "2", 5, 1, 0.001, None),
    ("two?", "b", None, None, None, None, None),
]
AMOUNTS = ("prompt_tokens", "completion_tokens", "cost_usd", "latency_s")
LONG = {"model": "model", "reply": "reply", **{name: name for name in AMOUNTS}}


def long_rows(log: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(zip(("question", "model", "reply", *AMOUNTS), row, strict=True)) for row in log]


def nested_rows(log: Sequence[Row]) -> list[dict[str, Any]]:
    """One row a question, in which each column holds the values by model."""
    found: dict[str, dict[str, Any]] = {}
    for question, model, *values in log:
        row = found.setdefault(question, {"question": question})
        for name, value in zip(("reply", *AMOUNTS), values, strict=True):
            row.setdefault(name, {})[model] = value
    return list(found.values())


def wide_rows(log: Sequence[Row]) -> list[dict[str, Any]]:
    """One row a question, and a column for each value of each model."""
    return [
        {"question": row["question"]}
        | {f"{name}_{model}": value for name in ("reply", *AMOUNTS) for model, value in row[name].items()}
        for row in nested_rows(log)
    ]


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_packed(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(lzma.compress(text) if path.suffix == ".xz" else gzip.compress(text))
    return path


def replies_of(recording: Recording) -> dict[str, dict[str, list[Recorded]]]:
    return {name: {key: list(found) for key, found in recording.of(name).items()} for name in recording.models}


EXPECTED = {
    "a": {"one?": [Recorded("1", 5, 1, 0.001, 0.5)], "two?": [Recorded("2", 5, 1, 0.001, None)]},
    "b": {"one?": [Recorded("eins", 6, 2, None, 0.25)]},
}


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *itertools.product(["csv", "jsonl", "jsonl.gz", "jsonl.xz", "parquet"], ["long", "wide"]),
        *itertools.product(["jsonl", "parquet"], ["nested"]),  # a cell of a csv file holds no mapping
    ],
)
def test_every_form_in_every_file(kind: str, form: str, tmp_path: Path) -> None:
    """The three forms say the same, in whatever file; what was not recorded is not known, and is not 0."""
    rows = {"long": long_rows, "nested": nested_rows, "wide": wide_rows}[form](LOG)
    columns: dict[str, Any] = {"reply": "reply", **{name: name for name in AMOUNTS}}
    if form == "long":
        columns = LONG
    elif form == "wide":
        columns = {name: f"{name}_{{model}}" for name in columns}
    path = tmp_path / f"log.{kind}"
    if kind == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        write_jsonl(path, rows)
    else:
        (write_csv if kind == "csv" else write_packed)(path, rows)
    assert replies_of(Recording(path, **columns)) == EXPECTED


def test_some_models_of_a_file(tmp_path: Path) -> None:
    """`models` chooses, and is needed where any column may be a model's."""
    path = write_csv(tmp_path / "log.csv", [{"question": "q", "a": "1", "b": "2", "note": "x"}])
    assert Recording(path, reply="{model}", models=["b"]).models == ["b"]
    with pytest.raises(ConfigError, match=r"give recording\.models"):
        Recording(path, reply="{model}")
    with pytest.raises(ConfigError, match="no reply of the models 'c'"):
        Recording(path, reply="{model}", models=["a", "c"])


def test_a_reply_that_is_no_text(tmp_path: Path) -> None:
    """A reply that was stored as JSON values is their text again."""
    write_jsonl(tmp_path / "log.jsonl", [{"question": 7, "model": "a", "reply": {"answer": 3}}])
    assert replies_of(Recording(tmp_path / "log.jsonl", model="model", reply="reply")) == {
        "a": {"7": [Recorded('{"answer": 3}')]}
    }


def test_estimated_tokens(tmp_path: Path) -> None:
    """A quarter of the characters of the question and of the reply, where tokens were not recorded."""
    write_jsonl(tmp_path / "log.jsonl", [{"question": "q" * 40, "replies": {"a": "r" * 10}}])
    recording = Recording(tmp_path / "log.jsonl", tokens_per_character=0.25)
    assert replies_of(recording)["a"] == {"q" * 40: [Recorded("r" * 10, 10, 2)]}


@pytest.mark.parametrize(
    ("row", "columns", "error", "words"),
    [
        ({"q": "one?", "replies": {}}, {}, ConfigError, "no column 'question' (it has: 'q', 'replies')"),
        ({"question": "one?", "replys": {}}, {}, ConfigError, "did you mean 'replys'?"),
        ({"question": "one?", "replies": "1"}, {}, DataError, "row 1: 'replies' must hold the replies by model"),
        ({"question": "one?", "replies": None}, {}, ConfigError, "holds no replies"),
        ({"question": "o", "m": "a", "r": "1", "s": "soon"}, {"latency_s": "s"}, DataError, "'soon' is not a number"),
        ({"question": "o", "m": "a", "r": "1", "s": -1}, {"latency_s": "s"}, DataError, "at least 0"),
    ],
)
def test_what_cannot_be(row: Any, columns: Any, error: type[Exception], words: str, tmp_path: Path) -> None:
    """The file, the row and the column are named, with what there is."""
    write_jsonl(tmp_path / "log.jsonl", [row])
    with pytest.raises(error) as caught:
        Recording(tmp_path / "log.jsonl", **({"model": "m", "reply": "r"} if "m" in row else {}), **columns)
    assert words in str(caught.value)


def test_an_unknown_model(tmp_path: Path) -> None:
    """The models of the file are listed."""
    write_jsonl(tmp_path / "log.jsonl", [{"question": "q", "replies": {"gpt": "1"}}])
    with pytest.raises(
        ConfigError, match=r"has no replies of recorded/gtp; did you mean 'gpt'\?.*it has: recorded/gpt"
    ):
        Recording(tmp_path / "log.jsonl").of("gtp")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("qrs"), st.sampled_from("ab"), st.text(), st.integers(0, 9), st.integers(0, 9)),
        min_size=1,
    )
)
def test_replies_of_one_key(
    tmp_path_factory: pytest.TempPathFactory, log: list[tuple[str, str, str, int, int]]
) -> None:
    """Whatever stands in a log comes back, in its order, with each further reply to a key behind the first."""
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    write_jsonl(path, long_rows([(*row, None, None) for row in log]))
    found = replies_of(Recording(path, **LONG))
    for question, model in {row[:2] for row in log}:
        assert [one[:3] for one in found[model][question]] == [row[2:] for row in log if row[:2] == (question, model)]


class Question(paretune.DataModel):
    question: str


class Solution(paretune.DataModel):
    answer: int


def test_in_a_program_of_ones_own(tmp_path: Path) -> None:
    """The library's programs take such a model as any other; where a reply is missing, the example failed."""
    write_jsonl(tmp_path / "log.jsonl", [{"question": "one?", "replies": {"a": 'I say {"answer": "1 apple"}'}}])
    model = paretune.LanguageModel(
        "recorded/a",
        recordings=paretune.Recording(tmp_path / "log.jsonl"),
        ledger=paretune.Ledger(tmp_path / "ledger.sqlite"),
    )

    async def evaluated() -> paretune.Evaluation:
        inputs = paretune.Input(data_model=Question)
        outputs = await paretune.Generator(data_model=Solution, language_model=model)(inputs)
        program = paretune.Program(inputs=inputs, outputs=outputs)
        program.compile(reward=paretune.rewards.ExactMatch())
        x = [Question(question="one?"), Question(question="two?")]
        return await program.evaluation(x, [Solution(answer=1), Solution(answer=2)])

    first, second = paretune.run_maybe_nested(evaluated()).outcomes
    assert (first.status, first.reward, first.prompt_tokens, first.latency_s) == ("ok", 1.0, None, None)
    assert (second.status, second.reward) == ("failed", None)
    assert model.ledger.session.paid == 0 and model.ledger.session.served == 1
