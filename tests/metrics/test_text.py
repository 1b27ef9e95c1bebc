"""F1Score: which tokens a text has, and what two texts are worth to each other."""

from __future__ import annotations

import asyncio
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.metrics import F1Score
from paretune.metrics.text import tokens
from paretune.rewards.reward import as_reward
from paretune.schemas.data_model import DataModel


class Answer(DataModel):
    text: str


class Person(DataModel):
    name: str
    motto: str | None = None
    age: int = 0


class ThoughtfulAnswer(DataModel):
    thinking: str
    text: str


def f1(true: str, pred: str) -> float:
    found: float = F1Score()([Answer(text=true)], [Answer(text=pred)])
    return found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("-3.5", ["-3.5"]),
        ("3.5", ["3.5"]),
        ("It is −3.5.", ["it", "is", "-3.5"]),
        ("(+1), .5, -.5", ["+1", ".5", "-.5"]),
        ("2e-5 or 2.0.1", ["2e-5", "or", "2.0.1"]),
        ("-$5 and $-5 and $5", ["-5", "and", "-5", "and", "5"]),
        ("1,234,567.25", ["1234567.25"]),
        ("1,2 and 12,3456", ["1", "2", "and", "12", "3456"]),
        ("10-20, f(x)-3, GPT-4", ["10", "20", "f", "x", "3", "gpt", "4"]),
        ("x=-3", ["x", "-3"]),
        ("5 - 3", ["5", "3"]),
        ("5kg, 80%", ["5", "kg", "80"]),
        ("b2b v2", ["b2b", "v2"]),
        ("Don't DON’T dont", ["dont", "dont", "dont"]),
        ("well-known a_b, U.S.!", ["well", "known", "a", "b", "u", "s"]),
        ("The cat; the hat", ["the", "cat", "the", "hat"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("ﬁn １２", ["fin", "12"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),
        ("soft\u00adhyphen", ["softhyphen"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        (" \n?!… ", []),
        ("", []),
    ],
)
def test_tokens(text: str, wanted: list[str]) -> None:
    """Words without case and punctuation; numbers with their signs and points."""
    assert tokens(text) == wanted


@given(st.lists(st.decimals(-1000, 1000, allow_nan=False, allow_infinity=False, places=2), max_size=6))
def test_a_written_number_is_one_token(numbers: list[object]) -> None:
    """Whatever the number, its sign and its point stay, also inside a sentence."""
    written = [f"{number}" for number in numbers]
    assert tokens("so: " + ", ".join(written) + ".") == ["so", *written]


@given(st.text(max_size=60))
def test_tokens_of_anything(text: str) -> None:
    """No text breaks it; case does not matter, and tokens are their own tokens."""
    found = tokens(text)
    assert all(found) and tokens(text.casefold()) == found
    assert tokens(" ".join(found)) == found


def test_by_hand() -> None:
    """Of five and four tokens three are in common, the second "the" among them, the third not."""
    # gold: the cat sat the mat; found: the the the cat: 2 the, 1 cat: 2 * 3 / (5 + 4)
    assert f1("The cat sat, the mat.", "the the THE cat") == pytest.approx(2 * 3 / 9)
    assert f1("-3.5", "3.5") == f1("-3.5", "-35") == 0.0
    assert f1("$1,000", "1000 dollars") == pytest.approx(2 * 1 / 3)


@pytest.mark.parametrize(("true", "pred", "wanted"), [("", "", 1.0), ("?", "!", 1.0), ("a", "", 0.0), ("", "a", 0.0)])
def test_texts_without_tokens(true: str, pred: str, wanted: float) -> None:
    """Nothing agrees with nothing, and with nothing else."""
    assert f1(true, pred) == wanted


words = st.lists(st.sampled_from(["a", "b", "c", "-1", "1"]), max_size=8)


@given(words, words)
@settings(max_examples=80)
def test_harmonic_mean_of_precision_and_recall(true: list[str], pred: list[str]) -> None:
    """Against a slow twin in fractions, that takes each common token away once; and the order does not matter."""
    left, common = list(true), 0
    for word in pred:
        if word in left:
            left.remove(word)
            common += 1
    if common:
        precision, recall = Fraction(common, len(pred)), Fraction(common, len(true))
        wanted = float(2 * precision * recall / (precision + recall))
    else:
        wanted = float(not true and not pred)
    found = f1(" ".join(true), " ".join(pred))
    assert found == pytest.approx(wanted)
    assert found == f1(" ".join(pred), " ".join(reversed(true)))
    assert (found == 1.0) == (Counter(true) == Counter(pred))


def test_mean_over_fields_and_examples() -> None:
    """Each string field counts alike in an example, each example alike in the metric; an invalid output is 0."""
    gold = [Person(name="Ada Lovelace", motto="That brain of mine"), Person(name="Bob"), Person(name="Eve")]
    pred = [Person(name="Ada", motto="brain", age=9), Person(name="Bob", motto="?"), None]
    # (2/3 + 2/5)/2 = 8/15; (1 + 1)/2 = 1 (no motto and one without a token); 0
    assert F1Score()(gold, pred) == pytest.approx((8 / 15 + 1 + 0) / 3)
    assert F1Score(in_mask=["name"])(gold, pred) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert F1Score(out_mask=["name"])(gold, pred) == pytest.approx((2 / 5 + 1 + 0) / 3)


def test_only_text_is_compared() -> None:
    """Other fields are left alone, unless asked for by name or nothing else is there: then before any call."""
    assert F1Score().bind(Person).fields == ("name", "motto")
    for metric in (F1Score(in_mask=["name", "age"]), F1Score(out_mask=["name", "motto"])):
        with pytest.raises(UsageError, match="'age'"):
            metric.bind(Person)
    with pytest.raises(UsageError, match="'nmae'"):
        F1Score(in_mask=["nmae"]).bind(Person)


def test_fields_beside_the_gold_ones() -> None:
    """Thinking is not compared, and a field that the prediction lacks is worth nothing."""
    assert F1Score()([Answer(text="joy")], [ThoughtfulAnswer(thinking="hm", text="joy")]) == 1.0
    assert F1Score()([ThoughtfulAnswer(thinking="hm", text="joy")], [Answer(text="joy")]) == 0.5
    assert F1Score()([ThoughtfulAnswer(thinking="", text="joy")], [Answer(text="joy")]) == 0.5


async def _reward(true: str, pred: str) -> float:
    return await as_reward(F1Score()).bind(Answer)(Answer(text=true), Answer(text=pred))


def test_as_a_reward_and_of_nothing() -> None:
    """A reward is the example's own score; the mean of no examples is NaN."""
    assert asyncio.run(_reward("a b", "a")) == pytest.approx(2 / 3)
    assert np.isnan(F1Score().bind(Answer).reduce(np.zeros(2)))
    assert F1Score().name == "f1_score" and F1Score("overlap").name == "overlap"
