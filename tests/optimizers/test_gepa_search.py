"""GEPA's loop, against the library's own."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.optimizers.gepa_search import GEPASearch, Runs

gepa = pytest.importorskip("gepa", reason="needs the extra gepa")


class World:
    """Answers that depend on what is asked alone, and, as the adapter of ``gepa.optimize``, what it asked."""

    def __init__(self, luck: int, levels: int) -> None:
        self.luck, self.levels = luck, levels
        self.asked: list[Any] = []

    def chance(self, *parts: Any) -> int:
        return int(hashlib.sha256(repr((self.luck, *parts)).encode()).hexdigest()[:8], 16)

    def rewards(self, candidate: dict[str, str], indices: tuple[int, ...]) -> list[float]:
        self.asked.append((dict(candidate), indices))
        return [self.chance(sorted(candidate.items()), index) % (self.levels + 1) / self.levels for index in indices]

    def text(self, module: str) -> str | None:
        self.asked.append(module)
        chance = self.chance(len(self.asked))
        return f"text {chance % 1000}" if chance % 4 else None

    def log(self, message: str) -> None:
        """As its logger."""

    def evaluate(self, batch: list[int], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        return gepa.EvaluationBatch(batch, self.rewards(candidate, tuple(batch)), trajectories=batch)

    def make_reflective_dataset(self, candidate: Any, evaluated: Any, modules: list[str]) -> dict[str, list[Any]]:
        return {name: [] for name in modules}

    def propose_new_texts(self, candidate: Any, dataset: Any, modules: list[str]) -> dict[str, str]:
        text = self.text(modules[0])
        return {} if text is None else {modules[0]: text}


@settings(deadline=None, max_examples=100)
@given(
    luck=st.integers(0, 10**6),
    seed=st.integers(0, 2**31),
    levels=st.integers(1, 3),
    modules=st.integers(1, 3),
    front=st.integers(1, 9),
    others=st.integers(1, 14),
    minibatch=st.integers(1, 4),
)
def test_asks_what_the_library_asks(luck, seed, levels, modules, front, others, minibatch):
    """Question for question, and in what it finds, its loop is ``gepa.optimize`` on the same answers."""
    original = {f"module {number}": "first" for number in range(modules)}
    fronts, rest = list(range(front)), list(range(100, 100 + others))
    library = World(luck, levels)
    found = gepa.optimize(
        seed_candidate=original,
        trainset=rest,
        valset=fronts,
        adapter=library,
        reflection_minibatch_size=min(minibatch, others),
        perfect_score=1.0,
        max_metric_calls=front + 60,
        logger=library,
        seed=seed,
    )
    own = World(luck, levels)
    search = GEPASearch(original, fronts, rest, min(minibatch, others), seed)
    while len(own.asked) < len(library.asked):
        question = search.question
        if isinstance(question, Runs):
            search.answer(own.rewards(question.candidate, question.indices))
        else:
            search.answer(own.text(question.module))
    assert own.asked == library.asked
    assert search.candidates == found.candidates and search.best() == found.best_candidate
