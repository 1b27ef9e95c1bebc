"""The file that is read is the one that was named; JSON and workbooks, and what is wrong with them."""

from __future__ import annotations

import datetime
import gzip
import json
import lzma
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paretune.datasets import HuggingFaceDataset
from paretune.errors import DataError, ParetuneError, UsageError
from paretune.schemas.data_model import DataModel

ENDINGS = [
    ".csv",
    ".tsv",
    ".jsonl",
    ".json",
    ".ndjson",
    ".parquet",
    ".csv.gz",
    ".tsv.gz",
    ".jsonl.gz",
    ".json.gz",
    ".csv.xz",
    ".jsonl.xz",
]
NAMES = [
    "train[1]", "train[!1]", "train*", "train?", "{a,b}", "**", "a b", "100%20", "ünï 🎉", "-train", "~", "~root",
    "$HOME", "train::a", "#1", "a&b;c", "hf:", "train.csv", "a\\b", "'quoted\"", "new\nline",
]  # fmt: skip


class Anything(DataModel):
    row: Any


def read(path: Path | str, **options: Any) -> list[dict[str, Any]]:
    """All rows of a file, as templates see them."""
    template = {"input_data_model": Anything, "input_template": '{"row": {{ row | tojson }}}'}
    return [x.get_json()["row"] for (x,) in HuggingFaceDataset(path, **template, **options)]


