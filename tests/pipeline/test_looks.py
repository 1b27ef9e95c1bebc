"""Looks at a test split: each configuration tested on it counts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from paretune.pipeline.looks import count_looks
from paretune.stats import confidence_at


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own for what is kept."""
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "home"))


def test_the_same_configuration_is_no_new_look(tmp_path: Path) -> None:
    """Neither in one run nor in a later one; another one is, and another split is counted by itself."""
    test, other = tmp_path / "test.jsonl", tmp_path / "other.jsonl"
    test.write_text("one\n")
    other.write_text("two\n")
    first, second = [{"few_shot": 0}, {"state": 1}], [{"few_shot": 2}, {"state": 1}]
    assert [count_looks(test, [first]), count_looks(test, [first, first]), count_looks(test, [second])] == [1, 1, 2]
    assert count_looks(test, [first]) == 2
    assert count_looks(other, [first]) == 1
    test.write_text("one changed\n")
    assert count_looks(test, [first, second]) == 2


def test_the_confidence_at_some_looks() -> None:
    """Plain up to three, then 1 - alpha / k."""
    assert [confidence_at(looks, 0.95) for looks in (1, 2, 3, 4, 10)] == pytest.approx([0.95] * 3 + [0.9875, 0.995])
