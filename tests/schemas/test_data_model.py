"""Data models: what they accept, and the schema that is sent to language models."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from paretune.errors import UsageError
from paretune.schemas.data_model import SCORES, DataModel, Field, Score, combined_model, field_labels, is_score


class Colour(Enum):
    """A docstring that nobody needs to send."""

    RED = "red"


class Place(BaseModel):
    """Another docstring that nobody needs to send."""

    town: str = Field(description="Where", title="Town")
    zip_code: int = 0


class Square(DataModel):
    kind: Literal["square"]
    side: float


class Circle(DataModel):
    kind: Literal["circle"]
    radius: float


class Trip(DataModel):
    """The docstring of the whole."""

    title: str = Field(description="What it is called")
    start: Place = Field(description="The first stop")
    stops: list[Place]
    colour: Colour
    joy: Score = Field(description="How glad", default=0.5)
    shape: Square | Circle = Field(discriminator="kind")


class Node(DataModel):
    children: list[Node]


class Left(DataModel):
    right: Right | None


class Right(DataModel):
    left: Left | None


class Mixed(DataModel):
    label: Literal["b", "a"]
    joy: Score
    sure: float
    maybe: Literal["b"] | None


PLACE = {
    "type": "object",
    "properties": {"town": {"type": "string", "description": "Where"}, "zip_code": {"type": "integer"}},
    "required": ["town", "zip_code"],
    "additionalProperties": False,
}


def shape(kind: str, size: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"kind": {"type": "string", "const": kind}, size: {"type": "number"}},
        "required": ["kind", size],
        "additionalProperties": False,
    }


def test_the_schema_is_inlined_short_and_closed() -> None:
    """Descriptions of fields and every constraint stay; references, titles, docstrings and defaults go."""
    assert Trip.get_schema() == {
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": "What it is called"},
            "start": PLACE | {"description": "The first stop"},
            "stops": {"type": "array", "items": PLACE},
            "colour": {"type": "string", "enum": ["red"]},
            "joy": {"type": "number", "enum": list(SCORES), "description": "How glad"},
            "shape": {"oneOf": [shape("square", "side"), shape("circle", "radius")]},
        },
        "required": ["title", "start", "stops", "colour", "joy", "shape"],
        "additionalProperties": False,
    }


def test_the_fields_of_a_schema_keep_their_order() -> None:
    """Models write the fields in the order of the schema, so thinking comes before the answer."""
    assert list(Trip.get_schema()["properties"]) == list(Trip.model_fields)


def test_fields_called_like_words_of_the_schema_language() -> None:
    """A field may be called title, default, properties or enum: only the schema's own words are dropped."""

    class Awkward(DataModel):
        default: str
        properties: Place
        enum: int
        discriminator: bool

    properties = Awkward.get_schema()["properties"]
    assert list(properties) == ["default", "properties", "enum", "discriminator"]
    assert properties["properties"] == PLACE


def test_a_schema_is_a_fresh_copy() -> None:
    """Whoever changes a schema changes no one else's."""
    Trip.get_schema()["properties"].clear()
    assert Trip.get_schema()["properties"]


@pytest.mark.parametrize(("model", "path"), [(Node, "Node -> Node"), (Left, "Left -> Right -> Left")])
def test_a_model_that_refers_to_itself_is_refused(model: type[DataModel], path: str) -> None:
    """An endless schema cannot be inlined; the error names the circle."""
    with pytest.raises(UsageError, match=path):
        model.get_schema()


def test_two_uses_of_one_helper_are_no_circle() -> None:
    """The same helper twice side by side is inlined twice."""

    class Both(DataModel):
        first: Place
        second: Place

    assert Both.get_schema()["properties"] == {"first": PLACE, "second": PLACE}


@pytest.mark.parametrize("given", [0, 1, 0.0, 1.0, *SCORES])
def test_a_score_accepts_the_eleven_values(given: float) -> None:
    """0.0, 0.1 … 1.0, and the integers 0 and 1 as floats, also in the JSON that is written."""
    record = Mixed(label="a", joy=given, sure=0, maybe=None)
    assert record.joy == given
    assert isinstance(record.get_json()["joy"], float)


