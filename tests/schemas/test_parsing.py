"""Reading JSON out of replies: what is found, what is not, and that no text makes it fail."""

from __future__ import annotations

import json
import time
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.schemas.data_model import SCORES, DataModel, Score
from paretune.schemas.parsing import parse_json


class Part(DataModel):
    name: str
    amounts: list[int]


class Record(DataModel):
    thinking: str
    label: Literal["joy", 'a "quoted" {one}', "ü"]
    score: Score
    number: float
    sure: bool
    part: Part | None
    notes: dict[str, str]


class Label(DataModel):
    label: Literal["joy", "fear"]


class Number(DataModel):
    answer: float


class Text(DataModel):
    text: str


class Loose(DataModel):
    anything: Any


records = st.builds(
    Record,
    thinking=st.text(),
    label=st.sampled_from(["joy", 'a "quoted" {one}', "ü"]),
    score=st.sampled_from(SCORES),
    number=st.floats(allow_nan=False, allow_infinity=False),
    sure=st.booleans(),
    part=st.none() | st.builds(Part, name=st.text(), amounts=st.lists(st.integers(-(10**15), 10**15))),
    notes=st.dictionaries(st.text(), st.text(alphabet='{}"\\[]: ,'), max_size=3),
)
FRAMES = [
    "{}",
    "```json\n{}\n```",
    "Sure, here it is: {}",
    "{}\nI hope that helps :-}}",
    "Set {{x}} gives\n{}\n}}{{",
    "[{}]",
]


@given(records, st.sampled_from(FRAMES), st.booleans(), st.sampled_from([None, 2]))
@settings(max_examples=200, deadline=None)
def test_a_record_survives_its_json(record: Record, frame: str, ascii_only: bool, indent: int | None) -> None:
    """Whatever the strings hold, and with fences, braces or prose around it."""
    text = frame.format(json.dumps(record.get_json(), ensure_ascii=ascii_only, indent=indent))
    assert parse_json(text, Record) == record


@given(records, st.data())
@settings(max_examples=100, deadline=None)
def test_a_record_that_is_cut_short_is_none(record: Record, data: st.DataObject) -> None:
    """Every proper beginning of a reply is invalid: no field is guessed."""
    text = json.dumps(record.get_json())
    assert parse_json(text[: data.draw(st.integers(0, len(text) - 1))], Record) is None


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "null", "{}", "[]", "joy", '"joy"', '{"label": null}', '{"label": "anger"}', '{"label": 1}',
        '{"Labels": "joy"}', '{"label": "joy", "more": 1}', '{"label": ["joy"]}', "{'label': 'joy'}", '{"label": joy}',
        '{"label": "joy"', '"label": "joy"}',
    ],
)  # fmt: skip
def test_a_reply_without_a_valid_record_is_none(text: str) -> None:
    """Nothing, another shape, a value that the schema does not allow, and Python instead of JSON."""
    assert parse_json(text, Label) is None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"NaN"', '"inf"', "9" * 5000])
def test_what_is_no_finite_number_is_none(number: str) -> None:
    """NaN and infinity in any spelling would poison every mean."""
    assert parse_json(f'{{"answer": {number}}}', Number) is None
    if not number.startswith('"'):  # a field that takes anything takes none of these, however deep
        assert parse_json(f'{{"anything": [{{"a": {number}}}]}}', Loose) is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('First {"label": "joy"}, no: {"label": "fear"}', "fear"),
        ('{"label": "fear"} {"label": "anger"}', "fear"),
        ('The schema {"label": "joy" | "fear"} says: {"label": "joy"} or {}', "joy"),
        ('{"answer": {"label": "fear"} ... {"label": "joy"}', "joy"),
    ],
)
def test_the_last_valid_object_counts(text: str, label: str) -> None:
    """A model that thinks aloud ends with its answer; objects that do not validate are passed over."""
    assert parse_json(text, Label) == Label(label=label)


def test_an_object_inside_another_is_not_an_answer() -> None:
    """Only outermost objects count: a part that looks like a record belongs to its whole."""
    assert parse_json('{"draft": {"label": "joy"}, "label": "anger"}', Label) is None


@pytest.mark.parametrize(("escaped", "read"), [(r"\ud83d", "?"), (r"a\udc00b", "a?b"), (r"\ud83d\ude00", "😀")])
def test_half_a_character_is_replaced(escaped: str, read: str) -> None:
    """A lone surrogate is JSON, but no file can hold it: the record stays, and can be written."""
    found = parse_json(f'{{"text": "{escaped}"}}', Text)
    assert found == Text(text=read)
    nested = parse_json(f'{{"anything": [{{"{escaped}": "{escaped}"}}]}}', Loose)
    assert nested is not None
    json.dumps(nested.get_json(), ensure_ascii=False).encode()


