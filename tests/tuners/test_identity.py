"""What tells one search from another: legal objects of any kind, at no cost, and the same in each process."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_numbers import Number, Parity, mostly_right

from paretune import CallOptions, Generator, Input, Program, ScriptedLanguageModel, run_maybe_nested
from paretune.rewards import Reward
from paretune.tuners.identity import Explored


class Scored(Reward):
    """A reward with arguments of any kind, and something that it remembers."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.given, self.named = given, named
        self.seen: list[str] = []

    async def __call__(self, y_true: Any, y_pred: Any) -> float:
        self.seen.append("one more")
        return 1.0


class Style(enum.Enum):
    """A choice of words."""

    SHORT = 1
    LONG = 2


@dataclasses.dataclass
class Holder:
    """Something that may hold itself, and a field that nobody has set."""

    inside: Any = None
    unset: int = dataclasses.field(init=False)


def described(reward: Any) -> str:
    """The digest of a program that has this reward."""

    async def build() -> Program:
        inputs = Input(data_model=Number)
        generator = Generator(data_model=Parity, language_model=ScriptedLanguageModel(mostly_right), name="g")
        program = Program(inputs=inputs, outputs=await generator(inputs), name="p")
        program.compile(reward=reward)
        return program

    explored = Explored()
    explored.add(run_maybe_nested(build()))
    return explored.digests[0]


def within(tolerance: float) -> Any:
    """A reward function that closes over a number."""

    def close(y_true: Any, y_pred: Any) -> float:
        return float(tolerance > 0.5)

    return close


class Judge:
    """A method as a reward function."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict

    def score(self, y_true: Any, y_pred: Any) -> float:
        return float(self.strict)


def holding_itself() -> Any:
    """A cycle."""
    holder = Holder()
    holder.inside = [holder, {"again": holder}]
    return holder


OTHERS = [
    (within(0.2), within(0.3)),
    (Judge(True).score, Judge(False).score),
    (Scored(Style.SHORT), Scored(Style.LONG)),
    (Scored(re.compile("a")), Scored(re.compile("b"))),
    (Scored(Path("a")), Scored(Path("b"))),
    (Scored(np.arange(3)), Scored(np.arange(4))),
    (Scored(np.array([1, "a"], dtype=object)), Scored(np.array([2, "a"], dtype=object))),
    (Scored({"b", "a"}), Scored({"b", "c"})),
    (Scored(float("nan")), Scored(float("inf"))),
    (Scored(words=["a"]), Scored(words=["b"])),
    (Scored(CallOptions(stop="a")), Scored(CallOptions(stop="b"))),
    (Scored(CallOptions(extra={"top_k": 1})), Scored(CallOptions(extra={"top_k": 2}))),
]


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_other_arguments_make_another_program(one: Any, other: Any) -> None:
    """Whatever a reward is made with counts; made with the same again, it is the same."""
    assert described(one) == described(one) != described(other)


def test_anything_may_be_an_argument(tmp_path: Path) -> None:
    """Types, cycles, numbers of NumPy: they are described, or stand for their class."""
    with open(tmp_path / "log", "a") as log:
        odd = [Literal["a"], int | None, list[int], holding_itself(), np.array(3), np.float32("nan"), log]
        odd += [np.datetime64("2026-01-01"), object(), lambda: 1, print]
        assert len({described(Scored(each)) for each in odd}) >= len(odd) - 1


def test_nothing_is_used_up() -> None:
    """An iterator is left alone, an endless one too; what a reward remembers is no part of it."""
    iterator = iter([1, 2, 3])
    reward = Scored(iterator, itertools.count())
    before = described(reward)
    assert list(iterator) == [1, 2, 3]
    run_maybe_nested(reward(None, None))
    assert reward.seen and described(reward) == before


SAME = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from test_identity import Scored, Style, described
print(described(Scored({"a", "b", "c"}, frozenset("xyz"), Style.LONG, {"k": {"v"}}, object(), lambda x: x)))
"""


def test_the_same_in_each_process() -> None:
    """Neither the order of sets nor the place of objects in memory makes a difference."""
    path = ":".join([os.path.dirname(__file__), *(name for name in sys.path if name)])
    found = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", SAME, path], capture_output=True, text=True, env=environment, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(plain, plain)
@settings(max_examples=60, deadline=None)
def test_equal_values_and_no_others(one: Any, other: Any) -> None:
    """JSON values are told apart by what they are, and by nothing else."""
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (described(Scored(one)) == described(Scored(other))) is same