@pytest.mark.parametrize("given", [2, -1, 0.15, 1.1, -0.1, 0.10000001, math.nan, math.inf, None, "high", ""])
def test_a_score_refuses_everything_else(given: Any) -> None:
    """A value between the steps or outside [0, 1], and what is no number."""
    with pytest.raises(ValidationError):
        Mixed(label="a", joy=given, sure=0, maybe=None)


@pytest.mark.parametrize("given", [math.nan, math.inf, -math.inf, "nan", "inf"])
def test_numbers_are_finite(given: Any) -> None:
    """NaN and infinity have no JSON, so no record holds them."""
    with pytest.raises(ValidationError, match="finite"):
        Mixed(label="a", joy=0, sure=given, maybe=None)


def test_unknown_fields_are_refused() -> None:
    """A misspelt field is an error, not a default."""
    with pytest.raises(ValidationError, match="joyy"):
        Square.model_validate({"kind": "square", "side": 1, "joyy": 1})


def test_a_record_as_json_values() -> None:
    """Enums and nested records become plain values that JSON can write."""
    record = Trip(
        title="t", start=Place(town="Ü"), stops=[], colour=Colour.RED, shape=Circle(kind="circle", radius=1)
    )  # fmt: skip
    assert json.loads(json.dumps(record.get_json())) == {
        "title": "t",
        "start": {"town": "Ü", "zip_code": 0},
        "stops": [],
        "colour": "red",
        "joy": 0.5,
        "shape": {"kind": "circle", "radius": 1.0},
    }


def test_what_kind_of_field_it_is() -> None:
    """Literals tell their labels in declared order, and a Score is told from a float."""
    assert field_labels(Mixed, "label") == ("b", "a")
    assert [field_labels(Mixed, name) for name in ("joy", "sure", "maybe")] == [None, None, None]
    assert [name for name in Mixed.model_fields if is_score(Mixed, name)] == ["joy"]


def test_records_are_read_as_mappings() -> None:
    """By the names of their fields, those of an open class included."""
    record = Square(kind="square", side=2)
    assert record["side"] == 2.0 and record.get("side") == 2.0 and "side" in record
    assert record.get("area") is None and record.get("area", 4) == 4 and "area" not in record
    assert "get_json" not in record and 1 not in record
    with pytest.raises(KeyError, match="area"):
        record["area"]
    more = create_model("More", __base__=Square, __cls_kwargs__={"extra": "allow"})(kind="square", side=2, area=4)
    assert more["area"] == 4 and "area" in more
    assert np.array([record, record], dtype=object).shape == (2,)  # a record is no sequence to NumPy


class Aliased(BaseModel):
    class_: str = Field(alias="class")


@pytest.mark.parametrize("alias", ["alias", "validation_alias", "serialization_alias"])
def test_aliases_are_refused_where_the_class_is_written(alias: str) -> None:
    """Prompts would show one name and replies be read by another; a class inside counts as well."""
    with pytest.raises(UsageError, match=r"'label' of 'Answer' has an alias.*title="):
        create_model("Answer", __base__=DataModel, label=(str, Field(**{alias: "Label"})))
    for inside in (Aliased, list[Aliased], dict[str, Aliased | None]):
        with pytest.raises(UsageError, match="'class_' of 'Aliased' has an alias"):
            create_model("Outer", __base__=DataModel, inside=(inside, ...))
    with pytest.raises(UsageError, match="alias"):
        type("Generated", (DataModel,), {
            "__annotations__": {"label": str}, "model_config": ConfigDict(alias_generator=str.upper)
        })  # fmt: skip


def test_strict_labels_of_combined_models() -> None:
    """A combined record is as strict as its parts."""
    strict = create_model("Strict", __base__=Square)
    strict.strict_labels = True
    assert combined_model(strict, Circle).strict_labels and combined_model(Circle, strict).strict_labels
    assert not combined_model(Square, Circle).strict_labels
