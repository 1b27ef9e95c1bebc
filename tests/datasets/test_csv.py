"""CSV files against Python's csv: every cell as it stands, or an error; never a wrong cell, never a traceback."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paretune.datasets import HuggingFaceDataset
from paretune.errors import DataError, UsageError
from paretune.schemas.data_model import DataModel

Rows = list[dict[str, str]]


class Anything(DataModel):
    row: Any


def read(path: Path, **options: Any) -> Rows:
    """All rows of a file, as templates see them."""
    template = {"input_data_model": Anything, "input_template": '{"row": {{ row | tojson }}}'}
    return [x.get_json()["row"] for (x,) in HuggingFaceDataset(str(path), **template, **options)]


def error_of(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value)


def expected(content: bytes, delimiter: str) -> Rows | None:
    """What Python's strict reader gives, when it is a table: distinct names, and one cell a column in each row."""
    try:
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        header, *rows = [cells for cells in csv.reader(text, delimiter=delimiter, strict=True) if cells]
    except ValueError:  # not UTF-8, or no row at all
        return None
    except csv.Error:
        return None
    whole = len(set(header)) == len(header) and all(len(cells) == len(header) for cells in rows)
    readable = whole and rows and not any("\0" in name for name in header)
    return [dict(zip(header, cells, strict=True)) for cells in rows] if readable else None


def _cells(row: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(row.items())


def check(content: bytes, delimiter: str, folder: Path) -> bool:
    """Read in order and by position, packed and not; all agree with Python's csv. Returns whether it was a table."""
    plain, packed = folder / "rows.csv", folder / "rows.csv.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content, 1))
    rows = expected(content, delimiter)
    for path in (plain, packed):
        for shuffle in (False, True):
            if rows is None:
                error_of(path, delimiter=delimiter, shuffle=shuffle)
            else:
                found = read(path, delimiter=delimiter, shuffle=shuffle)
                assert sorted(found, key=_cells) == sorted(rows, key=_cells) if shuffle else found == rows
    return rows is not None


CELLS = st.text(st.characters(codec="utf-8") | st.sampled_from(",;\t|\"\r\n'\0 \ufeff\u2028"), max_size=12)
NAMES = CELLS.filter(lambda name: name != "row" and "\0" not in name)
DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|:") | st.characters(codec="utf-8", exclude_characters='"\r\n\0'),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    }
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """A header of different names, and rows below it."""
    header = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    cells = st.lists(CELLS, min_size=len(header), max_size=len(header))
    return header, draw(st.lists(cells, min_size=1, max_size=6))


def written(header: list[str], rows: list[list[str]], dialect: dict[str, Any], mark: bool) -> bytes:
    """A table as Python's csv writes it; whether a mark of UTF-8 stands before it."""
    text = io.StringIO(newline="")
    # Before Python 3.13 the writer quotes a line break only where it is its own.
    both = any(end in cell for cells in [header, *rows] for cell in cells for end in "\r\n")
    csv.writer(text, **dialect | ({"quoting": csv.QUOTE_ALL} if both else {})).writerows([header, *rows])
    return (b"\xef\xbb\xbf" if mark else b"") + text.getvalue().encode()


def round_trip(table: tuple[list[str], list[list[str]]], dialect: dict[str, Any], mark: bool, folder: Path) -> None:
    header, rows = table
    if not mark and header[0].startswith("\ufeff") and dialect["quoting"] == csv.QUOTE_MINIMAL:
        return  # a name that begins with that mark cannot be told from a file that does
    content = written(header, rows, dialect, mark)
    assert check(content, dialect["delimiter"], folder)
    (folder / "rows.csv").write_bytes(content)
    wanted = [dict(zip(header, cells, strict=True)) for cells in rows]
    assert read(folder / "rows.csv", delimiter=dialect["delimiter"]) == wanted


#: Text that is nearly a table: its pieces are what breaks tables.
PIECES = [b"text,label", b"a", b"b c", b",", b",,", b'"', b'""', b"\n", b"\r\n", b"\r", b";", b"\t", b" ", b"\0"]
PIECES += ["é".encode(), "é".encode("latin1"), b"\xef\xbb\xbf", b"\xff\xfe", b"\n\n", b'"a, b"', b'"a\nb"', b'"x""y"']
MALFORMED = st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join) | st.binary(max_size=40)
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=150, **COMMON)
@given(tables(), DIALECTS, st.booleans())
def test_what_python_writes_is_read_back(tmp_path: Path, table: Any, dialect: Any, mark: bool) -> None:
    """Any table in any of the dialects comes back cell by cell, in order and by position, packed and not."""
    round_trip(table, dialect, mark, tmp_path)


@settings(max_examples=150, **COMMON)
@given(MALFORMED, st.sampled_from(",;"))
def test_any_bytes_are_read_as_python_reads_them_or_refused(tmp_path: Path, content: bytes, delimiter: str) -> None:
    """Random bytes are the table that Python's strict reader finds, or a short error."""
    check(content, delimiter, tmp_path)


@pytest.mark.slow
@settings(max_examples=1_000, **COMMON)
@given(tables(), DIALECTS, st.booleans())
def test_a_thousand_tables(tmp_path: Path, table: Any, dialect: Any, mark: bool) -> None:
    """The same as above, for longer."""
    round_trip(table, dialect, mark, tmp_path)


@pytest.mark.slow
@settings(max_examples=1_500, **COMMON)
@given(MALFORMED, st.sampled_from(",;"))
def test_fifteen_hundred_broken_files(tmp_path: Path, content: bytes, delimiter: str) -> None:
    """The same as above, for longer."""
    check(content, delimiter, tmp_path)


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


def test_a_column_without_a_name(tmp_path: Path) -> None:
    """The numbers that pandas writes before each row are a column whose name is empty."""
    (tmp_path / "rows.csv").write_text(",text\n0,a\n")
    assert read(tmp_path / "rows.csv") == [{"": "0", "text": "a"}]


def test_other_options_are_those_of_hugging_face(tmp_path: Path) -> None:
    """What its reader is asked for, it reads, with the delimiter of the ending and without taking NA for nothing."""
    (tmp_path / "[1].tsv").write_text("1\tNA\n2\tb, c\n")
    rows = read(tmp_path / "[1].tsv", column_names=["number", "text"])
    assert rows == [{"number": 1, "text": "NA"}, {"number": 2, "text": "b, c"}]