def test_thousands_of_open_braces_are_none() -> None:
    """A model that repeats itself until it is cut off nests deeper than any parser goes."""
    for text in ('{"anything": ' * 3000, '{"anything": [' * 2000, "{" * 5000, '{"anything": ' * 500 + "}" * 400):
        assert parse_json(text, Label) is None


json_like = st.text(alphabet='{}[]",:\\/u8dtn019-.eE labejoy\n`') | st.lists(
    st.sampled_from(['{"label": ', '"joy"', "}", "{", '"', "\\", r"\ud83d", "NaN", "1e999", "```json\n", "\ud83d", "é"])
).map("".join)


@given(st.text() | json_like, st.sampled_from([Record, Label, Number, Text, Loose]))
@settings(max_examples=300, deadline=None)
def test_no_text_raises(text: str, model: type[DataModel]) -> None:
    """Any text gives a valid record that can be written again, or None."""
    found = parse_json(text, model)
    if found is not None:
        assert model.model_validate_json(json.dumps(found.get_json(), allow_nan=False)) == found


JOY = '{"label": "joy"}'


@pytest.mark.parametrize(
    "text",
    [
        f"<think>maybe {JOY} but hmm", f"  <thinking>\n{JOY}", f"Well. <THINK>{JOY}", f"[THINK]{JOY} so",
        f"<think>a</think> so <think>{JOY}", f"<think>{JOY}</think> I do not know", f"maybe {JOY}</think> no",
        f"{JOY}[/THINK]", f"<reasoning>{JOY}", f'<think>{{"label": {JOY}',
    ],
)  # fmt: skip
def test_a_thought_is_no_answer(text: str) -> None:
    """What stands inside of a thought does not count, whether it is ended or cut off, or began in the prompt."""
    assert parse_json(text, Label) is None


@pytest.mark.parametrize(
    "text",
    [
        f'<think>{{"label": "fear"}}</think>{JOY}', f'is it {{"label": "fear"}}?</think>\n{JOY}',
        f"{JOY}<think>or is it",
        f"<think></think>{JOY}", f"a < b, c > d: {JOY}",
    ],
)  # fmt: skip
def test_an_answer_beside_a_thought(text: str) -> None:
    """A complete record outside of the thought counts, also where the reply was cut off behind it."""
    assert parse_json(text, Label) == Label(label="joy")


def test_tags_inside_of_a_text_are_text() -> None:
    """A record may speak of thoughts."""
    for said in ("<think>", "</think> a", "[THINK]"):
        assert parse_json(json.dumps({"text": said}), Text) == Text(text=said)


@pytest.mark.parametrize("start", [480, 2020])
def test_long_objects(start: int) -> None:
    """Wherever a word, a number, an escape or a bracket stands in a long reply, it is read whole."""
    values = ['a "\u1234\U0001f600\\', True, None, -12.5e-30, 123456789, {"k": [False, {}]}, ""]
    for pad in range(start, start + 60):
        for ascii_only in (True, False):
            record = Loose(anything=["x" * pad, *values])
            text = json.dumps(record.get_json(), ensure_ascii=ascii_only)
            assert parse_json(f"Set {{x}}: {text} }}", Loose) == record
            assert parse_json(text[:-1], Loose) is None


@pytest.mark.parametrize("text", ["{" * 200_000, '{"a":' * 100_000, '{"a" ' * 100_000, "<think>{" * 100_000])
def test_a_reply_of_braces_is_read_in_a_moment(text: str) -> None:
    """What a model repeats without end blocks nobody else: it took 13 seconds, and minutes."""
    began = time.process_time()
    assert parse_json(text, Label) is None
    assert time.process_time() - began < 4


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ('{"text": "one\ntwo\tthree"}', "one\ntwo\tthree"),
        (r'{"text": "\( x = 4 \)"}', r"\( x = 4 \)"),
        (r'{"text": "costs \$5, a \\ and \"quotes\""}', r'costs \$5, a \ and "quotes"'),
        (r'{"text": "\u00fc and \unit"}', r"ü and \unit"),
    ],
)
def test_texts_that_are_almost_json(reply: str, text: str) -> None:
    """Line breaks and tabs inside of a text, and backslashes that begin no escape, are what they look like."""
    assert parse_json(reply, Text) == Text(text=text)
