"""GEPA's loop over the parts of the library ``gepa``: it asks a question, and waits there for the answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from paretune.errors import UsageError
from paretune.files import digest
from paretune.optimizers.optimizer import EARNED

if TYPE_CHECKING:
    from gepa.core.state import GEPAState, ValsetEvaluation

__all__ = ["Answer", "GEPASearch", "Question", "Reflection", "Runs", "check_library"]


class Runs(NamedTuple):
    """Asks for the rewards that a candidate (instructions by module) earns on examples (indices), in their order."""

    candidate: dict[str, str]
    indices: tuple[int, ...]
    #: Of the front, or of a minibatch: of a candidate to improve, or of the one that is to replace it.
    part: Literal["front", "parent", "child"]


class Reflection(NamedTuple):
    """Asks for new instructions of one module, or None, after runs on a minibatch and their rewards."""

    runs: Runs
    rewards: Sequence[float]
    module: str
    #: How many were asked for before.
    number: int


Question = Runs | Reflection
Answer = Sequence[float] | str | None


class GEPASearch:
    """The questions of ``gepa.optimize`` with its defaults, one at a time; the same answers give the same questions.

    ``optimize`` itself calls for its answers and cannot be halted between two of them. So this is its loop, in a
    generator, around the library's own state with its Pareto front, choice of candidates and minibatches.

    Parameters
    ----------
    original
        Instructions by module that the search starts from.
    front, others
        Indices of the examples that accepted candidates are scored on, and of those in minibatches; neither is empty.
    minibatch
        Examples a minibatch, at most as many as ``others``.
    """

    def __init__(
        self, original: dict[str, str], front: Sequence[int], others: Sequence[int], minibatch: int, seed: int
    ) -> None:
        self._original, self._front, self._others = original, tuple(front), tuple(others)
        self._minibatch, self._seed = minibatch, seed
        self._state: GEPAState[None, int] | None = None
        self._questions = self._ask()
        #: What is asked next.
        self.question = next(self._questions)

    def answer(self, answer: Answer) -> None:
        """Go on to the next question: with rewards after ``Runs``, with a text or None after ``Reflection``."""
        self.question = self._questions.send(answer)

    @property
    def digest(self) -> str:
        """A few digits that tell the question from others."""
        return digest(self.question)[:12]

    @property
    def candidates(self) -> list[dict[str, str]]:
        """Those scored on the front, in their order."""
        return [] if self._state is None else self._state.program_candidates

    def best(self) -> dict[str, str]:
        """The candidate with the most reward on the front, of equals the earliest; at first the original one."""
        if self._state is None:
            return self._original
        earned = [sum(rewards.values()) for rewards in self._state.prog_candidate_val_subscores]
        return self.candidates[earned.index(max(earned))]

    def _ask(self) -> Generator[Question, Any, None]:
        """Algorithm 1 of the paper; candidates take turns with their modules as in the library."""
        from gepa.core.data_loader import ListDataLoader
        from gepa.core.state import GEPAState
        from gepa.strategies.batch_sampler import EpochShuffledBatchSampler
        from gepa.strategies.component_selector import RoundRobinReflectionComponentSelector

        rng = random.Random(self._seed)
        sampler: EpochShuffledBatchSampler[int, int] = EpochShuffledBatchSampler(self._minibatch, rng)
        loader, turn = ListDataLoader(self._others), RoundRobinReflectionComponentSelector()
        rewards = yield Runs(self._original, self._front, "front")
        self._state = state = GEPAState(self._original, _evaluation(rewards))
        parents, number = _parents(state), 0
        while True:
            state.i += 1
            parent = rng.choice(parents)
            candidate = state.program_candidates[parent]
            indices = tuple(loader.fetch(sampler.next_minibatch_ids(loader, state)))
            runs = Runs(candidate, indices, "parent")
            before = yield runs
            if min(before) >= EARNED:
                continue
            [module] = turn(state, [], before, parent, candidate)
            text = yield Reflection(runs, before, module, number)
            number += 1
            if text is None:
                continue
            child = {**candidate, module: text}
            after = yield Runs(child, indices, "child")
            if sum(after) > sum(before):
                rewards = yield Runs(child, self._front, "front")
                state.update_state_with_new_program([parent], child, _evaluation(rewards), None, 0)
                parents = _parents(state)


def check_library() -> None:
    """Raise UsageError where the library is missing, or is another version than this module is written for."""
    try:
        from gepa.core.state import GEPAState, ValsetEvaluation  # noqa: F401
        from gepa.gepa_utils import remove_dominated_programs  # noqa: F401
    except ImportError:
        raise UsageError(
            "GEPA needs the library gepa: pip install 'paretune[gepa]', or search instructions with OPRO (opro)"
        ) from None


def _evaluation(rewards: Sequence[float]) -> ValsetEvaluation[None, int]:
    """Rewards on the front, in the library's form."""
    from gepa.core.state import ValsetEvaluation

    return ValsetEvaluation({}, dict(enumerate(rewards)))


def _parents(state: GEPAState[None, int]) -> list[int]:
    """The candidates on the front, each as often as it is best on an example; a draw from these is the library's."""
    from gepa.gepa_utils import remove_dominated_programs

    without_dominated: Any = remove_dominated_programs  # has no types
    best = without_dominated(state.get_pareto_front_mapping(), scores=state.per_program_tracked_scores)
    return list(Counter(number for numbers in best.values() for number in numbers).elements())
