"""The text form: records as lines, read back from replies, and described by grammars."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.schemas.data_model import SCORES, DataModel, Field, Score
from paretune.schemas.text_form import cue, grammar, parse_text, render_text, value_rule

LABELS = ("joy", "Joy", "very sad", "U.S.", "rock 'n'", '"quoted"', "a\\b", "*", "")


class Flat(DataModel):
    """Every kind of field that has a text form."""

    final_answer: Literal["joy", "Joy", "very sad", "U.S.", "rock 'n'", '"quoted"', "a\\b", "*", ""]
    note: str
    whole: int
    number: float
    sure: bool
    score: Score
    stars: Literal[1, 2, 3]
    flag: Literal[True, "maybe"]


class Thoughtful(DataModel):
    thinking: str
    label: Literal["joy", "fear", "U.S."]


class Emotion(DataModel):
    label: Literal["joy", "fear", "U.S."] = Field(title="Emotion")


class Yes(DataModel):
    sure: bool


class Total(DataModel):
    total: float


class Count(DataModel):
    count: int


class Rated(DataModel):
    rating: Score


class Summary(DataModel):
    summary: str
    label: Literal["joy", "fear"]


CUES = [cue(Flat, name).lower() for name in Flat.model_fields]
lines = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))
    .map(str.strip)
    .filter(lambda text: not any(each in text.lower() for each in CUES))
)
flat_records = st.builds(
    Flat,
    final_answer=st.sampled_from(LABELS),
    note=lines,
    whole=st.integers(),
    number=st.floats(allow_nan=False, allow_infinity=False),
    sure=st.booleans(),
    score=st.sampled_from(SCORES),
    stars=st.sampled_from([1, 2, 3]),
    flag=st.sampled_from([True, "maybe"]),
)


@given(flat_records)
@settings(max_examples=300, deadline=None)
def test_a_flat_record_survives_its_lines(record: Flat) -> None:
    """What is written for examples is read back as it was, whatever single line a str holds."""
    text = render_text(record.get_json(), Flat)
    assert parse_text(text, Flat) == record
    # A prompt ends with the first cue, so that a reply starts behind it.
    if record.final_answer:
        assert parse_text(text.removeprefix("Final answer:"), Flat) == record


def test_a_record_in_lines() -> None:
    """One line a field, with words for booleans, and only the fields that the record has."""
    record = Flat(final_answer="very sad", note="ü", whole=-3, number=2, sure=False, score=1, stars=2, flag=True)
    assert render_text(record.get_json(), Flat) == (
        "Final answer: very sad\nNote: ü\nWhole: -3\nNumber: 2.0\nSure: no\nScore: 1.0\nStars: 2\nFlag: yes"
    )
    assert render_text({"note": "a"}, Flat) == "Note: a"


def test_what_is_no_flat_value_is_written_as_json() -> None:
    """An input may have lists and missing values; they are never written as Python's."""

    class Question(DataModel):
        choices: list[str]
        hint: str | None
        counts: dict[str, bool]

    record = Question(choices=["it's", "ü"], hint=None, counts={"a": True})
    assert render_text(record.get_json(), Question) == 'Choices: ["it\'s", "ü"]\nHint: null\nCounts: {"a": true}'


def test_titles_are_used_as_cues() -> None:
    """A field is called by its title in prompts, grammars and replies; else by its name."""
    assert cue(Emotion, "label") == "Emotion:"
    assert cue(Flat, "final_answer") == "Final answer:"
    assert render_text({"label": "joy"}, Emotion) == "Emotion: joy"
    assert parse_text("emotion: fear", Emotion) == Emotion(label="fear")
    assert parse_text("Label: fear", Emotion) is None


@pytest.mark.parametrize(
    "reply",
    [
        "joy", " joy\n", "Joy.", '"joy"', "'JOY'.", '"Joy."', "`joy`", "**joy**", "joy\nbecause of the cake", "joy\n\n",
        "Emotion: joy", "emotion:joy", "EMOTION: 'Joy'.", "Emotion:\njoy", "\n  Emotion: joy", "**Emotion:** joy",
        "Here is my answer:\nEmotion: joy", "```\nEmotion: joy\n```", "```text\njoy\n```",
        "joy\n\nText: another one\nEmotion: fear", "Emotion: joy\nEmotion: fear",
    ],
)  # fmt: skip
def test_a_reply_with_or_without_the_cue(reply: str) -> None:
    """Quotes, case, a full stop, a fence, prose in front and what a model adds behind do not matter."""
    assert parse_text(reply, Emotion) == Emotion(label="joy")


