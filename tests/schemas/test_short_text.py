"""Short texts are compared as in SQuAD, but for numbers, which keep their sign and their point."""

from __future__ import annotations

import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.schemas.short_text import is_same_text, normalized, word_f1


def squad(text: str) -> str:
    """``normalize_answer`` of SQuAD's evaluation script."""
    text = "".join(character for character in text.lower() if character not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def squad_f1(true: str, given: str) -> float:
    """``f1_score`` of SQuAD's evaluation script."""
    gold, found = squad(true).split(), squad(given).split()
    common = sum((Counter(gold) & Counter(found)).values())
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(gold)
    return 2 * precision * recall / (precision + recall)


words = st.lists(st.sampled_from(["The", "a", "cat", "Cat's", "U.S.", "rock-n-roll", "(dog)", "an", "B.", "42", "x,y"]))
texts = words.map(" ".join)


@given(texts, texts)
def test_as_squad_without_signed_or_broken_numbers(true: str, given: str) -> None:
    """Normal form, equality and F1 are those of SQuAD's own script."""
    assert normalized(true) == squad(true)
    if squad(true) and squad(given):
        assert is_same_text(true, given) == (squad(true) == squad(given))
        assert word_f1(true, given) == pytest.approx(squad_f1(true, given))


@pytest.mark.parametrize(
    ("true", "given", "same"),
    [
        ("The Beatles", "beatles!", True),
        ("3.5", "35", False),
        ("-3", "3", False),
        ("-$1,234.50", "-1234.50", True),
        ("1,000 km", "1000 km", True),
        ("10-20", "1020", True),  # as SQuAD has it: a hyphen between digits is no sign
        ("Café", "cafe\N{COMBINING ACUTE ACCENT}", True),
        ("“Hamlet”", "hamlet", True),
        ("!!!", "???", False),
        ("The", "the", False),  # no word is left of either; then they must be equal
        ("", "", True),
    ],
)
def test_what_counts(true: str, given: str, same: bool) -> None:
    """Case, articles and punctuation do not count, numbers do."""
    assert is_same_text(true, given) == same


def test_f1_by_hand() -> None:
    """ "the red car" and "a red bus": red in common, two words each: 2 * 1 / 4."""
    assert word_f1("the red car", "a red bus") == 0.5
    assert word_f1("", "") == 1.0
    assert word_f1("?", "!") == 0.0
