"""The one JSON of a record: the same value has the same bytes and the same verdict, in every process."""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel, ValidationError, create_model, field_serializer

from paretune.errors import UsageError
from paretune.files import canonical_json
from paretune.rewards import ExactMatch
from paretune.schemas.data_model import SCORES, DataModel, Score


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel, frozen=True):
    """A part that is no data model, so that it may hold NaN."""

    name: str
    weight: float


class Anything(DataModel):
    value: Any


class Plain(DataModel):
    """What most records are made of."""

    text: str
    count: int
    number: float
    sure: bool
    score: Score
    label: Literal["a", 1]
    texts: list[str]
    part: Part | None


def of_type(annotation: Any, value: Any) -> DataModel:
    return create_model("Record", __base__=DataModel, field=(annotation, ...))(field=value)


def text_of(record: DataModel) -> str:
    return json.dumps(record.get_json(), allow_nan=False)


def text(annotation: Any, value: Any) -> str:
    return text_of(of_type(annotation, value))


def verdict(annotation: Any, true: Any, pred: Any) -> float:
    return asyncio.run(ExactMatch()(of_type(annotation, true), of_type(annotation, pred)))


@given(
    st.builds(
        Plain,
        text=st.text(),
        count=st.integers(),
        number=st.floats(allow_nan=False, allow_infinity=False),
        sure=st.booleans(),
        score=st.sampled_from(SCORES),
        label=st.sampled_from(["a", 1]),
        texts=st.lists(st.text()),
        part=st.none() | st.builds(Part, name=st.text(), weight=st.floats(-9, 9)),
    )
)
def test_plain_records_are_as_pydantic_writes_them(record: Plain) -> None:
    """Text, numbers, bools, labels, lists and records: their bytes, and what is keyed by them, do not change."""
    assert json.dumps(record.get_json()) == json.dumps(record.model_dump(mode="json"))


EAST = timezone(timedelta(hours=2))
EQUAL: list[tuple[Any, Any, Any, Any]] = [
    (set[str], ["b", "a", "c"], ["c", "b", "a"], ["a", "b", "c"]),
    (frozenset[int], [10, 9, 2], [2, 9, 10, 9], [2, 9, 10]),
    (set[frozenset[str]], [["b"], ["c", "a"]], [["a", "c"], ["b"]], [["a", "c"], ["b"]]),
    (dict[str, set[str]], {"x": ["b", "a"], "a": []}, {"a": [], "x": ["a", "b"]}, {"a": [], "x": ["a", "b"]}),
    (set[Part], [Part(name="b", weight=1), Part(name="a", weight=1)],
        [Part(name="a", weight=1), Part(name="b", weight=1)],
        [{"name": "a", "weight": 1.0}, {"name": "b", "weight": 1.0}]),
    (RootModel[set[str]], ["b", "a"], {"a", "b"}, ["a", "b"]),
    (dict[Colour, int], {Colour.RED: 1, Colour.BLUE: 2}, {"blue": 2, "red": 1}, {"blue": 2, "red": 1}),
    (set[Colour], ["red", "blue"], [Colour.BLUE, Colour.RED], ["blue", "red"]),
    (Decimal, "1.0", Decimal("1.00"), "1"),
    (Decimal, "100", Decimal("1E+2"), "100"),
    (Decimal, "-0.0", 0, "0"),
    (Decimal, "1E+50", Decimal("10E+49"), "1E+50"),
    (list[Decimal], ["1.50"], ["1.5"], ["1.5"]),
    (dict[Decimal, str], {"1.0": "a"}, {"1.00": "a"}, {"1": "a"}),
    (datetime, datetime(2020, 1, 1, 2, tzinfo=EAST), datetime(2020, 1, 1, tzinfo=UTC), "2020-01-01T00:00:00Z"),
    (time, time(2, tzinfo=EAST), time(0, tzinfo=UTC), "00:00:00Z"),
    (time, time(1, tzinfo=EAST), time(0, tzinfo=timezone(timedelta(hours=1))), "00:00:00+01:00"),
    (timedelta, timedelta(hours=25), "P1DT1H", "P1DT1H"),
    (UUID, str(UUID(int=10)).upper(), UUID(int=10), "00000000-0000-0000-0000-00000000000a"),
    (bytes, "ü", "ü".encode(), "ü"),
    (PurePosixPath, "a/b", PurePosixPath("a") / "b", "a/b"),
    (date, "2020-01-01", date(2020, 1, 1), "2020-01-01"),
    (float, 1, 1.0, 1.0),
    (Part, {"name": "a", "weight": math.nan}, {"weight": "nan", "name": "a"}, {"name": "a", "weight": "NaN"}),
    (Any, {"b": math.inf, "a": -math.inf}, {"a": -math.inf, "b": math.inf}, {"a": "-Infinity", "b": "Infinity"}),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "one", "other", "written"), EQUAL)
def test_equal_values_have_equal_bytes(annotation: Any, one: Any, other: Any, written: Any) -> None:
    """However a value was spelt, it is written alike, counts as the same answer, and can be read back."""
    assert text(annotation, one) == text(annotation, other) == json.dumps({"field": written})
    assert verdict(annotation, one, other) == 1.0
    read = of_type(annotation, json.loads(text(annotation, one))["field"])
    assert json.dumps(read.get_json()) == text(annotation, one)