@pytest.mark.parametrize("reply", ["U.S.", "u.s", '"U.S."', "Emotion: u.s."])
def test_a_label_that_ends_with_a_full_stop(reply: str) -> None:
    """The full stop of a label is its own."""
    assert parse_text(reply, Emotion) == Emotion(label="U.S.")


@pytest.mark.parametrize(
    "reply", ["", "\n", ".", "anger", "joyful", "joy or fear", "Emotion:", "I feel joy", "Mood: joy"]
)
def test_a_reply_without_a_label_is_none(reply: str) -> None:
    """A word that is no label, or more than the label, is an invalid output, not a guess."""
    assert parse_text(reply, Emotion) is None


def test_labels_that_differ_in_case_alone() -> None:
    """The exact spelling wins; another case could mean either, so it means none."""

    class Cased(DataModel):
        label: Literal["us", "US"]

    spelled = {"US": "US", "us": "us", '"US".': "US"}
    assert {reply: found.label for reply in (*spelled, "Us") if (found := parse_text(reply, Cased))} == spelled


@pytest.mark.parametrize(
    ("reply", "sure"),
    [("yes", True), ("Yes.", True), ("'NO'", False), ("true", True), ("Sure: False.", False), ("yes\nfor sure", True)],
)
def test_a_boolean(reply: str, sure: bool) -> None:
    """Yes and no, true and false."""
    assert parse_text(reply, Yes) == Yes(sure=sure)


@pytest.mark.parametrize("reply", ["maybe", "yes and no", "", "2"])
def test_no_boolean(reply: str) -> None:
    """Anything else is invalid."""
    assert parse_text(reply, Yes) is None


@pytest.mark.parametrize(
    ("reply", "total"),
    [
        ("42", 42.0),
        ("-0.5", -0.5),
        ("$1,234.50", 1234.5),
        ("7.", 7.0),
        ("3 apples", 3.0),
        ("1e-07", 1e-7),
        ('Total: "3"', 3.0),
    ],
)
def test_a_number(reply: str, total: float) -> None:
    """Thousands separators, a dollar sign and a final full stop do not matter."""
    assert parse_text(reply, Total) == Total(total=total)


@pytest.mark.parametrize(
    ("reply", "model"),
    [
        ("nan", Total), ("inf", Total), ("-Infinity", Total), ("1e999", Total), ("forty", Total), ("3 or 4", Total),
        ("1/2", Total),        ("2.5", Count), ("0.15", Rated), ("7", Rated), ("NaN", Rated),
    ],
)  # fmt: skip
def test_no_number(reply: str, model: type[DataModel]) -> None:
    """What is no finite number of the field's kind is invalid."""
    assert parse_text(reply, model) is None


def test_several_lines_belong_to_a_text() -> None:
    """Thinking may run over lines until the next cue; a colon inside it is none."""
    reply = "First: it rains.\nSo the label:\n\n  is this\nLabel: fear\n"
    expected = Thoughtful(thinking="First: it rains.\nSo the label:\n\n  is this", label="fear")
    # "So the label:" holds a cue, but not at the start of its line.
    assert parse_text(reply, Thoughtful) == expected
    assert parse_text("Thinking: " + reply, Thoughtful) == expected
    assert parse_text("I think so", Thoughtful) is None


def test_the_order_of_the_lines_does_not_matter() -> None:
    """Each value stands behind its own cue."""
    assert parse_text("Label: joy\nThinking: sun", Thoughtful) == Thoughtful(thinking="sun", label="joy")


def test_a_title_may_hold_any_sign() -> None:
    """Signs that mean something in patterns are taken literally."""

    class Odd(DataModel):
        sure: bool = Field(title="Sure? (yes|no)")
        cost: float = Field(title="Cost in $ [USD]")

    assert parse_text("Sure? (yes|no): yes\nCost in $ [USD]: 2", Odd) == Odd(sure=True, cost=2)


