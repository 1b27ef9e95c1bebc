"""The sample that ships with the repository: its columns, its labels, and that no text is there twice or nearly so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from paretune.files import read_jsonl

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"
LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")
SIMILAR = 0.6  # word sets with this Jaccard similarity are near-duplicates
RUN = 6  # and so are texts that share this many words in a row


def rows(name: str) -> list[dict[str, Any]]:
    return list(read_jsonl(SAMPLE / f"{name}.jsonl"))


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower().replace("’", "'"))


def near_duplicates(texts: Sequence[str]) -> list[tuple[int, int]]:
    """The pairs of texts that are alike but for case, punctuation and a few words."""
    bags = [frozenset(words(text)) for text in texts]
    found = {
        (i, j)
        for i, j in combinations(range(len(texts)), 2)
        if len(bags[i] & bags[j]) >= SIMILAR * len(bags[i] | bags[j])
    }
    first_seen: dict[tuple[str, ...], int] = {}
    for index, text in enumerate(texts):
        tokens = words(text)
        for start in range(len(tokens) - RUN + 1):
            other = first_seen.setdefault(tuple(tokens[start : start + RUN]), index)
            if other != index:
                found.add((other, index))
    return sorted(found)


def test_rows_have_a_text_and_a_label_and_nothing_else() -> None:
    """At least 400 training rows; texts are not empty, labels are whole numbers from 0 to 5."""
    assert len(rows("train")) >= 400 and len(rows("test")) >= 200
    for row in rows("train") + rows("test"):
        assert list(row) == ["text", "label"]
        assert isinstance(row["text"], str) and row["text"] == row["text"].strip() and len(words(row["text"])) >= 3
        assert type(row["label"]) is int and 0 <= row["label"] <= 5


@pytest.mark.parametrize("name", ["train", "test"])
def test_the_labels_are_as_unequal_as_they_should_be(name: str) -> None:
    """Joy and sadness are the most, love and surprise the rarest: without that, macro-F1 would show nothing."""
    counts = Counter(LABELS[row["label"]] for row in rows(name))
    ranked = [label for label, _ in counts.most_common()]
    assert ranked[:2] == ["joy", "sadness"]
    assert ranked[-2:] == ["love", "surprise"]
    assert counts["joy"] >= 4 * counts["surprise"]
    assert counts["surprise"] >= 10  # so that its F1 is a number to speak of


def test_train_and_test_have_the_same_shares() -> None:
    """What is learnt about frequencies in training holds on test, within half a percent."""
    train, test = ([row["label"] for row in rows(name)] for name in ("train", "test"))
    for label in range(6):
        assert train.count(label) / len(train) == pytest.approx(test.count(label) / len(test), abs=0.005)


def test_the_readme_and_the_task_agree_with_the_files() -> None:
    """The table of counts is that of the files, and the labels have the task's order."""
    table = re.findall(
        r"(?m)^\| (\d) +\| (\w+) +\| (\d+) +\| (\d+) +\| (\d+) +\|$", (SAMPLE / "README.md").read_text(encoding="utf-8")
    )
    train, test = (Counter(row["label"] for row in rows(name)) for name in ("train", "test"))
    assert [(int(label), name) for label, name, *_ in table] == list(enumerate(LABELS))
    for label, _, *counts in table:
        key = int(label)
        assert [int(each) for each in counts] == [train[key], test[key], train[key] + test[key]]
    task = yaml.safe_load((ROOT / "conf" / "task" / "emotion.yaml").read_text(encoding="utf-8"))
    assert tuple(task["labels"]) == LABELS


def test_no_text_is_there_twice_or_nearly_so() -> None:
    """Neither within a file nor between training and test: a memorised text would pass for understanding."""
    texts = [row["text"] for name in ("train", "test") for row in rows(name)]
    assert [(texts[i], texts[j]) for i, j in near_duplicates(texts)] == []


def test_train_and_test_are_disjoint() -> None:
    """No test text is a training text, whatever its case and punctuation."""
    train, test = ({tuple(words(row["text"])) for row in rows(name)} for name in ("train", "test"))
    assert not train & test


@pytest.mark.parametrize(
    "planted",
    [
        "SAD tonight; no reason!",  # the same words
        "sad tonight, no clear reason",  # 4 of 5 words shared
        # a run of six words in another text
        "my neighbour said the kids put on a puppet show in the hallway, which I doubt very much because he is a liar",
    ],
)
def test_a_planted_near_duplicate_is_found(planted: str) -> None:
    """The check itself works: each kind of near-duplicate is caught, at its place."""
    texts = [row["text"] for row in rows("train")]
    assert [pair for pair in near_duplicates([*texts, planted]) if pair[1] == len(texts)] != []


def test_texts_that_only_share_some_words_are_no_duplicates() -> None:
    """Five words in a row, or just less than 0.6 of the words, are allowed."""
    assert near_duplicates(["we were all so happy today", "we were all so happy when it ended at last"]) == []
    # 4 of 7 words shared: 0.57; one word less and it is 4 of 6: 0.67
    assert near_duplicates(["a b c d e", "a x b c d y"]) == []
    assert near_duplicates(["a b c d e", "a x b c d"]) == [(0, 1)]
