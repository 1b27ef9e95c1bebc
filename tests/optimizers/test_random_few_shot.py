"""RandomFewShot: what it proposes, and what it learns from."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.optimizers import RandomFewShot
from paretune.optimizers.optimizer import Example, Observation


@dataclass
class Student:
    """A module that can be trained."""

    name: str = "generator"
    instructions: str | None = None
    examples: tuple[Example, ...] = field(default=())


def gold(n: int, classes: int = 2) -> list[dict[str, Any]]:
    """n training examples; the output is the index modulo the number of classes."""
    return [{"input": {"i": i}, "output": {"label": i % classes}} for i in range(n)]


def shown(student: Student) -> list[int]:
    """The indices of the examples in the prompt."""
    return [example["input"]["i"] for example in student.examples]


def propose(optimizer: RandomFewShot, modules: Sequence[Student], batch: Sequence[int]) -> None:
    """Install a candidate; no call is made for it, so nothing is waited for."""
    with pytest.raises(StopIteration):
        optimizer.propose(modules, batch).send(None)


def train(optimizer: RandomFewShot, n: int, epochs: int, batch_size: int, quality: Any) -> tuple[Student, list[float]]:
    """Train on scripted rewards: an example earns 1 with the probability ``quality(indices shown)``, by its own dice.

    Returns the student at the end and the quality of every candidate that was proposed.
    """
    student, proposed = Student(), []
    optimizer.begin({student.name: gold(n)})
    for epoch in range(epochs):
        order = np.random.default_rng([7, epoch]).permutation(n).tolist()
        for start in range(0, n, batch_size):
            batch = order[start : start + batch_size]
            propose(optimizer, [student], batch)
            proposed.append(quality(shown(student)))
            dice = np.random.default_rng([1, epoch, *batch, *shown(student)]).random(len(batch))
            optimizer.observe(
                [Observation(i, float(value < proposed[-1])) for i, value in zip(batch, dice, strict=True)]
            )
        optimizer.end_epoch([student])
    return student, proposed


def test_finds_better_examples_than_chance():
    """Where five of forty examples help, the installed candidate is well above the mean candidate, for most seeds."""
    helpful = {3, 11, 17, 28, 36}

    def quality(indices: list[int]) -> float:
        return 0.25 + 0.65 * len(helpful & set(indices)) / max(1, len(indices))

    gains = []
    for seed in range(12):
        student, proposed = train(RandomFewShot(1, 3, seed=seed), 40, 8, 5, quality)
        gains.append(quality(shown(student)) - statistics.fmean(proposed))
    assert statistics.fmean(gains) > 0.15
    assert sum(gain > 0.05 for gain in gains) >= 9


def test_softmax_proposes_helpful_examples_more_often():
    """In later epochs the softmax draws helpful examples more often than the uniform draw does."""
    helpful = set(range(10))

    def late(sampling: Any, seed: int) -> float:
        optimizer = RandomFewShot(2, 2, sampling=sampling, sampling_temperature=0.1, seed=seed)
        _, proposed = train(optimizer, 40, 8, 5, lambda indices: 0.1 + 0.4 * len(helpful & set(indices)))
        return statistics.fmean(proposed[len(proposed) // 2 :])

    differences = [late("softmax", seed) - late("random", seed) for seed in range(8)]
    assert statistics.fmean(differences) > 0.05


@given(
    n=st.integers(1, 30),
    batch_size=st.integers(1, 12),
    least=st.integers(0, 4),
    more=st.integers(0, 4),
    seed=st.integers(0, 2**31),
    stratify=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_every_proposal_is_lawful(n, batch_size, least, more, seed, stratify):
    """Between least and most examples, each once, none of the batch where the pool allows it, outputs as the gold."""
    optimizer = RandomFewShot(least, least + more, seed=seed, stratify=stratify)
    student = Student()
    optimizer.begin({student.name: gold(n, 3)})
    for start in range(0, n, batch_size):
        batch = list(range(start, min(n, start + batch_size)))
        propose(optimizer, [student], batch)
        free = n - len(batch) or n
        assert min(least, free) <= len(student.examples) <= min(least + more, free)
        assert len(set(shown(student))) == len(student.examples)
        if len(batch) < n:
            assert not set(shown(student)) & set(batch)
        wrong = {student.name: {"input": {"i": 0}, "output": {"label": 99, "thinking": "wrong"}}}
        optimizer.observe([Observation(i, 0.0, wrong) for i in batch])
        assert all(example == gold(n, 3)[example["input"]["i"]] for example in student.examples)


@given(seed=st.integers(0, 2**31), k=st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_stratified_draws_are_even(seed, k):
    """With stratify the classes of a draw differ by one at most, thinking or not; k of one class is never all."""
    optimizer = RandomFewShot(k, k, seed=seed, stratify=True)
    student = Student()
    optimizer.begin({student.name: gold(60, 3)})
    thought = {"input": {"i": 0}, "output": {"thinking": "0 mod 3", "label": 0}}
    for _ in range(3):
        propose(optimizer, [student], range(50, 60))
        counts = np.bincount([index % 3 for index in shown(student)], minlength=3)
        assert counts.max() - counts.min() <= 1
        optimizer.observe([Observation(0, 1.0, {student.name: thought})])


def test_thinking_enters_only_where_it_was_earned():
    """A right reply lends its thinking to the gold example; a wrong or failed one nothing; the first one stays."""
    optimizer = RandomFewShot(4, 4, seed=0)
    student = Student()
    optimizer.begin({student.name: gold(4)})
    propose(optimizer, [student], [])

    def replied(thinking: str, label: int) -> dict[str, Example]:
        return {student.name: {"input": {"i": -1}, "output": {"thinking": thinking, "label": label}}}

    optimizer.observe(
        [
            Observation(0, 1.0, replied("good", 0)),
            Observation(1, 0.0, replied("bad", 0)),
            Observation(2, None, replied("none", 0)),
            Observation(3, 0.9, replied("nearly", 1)),
        ]
    )
    optimizer.observe([Observation(0, 1.0, replied("later", 0))])
    propose(optimizer, [student], [])
    outputs = {example["input"]["i"]: example["output"] for example in student.examples}
    assert outputs == {0: {"thinking": "good", "label": 0}, 1: {"label": 1}, 2: {"label": 0}, 3: {"label": 1}}
    assert list(outputs[0]) == ["thinking", "label"]


def test_inner_modules_learn_from_right_runs():
    """A module without gold examples shows what it replied in runs that earned the reward, and nothing before."""
    optimizer = RandomFewShot(1, 1, seed=0)
    inner = Student("inner")
    optimizer.begin({})
    propose(optimizer, [inner], [0, 1])
    assert inner.examples == ()
    right = {"input": {"q": "a"}, "output": {"plan": "b"}}
    wrong = {"input": {"q": "c"}, "output": {"plan": "d"}}
    optimizer.observe([Observation(0, 1.0, {"inner": right}), Observation(1, 0.0, {"inner": wrong})])
    for _ in range(5):
        propose(optimizer, [inner], [2])
        assert inner.examples == (right,)


def test_search_goes_on_after_the_first_proposal():
    """Proposals of a batch sequence are different from each other, as long as there are different ones."""
    optimizer = RandomFewShot(1, 1, seed=0)
    student = Student()
    optimizer.begin({student.name: gold(8)})
    seen = []
    for _ in range(8):
        propose(optimizer, [student], [])
        seen += shown(student)
        optimizer.observe([Observation(0, 0.0)])
    assert len(set(seen)) >= 7


def test_few_lucky_examples_do_not_beat_many():
    """A candidate is judged by its mean shrunk for small n: 20 right of 24 beat 1 right of 1."""
    optimizer = RandomFewShot(1, 1, seed=3)
    student = Student()
    optimizer.begin({student.name: gold(6)})
    propose(optimizer, [student], [])
    lucky = shown(student)
    optimizer.observe([Observation(0, 1.0)])
    propose(optimizer, [student], [])
    steady = shown(student)
    optimizer.observe([Observation(0, float(i < 20)) for i in range(24)])
    propose(optimizer, [student], [])
    optimizer.observe([Observation(0, 0.0) for _ in range(24)])
    optimizer.end_epoch([student])
    assert shown(student) == steady != lucky


def test_population_is_capped():
    """At the end of an epoch only the best candidates are remembered, the installed one first."""
    optimizer = RandomFewShot(1, 2, population_size=3, seed=0)
    student, _ = train(optimizer, 30, 2, 2, lambda indices: 0.5)
    population = optimizer.get_state()["population"]
    assert len(population) == 3
    assert population[0]["choice"][student.name] == shown(student)


def test_seed_and_replicate_decide_the_proposals():
    """The same seed proposes the same, another seed or replicate something else."""

    def proposals(seed: int, replicate: int = 0) -> list[list[int]]:
        optimizer, student, seen = RandomFewShot(2, 2, seed=seed), Student(), []
        optimizer.begin({student.name: gold(50)}, replicate)
        for _ in range(5):
            propose(optimizer, [student], [0])
            seen.append(shown(student))
            optimizer.observe([Observation(0, 1.0)])
        return seen

    assert proposals(0) == proposals(0)
    assert len({json.dumps(proposals(*key)) for key in [(0, 0), (1, 0), (0, 1)]}) == 3


@given(st.integers(0, 1000), st.integers(0, 6), st.sampled_from(["softmax", "random"]))
@settings(max_examples=40, deadline=None)
def test_a_stored_state_goes_on_exactly(seed, steps, sampling):
    """After get_state, JSON with its keys in any order, and load_state, the next proposals are the same."""
    student, twin = Student(), Student()
    first = RandomFewShot(1, 4, sampling=sampling, seed=seed, stratify=True)

    def step(optimizer: RandomFewShot, module: Student, number: int) -> None:
        batch = [(5 * number + i) % 20 for i in range(5)]
        propose(optimizer, [module], batch)
        thought = {"thinking": f"step {number}", "label": batch[0] % 2}
        example = {"input": {"i": batch[0]}, "output": thought}
        rewards = [float((sum(shown(module)) + i) % 3 == 0) for i in batch]
        optimizer.observe(
            [Observation(i, reward, {module.name: example}) for i, reward in zip(batch, rewards, strict=True)]
        )

    first.begin({student.name: gold(20)})
    for number in range(steps):
        step(first, student, number)
    first.end_epoch([student])
    state = json.loads(json.dumps(first.get_state(), sort_keys=True))
    second = RandomFewShot(1, 4, sampling=sampling, seed=seed + 1, stratify=True)
    second.load_state(state)
    second.begin({twin.name: gold(20)})
    for number in range(steps, steps + 5):
        step(first, student, number)
        step(second, twin, number)
        assert twin.examples == student.examples
    first.end_epoch([student])
    second.end_epoch([twin])
    assert twin.examples == student.examples and second.get_state() == first.get_state()


def test_state_does_not_repeat_the_training_data():
    """Only what was learned beside the gold examples is kept, so that a state stays small."""
    optimizer = RandomFewShot(seed=0)
    student, _ = train(optimizer, 1000, 1, 100, lambda indices: 0.5)
    assert len(json.dumps(optimizer.get_state())) < 10_000
    assert student.examples


def test_training_anew_forgets():
    """A second begin() without a loaded state starts over, as if nothing had been seen."""
    optimizer = RandomFewShot(seed=2)
    first, proposed = train(optimizer, 20, 2, 4, lambda indices: 0.5)
    second, again = train(optimizer, 20, 2, 4, lambda indices: 0.5)
    assert first.examples == second.examples and proposed == again


@pytest.mark.parametrize(
    "options",
    [
        {"nb_min_examples": 3, "nb_max_examples": 2},
        {"nb_min_examples": -1},
        {"sampling": "best"},
        {"sampling_temperature": 0.0},
        {"population_size": 0},
    ],
)
def test_impossible_options_are_refused(options):
    """Options that cannot work are errors at once."""
    with pytest.raises(UsageError):
        RandomFewShot(**options)