def test_a_cue_that_another_begins_with() -> None:
    """The longer cue is seen first."""

    class Notes(DataModel):
        short: str = Field(title="Note")
        long: int = Field(title="Note: count")

    assert parse_text("Note: a\nNote: count: 2", Notes) == Notes(short="a", long=2)


text_like = st.text() | st.lists(
    st.sampled_from(
        ["Label:", "label: ", "Final anſwer:", "THİNKİNG:", "Thinking:", "ſure: yes", "\n", "**", "```", "joy", "1e999",
         "nan", " ", "'", ".", "\x1c", "\u2028", "\ud83d", "9" * 5000]
    )
).map("".join)  # fmt: skip


@given(text_like, st.sampled_from([Flat, Thoughtful, Emotion, Yes, Total, Count, Rated, Summary]))
@settings(max_examples=300, deadline=None)
def test_no_text_raises(text: str, model: type[DataModel]) -> None:
    """Any text gives a valid record that can be written in UTF-8, or None."""
    found = parse_text(text, model)
    if found is not None:
        json.dumps(found.get_json(), ensure_ascii=False, allow_nan=False).encode()


def test_letters_that_only_look_alike_in_lower_case() -> None:
    """The long s matches an s where case is ignored, and must not be looked up as one."""
    assert parse_text("ſummary: sun\nLABEL: joy", Summary) == Summary(summary="sun", label="joy")


def test_half_a_character_is_replaced() -> None:
    """A lone surrogate, which no file could hold, becomes a question mark."""
    assert parse_text("a\ud83d\nLabel: joy", Summary) == Summary(summary="a?", label="joy")


def strings(rule: str) -> list[str]:
    """The quoted strings of a grammar, unescaped."""
    return [json.loads(each) for each in re.findall(r'"(?:[^"\\]|\\.)*"', rule)]


@pytest.mark.parametrize("label", ['say "hi"', "back\\slash", 'both \\"', "tab\t", "line\nbreak", "\\n", "ü"])
def test_a_grammar_escapes_its_literals(label: str) -> None:
    """Quotes, backslashes and line ends inside a label or a title end no string of the grammar."""
    model: type[DataModel] = type("M", (DataModel,), {"__annotations__": {"label": Literal[(label, "b")]}})
    assert strings(value_rule(model, "label", " ")) == [" " + label, " b"]

    class Titled(DataModel):
        first: bool
        second: bool = Field(title=label)

    assert f"\n{label}:" in strings(grammar(Titled, continued=True))


def test_a_grammar_offers_exactly_what_is_read() -> None:
    """Each word that a choice offers is read back as its own value."""
    for name, values in {"final_answer": LABELS, "stars": (1, 2, 3), "flag": (True, "maybe"), "score": SCORES}.items():
        words = strings(value_rule(Flat, name))
        rest = render_text({"note": "", "whole": 0, "number": 0.0, "sure": True}, Flat)
        base: dict[str, Any] = {"final_answer": "joy", "stars": 1, "flag": True, "score": 0.0}
        for word, value in zip(words, values, strict=True):
            given_lines = render_text({key: each for key, each in base.items() if key != name}, Flat)
            found = parse_text(f"{given_lines}\n{rest}\n{cue(Flat, name)} {word}", Flat)
            assert found is not None and getattr(found, name) == value


def test_the_grammar_of_a_continued_text_and_of_a_chat() -> None:
    """Behind a cue that ends the prompt the value starts with a space; in a chat it starts the reply."""
    assert grammar(Thoughtful, continued=True) == (
        'root ::= value-0 "\\nLabel:" value-1\n'
        'value-0 ::= " " [^\\n]{1,400}\n'
        'value-1 ::= <" joy"> | <" fear"> | <" U.S.">'
    )
    assert grammar(Emotion, continued=False) == 'root ::= value-0\nvalue-0 ::= <"joy"> | <"fear"> | <"U.S.">'


def test_the_length_of_a_text_is_limited() -> None:
    """The field's own limit, however it is declared, so that constrained decoding ends."""

    class Limited(DataModel):
        plain: Annotated[str, Field(max_length=7)]
        told: str = Field(json_schema_extra={"maxLength": 30})

    assert value_rule(Limited, "plain") == "[^\\n]{1,7}"
    assert value_rule(Limited, "told") == "[^\\n]{1,30}"


