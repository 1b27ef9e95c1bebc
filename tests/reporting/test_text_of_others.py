"""Text that others wrote, in CSV and in Markdown, stays text."""

from __future__ import annotations

import io
import re

import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import DataError
from paretune.reporting.csv_text import read_table, without_formulas
from paretune.reporting.markdown import code, escaped, table
from paretune.terminal import plain
from paretune.wording import with_interval

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), st.floats(allow_nan=False, allow_infinity=False))
def test_a_table_comes_back_without_formulas(rows: list[tuple[str, str]], number: float) -> None:
    """No text cell, and no name of a column, begins like a formula; read again, each is there, plain."""
    frame = pandas.DataFrame({"=a": [one for one, _ in rows], "b": [two for _, two in rows], "c": number})
    file = io.StringIO(newline="")
    without_formulas(frame).to_csv(file, index=False, lineterminator="\n")
    found = read_table(file.getvalue(), "trials.csv", frozenset({"=a", "b"}))
    assert [(row["=a"], row["b"]) for row in found] == [(plain(one, True), plain(two, True)) for one, two in rows]
    assert all(row["c"] == number for row in found)
    safe = without_formulas(frame)
    cells = [*safe.columns, *safe["'=a"], *safe["b"]]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


@pytest.mark.parametrize("text", ["", "a,b\n1\n", 'a\n"x'])
def test_what_is_no_table_is_told(text: str) -> None:
    """Nothing, a short row, an open quote."""
    with pytest.raises(DataError, match=r"trials\.csv"):
        read_table(text, "trials.csv")


@settings(deadline=None)
@given(TEXT)
def test_a_code_span_ends_where_its_text_ends(text: str) -> None:
    """Its fence is longer than any run of backticks in it, and the text can be read back."""
    span = code(text)
    fence = re.match("`+", span)
    assert fence is not None and "\n" not in span
    inner = span[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in inner and inner[:1] != "`" and inner[-1:] != "`"
    assert len(code("x" * 1000)) == 202


def test_sentences_and_cells_hold_no_markup() -> None:
    """Tags, links, emphasis, mentions and entities are escaped; a name with an underscore stays as it is."""
    assert escaped("<b> [a](b) *c* @d &amp; `e` val_cost _f_") == (
        r"\<b\> \[a\](b) \*c\* \@d \&amp; \`e\` val_cost \_f\_"
    )
    assert table(["", "b"], [["x|y", "1"]]) == ["|  | b |", "| --- | --: |", r"| x\|y | 1 |"]


def test_an_interval_has_the_digits_that_its_width_allows() -> None:
    """Two for a share of some hundred examples, more for a narrower one, none for thousands of tokens."""
    assert with_interval(0.655, 0.5867, 0.7174) == "0.66 (0.59–0.72)"
    assert with_interval(0.8012, 0.7754, 0.8249) == "0.801 (0.775–0.825)"
    assert with_interval(1240.4, 1205.2, 1275.9) == "1,240 (1,205–1,276)"
    assert with_interval(0.0, 0.0, 0.027) == "0.000 (0.000–0.027)"
    assert with_interval(0.3) == with_interval(0.3, 0.3, 0.3) == "0.3"


@settings(deadline=None)
@given(*[st.floats(0, 1e9)] * 3)
def test_an_interval_is_written_whatever_its_ends(first: float, second: float, third: float) -> None:
    """Of any three numbers in order; ends that differ by a tenth of the value never look alike."""
    lo, value, hi = sorted((first, second, third))
    text = with_interval(value, lo, hi)
    if hi - lo > 0.1 * hi and hi > 1e-14:
        one, other = text.partition("(")[2].rstrip(")").split("–")
        assert one != other
