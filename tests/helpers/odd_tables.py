"""CSV files of all kinds, and what Python's csv makes of them."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from paretune.datasets import HuggingFaceDataset
from paretune.errors import DataError
from paretune.schemas.data_model import DataModel

__all__ = ["Rows", "Table", "error_of", "files", "judged_file", "read", "round_trip", "tables"]

Rows = list[dict[str, str]]


class Anything(DataModel):
    row: Any


def read(path: Path, **options: Any) -> Rows:
    """All rows of a file, as templates see them."""
    template = {"input_data_model": Anything, "input_template": '{"row": {{ row | tojson }}}'}
    return [x.get_json()["row"] for (x,) in HuggingFaceDataset(str(path), **template, **options)]


def error_of(path: Path, **options: Any) -> str:
    """The text of the DataError that reading a file ends in, one or two lines."""
    try:
        rows = read(path, **options)
    except DataError as error:
        assert len(str(error).splitlines()) <= 2
        return str(error)
    raise AssertionError(f"{path.read_bytes()!r} is no table, and was read as {rows}")


def _expected(content: bytes, delimiter: str) -> Rows | None:
    """What Python's strict reader gives, when it is a table: distinct names, and one cell a column in each row."""
    try:
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        header, *rows = [cells for cells in csv.reader(text, delimiter=delimiter, strict=True) if cells]
    except (ValueError, csv.Error):  # not UTF-8, no row at all, or broken quotes
        return None
    whole = len(set(header)) == len(header) and all(len(cells) == len(header) for cells in rows)
    readable = whole and rows and not any("\0" in name for name in header)
    return [dict(zip(header, cells, strict=True)) for cells in rows] if readable else None


def _cells(row: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(row.items())


def judged_file(content: bytes, delimiter: str, folder: Path) -> str:
    """Read a file in order and by position, packed and not: ``table`` where all is as in Python's csv, ``refused``
    where that finds none and neither does paretune."""
    plain, packed = folder / "rows.csv", folder / "rows.csv.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content, 1))
    rows = _expected(content, delimiter)
    for path in (plain, packed):
        for shuffle in (False, True):
            if rows is None:
                error_of(path, delimiter=delimiter, shuffle=shuffle)
            else:
                found = read(path, delimiter=delimiter, shuffle=shuffle)
                assert sorted(found, key=_cells) == sorted(rows, key=_cells) if shuffle else found == rows
    return "refused" if rows is None else "table"


class Table(NamedTuple):
    """A header and rows, and how they are written; ``mark``: a mark of UTF-8 stands before them."""

    header: list[str]
    rows: list[list[str]]
    dialect: dict[str, Any]
    mark: bool

    def written(self) -> bytes:
        """The table as Python's csv writes it."""
        text = io.StringIO(newline="")
        # Before Python 3.13 the writer quotes a line break only where it is its own.
        both = any(end in cell for cells in [self.header, *self.rows] for cell in cells for end in "\r\n")
        dialect = self.dialect | ({"quoting": csv.QUOTE_ALL} if both else {})
        csv.writer(text, **dialect).writerows([self.header, *self.rows])
        return (b"\xef\xbb\xbf" if self.mark else b"") + text.getvalue().encode()


def round_trip(table: Table, folder: Path) -> str:
    """Write a table and read it: it comes back cell by cell."""
    header, dialect = table.header, table.dialect
    if not table.mark and header[0].startswith("\ufeff") and dialect["quoting"] == csv.QUOTE_MINIMAL:
        return "ambiguous"  # a name that begins with that mark cannot be told from a file that does
    content = table.written()
    assert judged_file(content, dialect["delimiter"], folder) == "table"
    wanted = [dict(zip(header, cells, strict=True)) for cells in table.rows]
    assert read(folder / "rows.csv", delimiter=dialect["delimiter"]) == wanted
    return "table"


_CELLS = st.text(st.characters(codec="utf-8") | st.sampled_from(",;\t|\"\r\n'\0 \ufeff\u2028"), max_size=12)
_NAMES = _CELLS.filter(lambda name: name != "row" and "\0" not in name)
_DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|:") | st.characters(codec="utf-8", exclude_characters='"\r\n\0'),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    }
)
#: Text that is nearly a table: its pieces are what breaks tables.
_PIECES = [b"text,label", b"a", b"b c", b",", b",,", b'"', b'""', b"\n", b"\r\n", b"\r", b";", b"\t", b" ", b"\0"]
_PIECES += ["é".encode(), "é".encode("latin1"), b"\xef\xbb\xbf", b"\xff\xfe", b"\n\n", b'"a, b"', b'"a\nb"', b'"x""y"']
_BROKEN = st.lists(st.sampled_from(_PIECES), max_size=25).map(b"".join) | st.binary(max_size=40)


@st.composite
def tables(draw: st.DrawFn, *, ragged: bool = False) -> Table:
    """A header of different names, and rows below it; ``ragged``: some have more or fewer cells than it."""
    header = draw(st.lists(_NAMES, min_size=1, max_size=5, unique=True))
    fewest, most = (0, 7) if ragged else (len(header), len(header))
    rows = draw(st.lists(st.lists(_CELLS, min_size=fewest, max_size=most), min_size=1, max_size=6))
    return Table(header, rows, draw(_DIALECTS), draw(st.booleans()))


def _recoded(table: Table, encoding: str) -> bytes:
    return table.written().decode("utf-8-sig").encode(encoding, "replace")


def files() -> st.SearchStrategy[tuple[bytes, str]]:
    """Content and delimiter of files that may be no tables: ragged ones, other encodings, broken quotes, any bytes."""
    encodings = st.sampled_from(["utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-8-sig"])
    odd = st.builds(lambda table, encoding: (_recoded(table, encoding), table), tables(), encodings)
    uneven = tables(ragged=True).map(lambda table: (table.written(), table))
    return (odd | uneven).map(lambda pair: (pair[0], pair[1].dialect["delimiter"])) | st.tuples(
        _BROKEN, st.sampled_from(",;")
    )
