"""Filters of templates: text becomes a number or a truth, and what is none is an error, never 0."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.datasets.templates import RowTemplate
from paretune.errors import DataError
from paretune.schemas.data_model import DataModel


class Anything(DataModel):
    value: Any


def converted(value: Any, name: str) -> Any:
    """What a template's filter makes of a cell."""
    template = RowTemplate(f'{{"value": {{{{ cell | {name} | tojson }}}}}}', Anything, kind="input", dataset="stars")
    return template.render({} if value is ... else {"cell": value}, 7).get_json()["value"]


@given(st.integers(-(10**30), 10**30))
def test_whole_numbers_survive(number: int) -> None:
    """Written as text, a whole number of any size comes back, as does one that a spreadsheet made 7.0."""
    assert converted(str(number), "int") == converted(number, "int") == converted(f" {number}.0 ", "int") == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive(number: float) -> None:
    """The text of a number gives the number."""
    assert converted(repr(number), "float") == converted(number, "float") == number


@pytest.mark.parametrize(
    ("value", "name", "result"),
    [
        ("007", "int", 7), (True, "int", 1), (3.0, "int", 3), ("1.10", "float", 1.1), (".5", "float", 0.5),
        ("TRUE", "bool", True), (" no ", "bool", False), (0, "bool", False), ("1", "bool", True), (True, "bool", True),
    ],
)  # fmt: skip
def test_what_is_meant(value: Any, name: str, result: Any) -> None:
    """Zeros in front, spaces around and capitals do not matter."""
    assert converted(value, name) == result
    assert type(converted(value, name)) is type(result)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("", "int"), ("three", "int"), ("1.5", "int"), (1.5, "int"), (None, "int"), ("1_000", "int"), ("1,000", "int"),
        ("", "float"), ("1,5", "float"), ("nan", "float"), ("inf", "float"), (None, "float"), ("1e999", "float"),
        ("", "bool"), ("maybe", "bool"), (2, "bool"), (None, "bool"), ("9" * 5_000, "int"),
    ],
)  # fmt: skip
def test_what_is_none_is_an_error(value: Any, name: str) -> None:
    """Jinja's own filters would give 0; here the row and the value are named."""
    with pytest.raises(DataError, match="row 7"):
        converted(value, name)


@pytest.mark.parametrize("name", ["int", "float", "bool"])
def test_a_column_that_is_not_there_is_named(name: str) -> None:
    """A misspelt column is no 0 either."""
    with pytest.raises(DataError, match="'cell' is undefined"):
        converted(..., name)
