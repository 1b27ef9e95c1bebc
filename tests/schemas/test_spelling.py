"""How replies may spell names and labels: the same rule in JSON and in lines, and none with strict_labels."""

from __future__ import annotations

import json
from enum import Enum, IntEnum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from paretune.schemas.data_model import DataModel
from paretune.schemas.parsing import parse_json
from paretune.schemas.text_form import parse_text


class Mood(Enum):
    JOY = "joy"
    FEAR = "deep fear"


class Stars(IntEnum):
    ONE = 1
    TWO = 2


class Label(DataModel):
    label: Literal["joy", "fear", "U.S."]


class Strict(Label):
    strict_labels = True


class Cased(DataModel):
    label: Literal["us", "US", "them"]


class Deep(DataModel):
    mood: Mood
    stars: Stars | None
    labels: list[Literal["joy", "fear"]]
    by_label: dict[Literal["joy", "fear"], Mood]
    part: Label | None
    pair: tuple[Mood, int]


class Square(DataModel):
    kind: Literal["square"]
    side: float


class Circle(DataModel):
    kind: Literal["circle"]
    radius: float


class Shape(DataModel):
    shape: Square | Circle
    Note: str = ""


def read(said: str, model: type[DataModel]) -> list[Any]:
    """What a label is read as, in JSON and in lines."""
    found = [
        parse_json(json.dumps({"label": said}), model),
        parse_text(said, model),
        parse_text(f"Label: {said}", model),
    ]
    return [None if record is None else record["label"] for record in found]


@pytest.mark.parametrize("said", ["joy", "Joy", " joy ", "JOY\n", "Joy.", '"joy"', "**Joy**", "`JOY`."])
def test_one_rule_for_both_forms(said: str) -> None:
    """Case, space, quotes, emphasis and a full stop do not matter, wherever the label stands."""
    assert read(said, Label) == ["joy"] * 3


@pytest.mark.parametrize("said", ["joyful", "joy or fear", "", "jo y", "anger", "joy!"])
def test_other_words_are_no_labels(said: str) -> None:
    """Nothing is guessed."""
    assert read(said, Label) == [None] * 3


def test_a_spelling_of_two_labels_is_none() -> None:
    """Exactly one label, or it is no answer."""
    assert [read(said, Cased) for said in ("us", "US", "Us", "THEM")] == [
        ["us"] * 3, ["US"] * 3, [None] * 3, ["them"] * 3
    ]  # fmt: skip


def test_strict_labels() -> None:
    """With the option names and labels must be spelt to the letter, in both forms."""
    assert read("joy", Strict) == ["joy"] * 3
    for said in ("Joy", "joy.", '"joy"'):
        assert read(said, Strict) == [None] * 3
    assert parse_json('{"Label": "joy"}', Strict) is None
    assert parse_text("label: joy", Strict) is None
    assert parse_json('{"label": " joy"}', Strict) is None


@pytest.mark.parametrize("key", ["label", "Label", " LABEL "])
def test_names_of_fields(key: str) -> None:
    """A key is a field's name but for case and space; a field whose name is there already is not overwritten."""
    assert parse_json(json.dumps({key: "joy"}), Label) == Label(label="joy")
    assert parse_json(json.dumps({"label": "joy", "Label ": "fear"}), Label) is None
    assert parse_json(json.dumps({"LABEL": "joy", "Label": "fear"}), Label) is None


def test_however_deep() -> None:
    """In lists, mappings, tuples, options, enums and records inside of records."""
    reply = {
        "Mood": "Deep Fear.",
        "stars": "2",
        "labels": ["JOY", " fear"],
        "by_label": {"Joy": "joy", "FEAR": "Joy"},
        "part": {"LABEL": "u.s."},
        "pair": ["Joy", 3],
    }
    found = parse_json(json.dumps(reply), Deep)
    assert found == Deep(
        mood=Mood.FEAR,
        stars=Stars.TWO,
        labels=["joy", "fear"],
        by_label={"joy": Mood.JOY, "fear": Mood.JOY},
        part=Label(label="U.S."),
        pair=(Mood.JOY, 3),
    )


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ({"Kind": "Circle", "radius": 1}, Circle(kind="circle", radius=1)),
        ({"kind": "SQUARE", "Side": 1}, Square(kind="square", side=1)),
        ({"kind": "Circle", "side": 1}, None),
    ],
)
def test_in_one_of_several_models(shape: dict[str, Any], found: BaseModel | None) -> None:
    """The member of a union that fits is the one that is read."""
    assert parse_json(json.dumps({"shape": shape, "note": "Joy"}), Shape) == (found and Shape(shape=found, Note="Joy"))


names = st.sampled_from(["Mood", "mood", "stars", "labels", "by_label", "part", "PAIR", "joy"]) | st.text()
any_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(names, inner),
    max_leaves=9,
)


@given(any_json)
def test_any_json_is_read_or_not(value: Any) -> None:
    """No value makes it fail, and a record that is found can be written."""
    for model in (Deep, Shape, Label):
        for text in (json.dumps({"mood": value, "part": value}), json.dumps(value)):
            found = parse_json(text, model)
            assert found is None or json.dumps(found.get_json(), allow_nan=False)


def test_text_is_left_as_it_is() -> None:
    """A field that holds any text is never respelt."""

    class Free(DataModel):
        either: Literal["joy"] | str

    assert parse_json('{"either": " Joy."}', Free) == Free(either=" Joy.")


def test_an_enum_in_lines() -> None:
    """The values of an Enum are labels like those of a Literal."""

    class Answer(DataModel):
        mood: Mood
        stars: Stars

    assert parse_text("deep fear.\nStars: 2", Answer) == Answer(mood=Mood.FEAR, stars=Stars.TWO)


class Sum(DataModel):
    answer: float
    count: int | None = None


class StrictSum(Sum):
    strict_labels = True


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18", 18), ("$1,875.00", 1875), ("-$3.50", -3.5), ("$-3.50", -3.5), ("45 minutes", 45), ("50%", 50),
        ("\u22122", -2), ("about 1e3 m2", 1000), ("€ 7", 7), (".5", 0.5),
    ],
)  # fmt: skip
def test_a_number_in_a_text(text: str, number: float) -> None:
    """The only number in a text, with its sign, its currency or its unit; not with strict labels."""
    assert parse_json(json.dumps({"answer": text}), Sum) == Sum(answer=number)
    if text not in ("18", ".5"):  # which pydantic itself reads
        assert parse_json(json.dumps({"answer": text}), StrictSum) is None


@pytest.mark.parametrize("text", ["", "none", "1/2", "3 or 4", "2 + 2 = 4", "9" * 400, "m2"])
def test_no_number_in_a_text(text: str) -> None:
    """Several numbers, a fraction and one beyond all bounds are none: an answer is not guessed."""
    assert parse_json(json.dumps({"answer": text}), Sum) is None


def test_whole_numbers_in_texts() -> None:
    """A whole number stays exact; one with a fraction is none."""
    assert parse_json('{"answer": 1, "count": "9007199254740993 eggs"}', Sum) == Sum(answer=1, count=9007199254740993)
    assert parse_json('{"answer": 1, "count": "2.5 eggs"}', Sum) is None


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{}", "${}", "{} kg", "it is {}."]))
def test_any_number_in_a_text(number: float, form: str) -> None:
    """Every number that is written with a unit is read as itself."""
    assert parse_json(json.dumps({"answer": form.format(number)}), Sum) == Sum(answer=number)
