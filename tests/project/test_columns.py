"""What the columns of a raw table hold, and what is proposed of them."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import DataError, UsageError
from paretune.project.columns import measured, tidy_rows
from paretune.project.fields import field_names, output_field
from paretune.project.proposal import input_columns, kind_of_targets, named, target_candidates
from paretune.schemas.data_model import DataModel


def rows(**columns: list[Any]) -> list[dict[str, Any]]:
    """Rows from columns of one length, tidied."""
    return tidy_rows([dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)], "rows")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["yes", "no", "Yes"], "yes or no"),
        ([True, False, True], "yes or no"),
        (["0", "1", "0"], "yes or no"),
        (["7", " 12 ", "-3.0"], "whole number"),
        (["7", "1.5", "1e-3"], "number"),
        (["007", "12", "3"], "text"),
        (["2024-01-31", "2024-02-01", ""], "date"),
        ([datetime.datetime(2024, 1, 31), None, None], "date"),
        (['["a", "b"]', "[]", "['c']"], "list"),
        ([["a"], [], None], "list"),
        (['{"a": 1}', "{'a': None}", ""], "record"),
        (["[deleted]", '["a"]', "x"], "text"),
        (["", "  ", None], "empty"),
        ([Decimal("1.5"), 2, float("nan")], "number"),
    ],
)
def test_the_kind_of_a_column(values: list[Any], kind: str) -> None:
    """The narrowest kind that all values are, whether the cells are text or values; empty cells do not count."""
    (column,) = measured(rows(x=values))
    assert column.kind == kind
    assert column.missing == sum(value is None or value != value or str(value).strip() == "" for value in values)


def test_what_has_no_json_is_refused_with_its_row() -> None:
    """Bytes, as images in Parquet files are, cannot be written into data/."""
    with pytest.raises(DataError, match=r"row 1 .*bytes"):
        tidy_rows([{"x": "a"}, {"x": b"\x89PNG"}], "rows.parquet")


cells = st.none() | st.text(max_size=8) | st.integers(-(10**6), 10**6) | st.booleans() | st.floats(width=32)


@given(st.lists(st.fixed_dictionaries({"a": cells, "b": st.lists(cells, max_size=3)}), min_size=1, max_size=6))
def test_tidy_rows_survive_a_file(table: list[dict[str, Any]]) -> None:
    """Whatever a reader gives is written as JSON and read back the same, and tidying twice is tidying once."""
    if any(isinstance(value, float) and abs(value) == float("inf") for row in table for value in (row["a"], *row["b"])):
        with pytest.raises(DataError, match="no number"):
            tidy_rows(table, "rows")
        return
    once = tidy_rows(table, "rows")
    assert json.loads(json.dumps(once, allow_nan=False)) == once
    assert tidy_rows(once, "rows") == once
    assert {column.name for column in measured(once)} == {"a", "b"}


def test_the_target_is_found_by_its_name_or_by_what_it_holds() -> None:
    """A name like `label` decides, else the shorter of two columns, else the columns whose values come again."""
    texts = [f"some longer text about thing number {n}" for n in range(20)]
    few = ["a", "b"] * 10
    by_name = measured(rows(id=list(range(20)), body=texts, channel=few, Label_2=few))
    assert [column.name for column in target_candidates(by_name)] == ["Label_2"]
    assert [column.name for column in input_columns(by_name, target_candidates(by_name))] == ["body"]
    of_two = measured(rows(id=list(range(20)), question=texts, capital=[f"City {n}" for n in range(20)]))
    assert [column.name for column in target_candidates(of_two)] == ["capital"]
    unclear = measured(rows(body=texts, channel=few, kind_of=few[::-1]))
    assert [column.name for column in target_candidates(unclear)] == ["channel", "kind_of"]


def test_without_a_free_text_all_columns_are_inputs() -> None:
    """A table of numbers and categories is classified from all of its columns but identifiers."""
    table = measured(rows(id=list(range(20)), age=[20, 30] * 10, city=["Ulm", "Bonn"] * 10, label=["x", "y"] * 10))
    (target,) = target_candidates(table)
    assert [column.name for column in input_columns(table, [target])] == ["age", "city"]
    with pytest.raises(DataError, match="no column to answer from beside 'label'"):
        input_columns(measured(rows(label=["x", "y"])), measured(rows(label=["x", "y"])))


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("topic", ["a", "b", "c"] * 8, ("single", None)),
        ("label", [0, 1, 2] * 8, ("single", None)),
        ("stars", ["1", "2", "3", "5"] * 6, ("number", None)),
        ("size", [str(n) for n in range(24)], ("number", None)),
        ("weight", ["1.5", "2.5"] * 12, ("number", None)),
        ("spam", ["yes", "no"] * 12, ("single", None)),
        ("tags", ["a;b", "a", "b;c", "c; a"] * 6, ("multi", ";")),
        ("tags", [["a", "b"], [], ["b"]] * 8, ("multi", None)),
        ("answers", [[f"x{n}", f"y{n}"] for n in range(24)], ("text", None)),
        ("items", [[f"x{n}", f"y{n}"] for n in range(24)], ("extract", None)),
        ("invoice", [{"total": n} for n in range(24)], ("extract", None)),
        ("capital", [f"City {n}" for n in range(24)], ("text", None)),
        ("when", ["1/2/2024", "3/4/2024", "1/4/2024"] * 8, ("single", None)),
    ],
)
def test_the_kind_of_an_answer(name: str, values: list[Any], kind: tuple[str, str | None]) -> None:
    """Few values are labels, lists and separators several of them, quantities numbers, everything else a text."""
    assert kind_of_targets(measured(rows(**{name: values}))) == kind


def test_several_targets_are_labels_or_fields() -> None:
    """Columns of 0 and 1 are labels, others the fields of a record."""
    flags = measured(rows(toxic=["0", "1"], rude=["1", "0"]))
    assert kind_of_targets(flags) == ("multi", None)
    assert kind_of_targets(measured(rows(vendor=["a", "b"], total=["1.5", "2"]))) == ("extract", None)


def test_a_column_that_is_not_there_is_refused() -> None:
    """Case and blanks do not count; anything else is an error that names the nearest column."""
    columns = measured(rows(**{"Ticket Body": ["x"], "topic": ["y"]}))
    assert named([" ticket body"], columns, "--input") == (columns[0],)
    with pytest.raises(UsageError, match=r"--target: no column 'topics' .*did you mean 'topic'"):
        named(["topics"], columns, "--target")
    with pytest.raises(UsageError, match="named twice"):
        named(["topic", "Topic"], columns, "--target")


@given(st.lists(st.text(max_size=12), max_size=6, unique=True))
def test_fields_have_names_that_data_models_take(names: list[str]) -> None:
    """Whatever a header holds, its field is an identifier of its own that no data model has already."""
    found = field_names(names)
    assert list(found) == names and len(set(found.values())) == len(names)
    assert all(
        name.isidentifier() and not name.startswith("_") and not hasattr(DataModel, name) for name in found.values()
    )


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        (["1.5", "2"], {"type": "float"}),
        (["yes", None], {"type": "bool", "optional": True}),
        (["31.12.2024", "01.02.2024"], {"type": "date", "format": "%d.%m.%Y"}),
        (["2024-05-01T10:00", "2024-05-01T11:30"], {"type": "datetime"}),
        (["EUR", "USD", "EUR"] * 4, {"type": "category", "values": ["EUR", "USD"]}),
        (["a;b", "a", "b;c", "c"] * 4, {"type": "category", "values": ["a", "b", "c"], "list": True, "separator": ";"}),
        ([["x"], ["y", "z"]], {"type": "str", "list": True}),
        ([[1, 2], []], {"type": "int", "list": True}),
        ([{"city": "Ulm"}, {"city": None}], {"type": "record", "fields": {"city": {"type": "str", "optional": True}}}),
        (["a long description of a thing, in words", "another long description of it"], {"type": "str"}),
        (
            ["a description that is longer than forty letters", "one more of them, also rather long"],
            {"type": "str", "match": "f1"},
        ),
    ],
)
def test_the_field_of_a_column(values: list[Any], declared: dict[str, Any]) -> None:
    """Types, choices, lists, records, forms of dates, and what may be missing, from the values alone."""
    table = rows(x=values)
    (column,) = measured(table)
    assert output_field(column, "x", [row["x"] for row in table]) == declared