@pytest.mark.parametrize(
    ("annotation", "one", "other"),
    [
        (set[str], ["a"], ["a", "b"]), (Decimal, "1.0", "1.1"), (int | None, 0, None),
        (list[str], ["a", "b"], ["b", "a"]),
        (datetime, datetime(2020, 1, 1, tzinfo=EAST), datetime(2020, 1, 1, tzinfo=UTC)), (Any, math.nan, None),
        (time, time(1, tzinfo=EAST), time(23, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_other_values_stay_apart(annotation: Any, one: Any, other: Any) -> None:
    """Nothing that differs is written alike."""
    assert text(annotation, one) != text(annotation, other)
    assert verdict(annotation, one, other) == 0.0


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (0.0, -0.0), ([1, {"a": 2}], [1.0, {"a": 2.0}])])
def test_numbers_compare_as_numbers(one: Any, other: Any) -> None:
    """Where a field takes either, 1 is 1.0 and 0.0 is -0.0, however deep."""
    assert verdict(Any, one, other) == 1.0


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(allow_nan=False, places=3)
    | st.dates() | st.datetimes(timezones=st.timezones() | st.none()) | st.times() | st.timedeltas() | st.uuids()
    | st.sampled_from(Colour)
)  # fmt: skip
keys = st.text() | st.uuids() | st.sampled_from(Colour)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(scalars.filter(lambda value: value == value), max_size=6)
    ),
    max_leaves=12,
)


def reordered(value: Any) -> Any:
    """An equal value whose sets and mappings were filled in another order."""
    if isinstance(value, dict):
        return {key: reordered(item) for key, item in reversed(value.items())}
    if isinstance(value, list):
        return [reordered(item) for item in value]
    if isinstance(value, set):
        backwards = list(value)[::-1]
        return set(backwards)
    return value


@given(values)
@settings(max_examples=300, deadline=None)
def test_any_value_has_one_json(value: Any) -> None:
    """Whatever a record holds, it is JSON, whichever way its parts were put in, and earns the same."""
    one, other = Anything(value=value), Anything(value=reordered(value))
    assert json.dumps(one.get_json(), allow_nan=False) == json.dumps(other.get_json(), allow_nan=False)
    assert asyncio.run(ExactMatch()(one, other)) == 1.0


plain_types = st.sampled_from([str, int, bool, float, Decimal, date, datetime, time, timedelta, UUID, Colour])
types = st.recursive(
    plain_types | plain_types.map(lambda kind: set[kind]) | plain_types.map(lambda kind: frozenset[frozenset[kind]]),
    lambda inner: (
        inner.map(lambda kind: list[kind])
        | inner.map(lambda kind: dict[str, kind])
        | inner.map(lambda kind: dict[UUID, kind])
        | inner.map(lambda kind: tuple[kind, ...])
        | inner.map(lambda kind: kind | None)
    ),
    max_leaves=2,
)


@given(types, st.data())
@settings(max_examples=300, deadline=None)
def test_every_type_of_field_has_one_json(annotation: Any, data: st.DataObject) -> None:
    """What is read back from the JSON of a record of any type is worth the same and is written the same."""
    try:
        record = of_type(annotation, data.draw(st.from_type(annotation)))
    except ValidationError:  # NaN
        reject()
    written = text_of(record)
    read, other = (type(record)(field=value) for value in (json.loads(written)["field"], reordered(record["field"])))
    assert text_of(read) == text_of(other) == written
    assert asyncio.run(ExactMatch()(record, read)) == asyncio.run(ExactMatch()(other, record)) == 1.0


PROGRAM = """
import asyncio, json, sys
from typing import Any
from paretune.rewards import ExactMatch
from paretune.schemas.data_model import DataModel
class Nested(DataModel):
    tags: set[str]
    groups: frozenset[frozenset[str]]
    by_name: dict[str, set[int]]
values = dict(tags=list("hello world"), groups=[["a", "b"], ["c"], []], by_name={"x": [3, 1, 2], "a": [10, 9]})
gold = Nested(**values)
pred = Nested(**json.loads(sys.argv[1])) if len(sys.argv) > 1 else gold
print(json.dumps([gold.get_json(), asyncio.run(ExactMatch()(gold, pred))]))
"""


def test_every_process_writes_the_same() -> None:
    """The order of hashes, which is another in each process, shows nowhere."""

    def run(seed: int, *arguments: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", PROGRAM, *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    first = run(1)
    written, reward = json.loads(first)
    assert reward == 1.0 and written["tags"] == sorted(set("hello world"))
    assert {run(seed, canonical_json(written)) for seed in (2, 3)} == {first}


def test_what_a_serializer_writes_is_left() -> None:
    """A class that says how a field is written is taken at its word."""

    class Own(DataModel):
        price: Decimal

        @field_serializer("price")
        def in_cents(self, value: Decimal) -> str:
            return f"{value:.2f} €"

    assert Own(price=Decimal("1.5")).get_json() == {"price": "1.50 €"}


def test_bytes_that_are_no_text_are_refused() -> None:
    """JSON cannot hold them; the error names the type that can be written."""
    with pytest.raises(UsageError, match="Base64Bytes"):
        of_type(bytes, b"\xff").get_json()