class Nested(DataModel):
    emotion: Emotion


class Listed(DataModel):
    emotions: list[Emotion]


class Ambiguous(DataModel):
    name: Literal["none", "some"] | None


@pytest.mark.parametrize(("model", "field"), [(Nested, "emotion"), (Listed, "emotions"), (Ambiguous, "name")])
def test_fields_without_a_text_form_are_refused(model: type[DataModel], field: str) -> None:
    """A record that is not flat cannot be asked for in lines; the error says what to do."""
    with pytest.raises(UsageError, match=f"'{field}'.*structured_output"):
        grammar(model, continued=True)


class Several(DataModel):
    topics: list[Literal["economy", "sport"]] = Field(json_schema_extra={"maxItems": 2})
    numbers: list[float] | None
    words: list[str]
    day: date | None
    mood: Literal["joy", "fear"] | None
    score: Score | None
    sure: bool | None
    note: str | None
    at: datetime


several = st.builds(
    Several,
    topics=st.lists(st.sampled_from(["economy", "sport"]), max_size=2),
    numbers=st.none() | st.lists(st.integers(-9999, 9999).map(lambda number: number / 4), min_size=1, max_size=3),
    words=st.lists(st.sampled_from(["a, b", "c", "none at all"]), max_size=3),
    day=st.none() | st.dates(),
    mood=st.sampled_from(["joy", "fear", None]),
    score=st.none() | st.sampled_from(SCORES),
    sure=st.sampled_from([True, False, None]),
    note=st.none() | st.just("as it is"),
    at=st.datetimes().map(lambda instant: instant.replace(microsecond=0)),
)


@given(several)
def test_lists_and_none_survive(record: Several) -> None:
    """Several values stand in one line, with semicolons between them; ``none`` is None, or an empty list."""
    text = render_text(record.get_json(), Several, reply=True)
    assert "[" not in text and "null" not in text
    assert parse_text(text, Several) == record


def test_a_list_in_a_grammar() -> None:
    """At most as many items as the field says, each as it stands alone, or none; a None is one more value."""
    assert value_rule(Several, "topics", " ") == (
        '( <" economy"> | <" sport"> ) ( ";" ( <" economy"> | <" sport"> ) ){0,1} | <" none">'
    )
    assert value_rule(Several, "mood", " ") == '<" joy"> | <" fear"> | <" none">'
    assert value_rule(Several, "words") == '( [^\\n;]{1,400} ) ( ";" ( " " [^\\n;]{1,400} ) ){0,19} | <"none">'


@pytest.mark.parametrize(
    ("reply", "topics"),
    [("Sport, economy", ["sport", "economy"]), ("'sport'; economy.", ["sport", "economy"]), ("None.", []), ("", [])],
)
def test_how_a_list_may_be_spelt(reply: str, topics: list[str]) -> None:
    """Labels with commas between them too, and as one label may be spelt."""

    class Topics(DataModel):
        topics: list[Literal["economy", "sport"]]

    assert parse_text(f"Topics: {reply}", Topics) == Topics(topics=topics)  # type: ignore[arg-type]


def test_two_fields_with_the_same_cue_are_refused() -> None:
    """Nobody could tell whose value it is."""

    class Twins(DataModel):
        final_answer: str
        other: str = Field(title="Final Answer")

    with pytest.raises(UsageError, match="called alike"):
        grammar(Twins, continued=False)


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("<think>joy?</think>fear", "fear"), ("<think>\nEmotion: joy\n</think>\nEmotion: fear", "fear"),
        ("Emotion: joy\n</think>\nEmotion: fear", "fear"), ("<think>\nEmotion: joy\nbut", None), ("<think>joy", None),
        ("Hm.\n<think>\nEmotion: joy", None), ("joy\n<think>or not", "joy"), ("[THINK]\njoy[/THINK] fear", "fear"),
    ],
)  # fmt: skip
def test_a_thought_is_no_answer(reply: str, label: str | None) -> None:
    """What a model thinks before its lines is passed over; one that is cut off in its thought has not answered."""
    assert parse_text(reply, Emotion) == (None if label is None else Emotion(label=label))