def error_of(path: Path | str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert len(str(caught.value).splitlines()) <= 2
    str(caught.value).encode()
    return str(caught.value)


def write(path: Path, text: str) -> Path:
    """A file of one row, in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row, ending = {"text": text}, path.name.lower().removesuffix(".gz").removesuffix(".xz")
    if ending.endswith(".parquet"):
        from pyarrow import Table, parquet

        parquet.write_table(Table.from_pylist([row]), str(path))
    else:
        content = (f"text\n{text}\n" if ending.endswith((".csv", ".tsv")) else json.dumps(row)).encode()
        pack = {".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix.lower(), bytes)
        path.write_bytes(pack(content))
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_name_is_never_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Whatever stands in a file's or a folder's name, that file is read, whole and alone."""
    for neighbour in ("train1", "train2", "train", "a", "b"):
        write(tmp_path / f"{neighbour}{ending}", "wrong")
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        path = write(tmp_path / f"{name}{ending}", "right")
        assert read(path) == [{"text": "right"}]
        assert read(path.name) == [{"text": "right"}]
        assert read(path, shuffle=True) == [{"text": "right"}]
        path.unlink()
        path = write(tmp_path / f"[2024] {name}/train{ending}", "right")
        assert read(path, streaming=False) == read(path.parent) == [{"text": "right"}]


@pytest.mark.parametrize("builder", ["csv", "json", "parquet"])
def test_data_files_that_exist_are_no_pattern(tmp_path: Path, builder: str) -> None:
    """Hugging Face's own way of naming files: a name that exists is that file, any other may be a pattern."""
    ending = ".jsonl" if builder == "json" else f".{builder}"
    named = write(tmp_path / f"train[1]{ending}", "named")
    write(tmp_path / f"train1{ending}", "matched")
    assert read(builder, data_files=str(named)) == [{"text": "named"}]
    assert read(builder, data_files={"a": [named, named]}, split="a") == [{"text": "named"}] * 2
    assert read(builder, data_files=str(tmp_path / f"train[1-9]{ending}")) == [{"text": "matched"}]


def test_a_name_that_looks_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there is read, also where its path could be an address on the hub."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "hf:/datasets/rows.csv", "here")
    assert read("hf://datasets/rows.csv") == [{"text": "here"}]


@pytest.mark.parametrize(
    "name", ["TRAIN.CSV", "Train.Csv.GZ", "train.JSONL", "TRAIN.JSON", "train.NdJson", "T.PARQUET"]
)
def test_the_case_of_an_ending_does_not_matter(tmp_path: Path, name: str) -> None:
    """Neither in a file's name nor in a folder."""
    path = write(tmp_path / name, "a")
    assert read(path) == read(tmp_path) == [{"text": "a"}]


def test_a_folder_of_capitals_and_packed_files(tmp_path: Path) -> None:
    """Splits are told in capitals and before .csv.gz; hidden files, locks and folders are none of the data."""
    write(tmp_path / "TRAIN.csv.gz", "training")
    write(tmp_path / "My_Test.csv.gz", "test")
    for name in ("._train.csv", ".train.csv", "~$train.xlsx"):
        (tmp_path / name).write_bytes(b"\0")
    (tmp_path / "old.csv").mkdir()
    assert read(tmp_path) == [{"text": "training"}]
    assert read(tmp_path, split="test") == [{"text": "test"}]
    write(tmp_path / "train.csv", "unpacked")
    assert "mixes .csv, .csv.gz files" in error_of(tmp_path)


@pytest.mark.parametrize("path", ["x" * 5_000 + ".csv", "a\0b.csv", "~nobody/rows.csv", "-.csv"])
def test_paths_that_cannot_be(path: str) -> None:
    """A path that no file can have is not found, like any other."""
    assert "data file not found" in error_of(path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (r'{"text": "half \ud83d"}', r"line 2: not valid JSON (one object a line is expected): \ud83d is half a char"),
        (r'{"text": ["\udc00"]}', r"\udc00 is half a character; give both halves, or leave it out"),
        (r'{"\ud800": 1}', r"\ud800 is half a character"),
        (
            '{"text": "a", "text": "b"}',
            "the name 'text' stands more than once in one object, with 'a' and 'b'; keep one",
        ),
        ('{"text": {"a": 1, "b": 2, "a": 3}}', "the name 'a' stands more than once in one object, with 1 and 3"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"text": ' + "1" * 5_000 + "}", "line 2: not valid JSON"),
        ('{"text": "a\0b"}', "a zero byte stands in it"),
        ("text", "line 2: not valid JSON (one object a line is expected): Expecting value"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_broken_json_lines(tmp_path: Path, line: str, reason: str, packed: bool) -> None:
    """The file, the line and the reason, whether the rows are read in order or by position."""
    content = f'{{"text": "fine"}}\n{line}\n'.encode()
    path = tmp_path / ("rows.jsonl.gz" if packed else "rows.jsonl")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert reason in error_of(path)
    assert error_of(path, shuffle=True) == error_of(path)


@pytest.mark.parametrize("levels", [98, 99, 100, 101, 500, 985, 990, 1_000])
def test_the_depth_of_a_row(tmp_path: Path, levels: int) -> None:
    """A row is one level, and may have 100; deeper ones are refused here, before anything breaks over them."""
    for name, text in [("a.jsonl", "%s"), ("a.json", "[%s]")]:
        path = tmp_path / name
        path.write_text(text % ('{"text": ' + "[" * levels + "]" * levels + "}"))
        if levels < 100:
            assert str(read(path)).count("[") == levels + 1
        else:
            assert "nested too deeply (at most 100 levels)" in error_of(path)


def test_whole_pairs_are_text(tmp_path: Path) -> None:
    """An escaped character of two halves is one character, in a list of rows as well."""
    for name, content in [
        ("a.jsonl", r'{"text": "\ud83d\ude00 \u00e9"}'),
        ("a.json", r'[{"text": "\ud83d\ude00 \u00e9"}]'),
    ]:
        (tmp_path / name).write_text(content)
        assert read(tmp_path / name) == [{"text": "😀 é"}]
    (tmp_path / "b.json").write_text(r'[{"text": "\ud83d"}]')
    assert r"b.json': not valid JSON: \ud83d is half a character" in error_of(tmp_path / "b.json")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin1"])
@pytest.mark.parametrize("ending", [".jsonl", ".json"])
def test_json_in_another_encoding(tmp_path: Path, encoding: str, ending: str) -> None:
    """What to do stands in the error."""
    (tmp_path / f"rows{ending}").write_bytes('[{"text": "é"}]'.encode(encoding))
    assert "save the file as UTF-8, for example: iconv -f " in error_of(tmp_path / f"rows{ending}")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60) | st.text('[]{}":,\\ud8a1\n \ufeff').map(str.encode), st.sampled_from([".jsonl", ".json.gz"])
)
def test_any_bytes_are_rows_or_an_error(tmp_path: Path, content: bytes, ending: str) -> None:
    """Random bytes never end in anything but rows or a short error."""
    path = tmp_path / f"rows{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    for shuffle in (False, True):
        try:
            json.dumps(read(path, shuffle=shuffle), ensure_ascii=False).encode()
        except ParetuneError as error:
            str(error).encode()


@pytest.mark.parametrize("streaming", [True, False])
def test_what_is_no_table_in_parquet(tmp_path: Path, capfd: pytest.CaptureFixture[str], streaming: bool) -> None:
    """A file that is none, columns of one name and no row are one line each; an empty part of a folder is no fault."""
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    path.write_bytes(b"text\na\n")
    assert "a.parquet' cannot be read as Parquet: " in error_of(path, streaming=streaming)
    parquet.write_table(pyarrow.table([["a"], ["b"]], names=["text", "text"]), path)
    assert "columns must have different names (more than once: 'text')" in error_of(path, streaming=streaming)
    parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), path)
    assert "a.parquet' has no rows" in error_of(path, streaming=streaming)
    write(tmp_path / "b.parquet", "right")
    assert read(tmp_path, streaming=streaming) == [{"text": "right"}]
    assert capfd.readouterr().err == ""


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    """A workbook of these sheets, in this order."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_the_cells_of_a_workbook_are_text(tmp_path: Path) -> None:
    """Each kind of value becomes the text that stands for it, an empty cell an empty text; empty rows are none."""
    values = {
        "007": "007", 7: "7", 1.5: "1.5", True: "true", "  ": "  ", "TRUE": "TRUE",
        datetime.date(2024, 5, 1): "2024-05-01", datetime.datetime(2024, 5, 1, 10, 30): "2024-05-01T10:30:00",
        datetime.time(10, 30): "10:30:00",
    }  # fmt: skip
    rows = [["text", "value"], *([f"t{n}", value] for n, value in enumerate(values)), [], ["last", None]]
    path = workbook(tmp_path / "A.XLSX", Sheet=rows)
    wanted = [{"text": f"t{n}", "value": text} for n, text in enumerate(values.values())]
    assert read(path) == [*wanted, {"text": "last", "value": ""}]
    assert sorted(map(str, read(path, shuffle=True))) == sorted(map(str, read(path)))


def test_the_sheet_of_a_workbook(tmp_path: Path) -> None:
    """A split is the sheet of that name, train the first one where none is called so; a folder's files come first."""
    path = workbook(tmp_path / "a.xlsx", One=[["text"], ["one"]], Two=[["text"], ["two"]])
    assert read(path) == [{"text": "one"}]
    assert read(path, split="Two") == [{"text": "two"}]
    assert "has no sheet 'two' (it has 'One', 'Two')" in error_of(path, split="two")
    workbook(tmp_path / "b.xlsx", Notes=[["text"], ["wrong"]], train=[["text"], ["right"]])
    assert read(tmp_path / "b.xlsx") == [{"text": "right"}]
    (tmp_path / "folder").mkdir()
    workbook(tmp_path / "folder/test.xlsx", Sheet=[["text"], ["tested"]])
    assert read(tmp_path / "folder", split="test") == [{"text": "tested"}]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([["text", "label"], ["a", "b", "c"]], "row 2 of the sheet cannot be read: a row of 3 below a header of 2"),
        ([["text", "text"], ["a", "b"]], "row 1 of the sheet: columns must have different names"),
        ([["text"], ["=1+1"]], "row 2 of the sheet: the formula '=1+1' has no result; save the file in Excel once"),
        ([["text"], ["#N/A"]], "row 2 of the sheet: a cell holds the error #N/A"),
        ([["text", "label"]], "has a header ('text', 'label') and no rows"),
        ([], "has no rows"),
    ],
)
def test_what_is_no_table_in_a_workbook(tmp_path: Path, rows: list[list[Any]], reason: str) -> None:
    """The rules of a CSV file hold, and a formula or an error is no value."""
    assert reason in error_of(workbook(tmp_path / "a.xlsx", Sheet=rows))


def test_a_broken_workbook(tmp_path: Path) -> None:
    """A file that is no workbook is a short error."""
    pytest.importorskip("openpyxl")
    (tmp_path / "a.xlsx").write_text("text\na\n")
    assert "a.xlsx' cannot be read as a workbook" in error_of(tmp_path / "a.xlsx")


def test_without_openpyxl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra to install is named."""
    (tmp_path / "a.xlsx").touch()
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UsageError, match=r"pip install 'paretune\[xlsx\]'"):
        read(tmp_path / "a.xlsx")
