"""CSV files against Python's csv: every cell as it stands, or an error; never a wrong cell, never a traceback."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from odd_tables import Table, error_of, files, judged_file, read, round_trip, tables

from paretune.errors import UsageError

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=150, **COMMON)
@given(tables())
def test_what_python_writes_is_read_back(tmp_path: Path, table: Table) -> None:
    """Any table in any of the dialects comes back cell by cell, in order and by position, packed and not."""
    round_trip(table, tmp_path)


@settings(max_examples=150, **COMMON)
@given(files())
def test_any_bytes_are_read_as_python_reads_them_or_refused(tmp_path: Path, given: tuple[bytes, str]) -> None:
    """Random files are the table that Python's strict reader finds, or a short error."""
    judged_file(*given, tmp_path)


@pytest.mark.parametrize(
    "value", ["007", "01", "1.10", "12345678901234567890", "1e5", "TRUE", "NaN", "2024-01-02", " x "]
)
def test_a_cell_is_text(tmp_path: Path, value: str) -> None:
    """Nothing is taken for a number, a truth or a date."""
    path = tmp_path / "rows.csv"
    path.write_text(f"value\n{value}\n")
    assert read(path) == [{"value": value}]


def test_a_column_may_change_its_look_late(tmp_path: Path) -> None:
    """After 20,000 numbers a text is one more text."""
    path = tmp_path / "rows.csv"
    path.write_text("text,id\n" + "".join(f"t,{i}\n" for i in range(20_000)) + "t,n/a\n")
    assert read(path)[-2:] == [{"text": "t", "id": "19999"}, {"text": "t", "id": "n/a"}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"text,label\nhello,joy,\n", "line 2 cannot be read: a row of 3 below a header of 2 ('text', 'label')"),
        (b"text,label\na,b\nhello, world,joy\n", "line 3 cannot be read: a row of 3 below"),
        (b"text,label\nid1,hello there,1\n", 'put a cell that holds the delimiter in quotes: "one, two"'),
        (b"text,label\nhello\n", "line 2 cannot be read: a row of 1 below a header of 2"),
        (b"text,label\nhello\n", "write one cell a column, also where it is empty (the delimiter is ',')"),
        (b"text,label,text\na,b,c\n", "line 1: columns must have different names (more than once: 'text')"),
        (b"text,label,,\na,b,,\n", "(more than once: ''); name each column, or delete those without a name"),
        (b"text,label\n", "has a header ('text', 'label') and no rows"),
        (b"text,label", "has a header ('text', 'label') and no rows"),
        (b"\n\n", "has no rows"),
        (b"\xef\xbb\xbf", "has no rows"),
        (b"text;label\na;b\n", "line 1: one column, 'text;label': ',' does not part its names; give the delimiter"),
        (b'text,label\n"a" b,c\n', "line 2 cannot be read: a quote within a cell"),
        (b'text,label\nx,y\n"a\nb,c\n', "line 3 to 4 cannot be read: a quoted cell that begins in this row is never"),
        (b'text,label\n"say "hi"",c\n', 'its own are written twice: "say ""hi"""'),
        (
            "text,label\nhé,b\n".encode("latin1"),
            "line 2: byte 0xe9 is not UTF-8; it looks like Windows-1252 or Latin-1",
        ),
        (
            "text,label\na,b\n".encode("utf-16"),
            "line 1: byte 0xff is not UTF-8; it looks like UTF-16: save the file as UTF-8",
        ),
        ("text,label\na,b\n".encode("utf-16-le"), "line 1: a zero byte stands in it; it looks like UTF-16"),
        (gzip.compress(b"text,label\na,b\n", mtime=0), "the file is gzip; unpack it"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, reason: str) -> None:
    """Each fault names the file, the line as an editor counts it, and the cure."""
    (tmp_path / "rows.csv").write_bytes(content)
    message = error_of(tmp_path / "rows.csv")
    assert error_of(tmp_path / "rows.csv", shuffle=True) == message
    assert str(tmp_path / "rows.csv") in message
    assert reason in message


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"text\n" + b"a\n" * 99, mtime=0)[:-9]])
def test_a_broken_package(tmp_path: Path, content: bytes) -> None:
    """A file that is not packed, and one that was cut off, are short errors."""
    (tmp_path / "rows.csv.gz").write_bytes(content)
    assert "rows.csv.gz' cannot be read" in error_of(tmp_path / "rows.csv.gz")


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    """Quoted line breaks, empty lines and all three line ends count."""
    (tmp_path / "rows.csv").write_bytes(b'text,label\r\n"a\r\nb",x\r\r\n\nc,d,e\n')
    assert "line 6 cannot be read: a row of 3" in error_of(tmp_path / "rows.csv")


def test_a_long_document_is_a_cell(tmp_path: Path) -> None:
    """A cell may be longer than Python's own limit of 131,072 characters."""
    (tmp_path / "rows.csv").write_text("text\n" + "a" * 500_000 + "\n")
    assert len(read(tmp_path / "rows.csv")[0]["text"]) == 500_000


def test_a_delimiter_is_one_character(tmp_path: Path) -> None:
    """A wrong delimiter, and one for a file that has none, are refused."""
    for name, delimiter in [("rows.csv", ";;"), ("rows.csv", '"'), ("rows.jsonl", ";")]:
        (tmp_path / name).write_text("text\na\n")
        with pytest.raises(UsageError, match="delimiter"):
            read(tmp_path / name, delimiter=delimiter)


def test_a_delimiter_that_cannot_be_seen(tmp_path: Path) -> None:
    """A control character is shown by its name, or it would break the line of an error."""
    (tmp_path / "rows.csv").write_text("text\na\x1eb\n", newline="")
    assert r'in quotes: "one\x1e two"' in error_of(tmp_path / "rows.csv", delimiter="\x1e")


def test_a_column_without_a_name(tmp_path: Path) -> None:
    """The numbers that pandas writes before each row are a column whose name is empty."""
    (tmp_path / "rows.csv").write_text(",text\n0,a\n")
    assert read(tmp_path / "rows.csv") == [{"": "0", "text": "a"}]


def test_other_options_are_those_of_hugging_face(tmp_path: Path) -> None:
    """What its reader is asked for, it reads, with the delimiter of the ending and without taking NA for nothing."""
    (tmp_path / "[1].tsv").write_text("1\tNA\n2\tb, c\n")
    rows = read(tmp_path / "[1].tsv", column_names=["number", "text"])
    assert rows == [{"number": 1, "text": "NA"}, {"number": 2, "text": "b, c"}]
