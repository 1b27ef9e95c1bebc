"""What an optimizer is: it proposes instructions and examples before a batch, and hears how the batch went."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from paretune.configurable import Configurable
from paretune.errors import UsageError
from paretune.lm.language_model import LanguageModel
from paretune.prompting.prompts import Example

__all__ = ["EARNED", "Observation", "Optimizer", "Trainable", "shrunk_mean"]

#: A reply that earned this reward is right.
EARNED = 1.0
#: A mean is shrunk towards another as if it were of this many examples more.
PRIOR_EXAMPLES = 8.0


class Trainable(Protocol):
    """A module whose instructions and examples training may change."""

    name: str
    instructions: str | None
    examples: tuple[Example, ...]
    language_model: LanguageModel


@dataclass(frozen=True)
class Observation:
    """How one training example went: its reward (None for a failed one) and, by module, what went in and came out."""

    index: int
    reward: float | None
    replies: Mapping[str, Example] = field(default_factory=dict)


class Optimizer(Configurable, ABC):
    """Base class. All randomness comes from a generator seeded in ``begin``; the state is JSON."""

    seed: int = 0
    #: Whether ``planned_calls`` is what a training takes when every reply is valid, and not the most that it may take.
    plans_exactly: ClassVar[bool] = True

    @property
    def language_models(self) -> tuple[LanguageModel, ...]:
        """The language models that it asks, beside those of the modules."""
        return ()

    @abstractmethod
    def begin(self, gold: Mapping[str, Sequence[Example]], replicate: int = 0) -> None:
        """Start training (or go on, after ``load_state``). ``gold`` gives for each module the examples known so far,
        by training index; a module that they are not known for has none."""

    async def next_batch(self, modules: Sequence[Trainable], batch: Sequence[int], examples: int) -> Sequence[int]:
        """Install a candidate, and give the training examples (indices below ``examples``) that run under it: those of
        ``batch``, or as many or fewer that the optimizer chooses itself, at least one."""
        await self.propose(modules, batch)
        return batch

    @abstractmethod
    async def propose(self, modules: Sequence[Trainable], batch: Sequence[int]) -> None:
        """Install the candidate that the training examples of ``batch`` (indices) are run under.

        The calls that this takes are noted in the current trace (see ``prompting.trace``)."""

    @abstractmethod
    def observe(self, observations: Sequence[Observation]) -> None:
        """Hear how the batch went, in the batch's order."""

    @abstractmethod
    def end_epoch(self, modules: Sequence[Trainable]) -> None:
        """Install the best candidate so far, which is then validated."""

    def planned_calls(self, modules: Sequence[Trainable], examples: int, batch_size: int, epochs: int) -> int:
        """How many calls the proposals of a training on so many examples take, which goes on from the loaded state if
        there is one."""
        return 0

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Everything needed to go on, as JSON values."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a state that ``get_state`` gave. Raises UsageError for one of another optimizer."""

    def _check_kind(self, state: Mapping[str, Any]) -> None:
        """Raise UsageError for a state without the parts that this optimizer's states have."""
        if set(state) != set(self.get_state()):
            raise UsageError(
                f"the state is of another optimizer than {type(self).__name__}: compile the program with that one, or "
                "load the state before compile(…)"
            )


def shrunk_mean(total: float, n: int, towards: float) -> float:
    """The mean of n rewards with the sum ``total``, shrunk so that few lucky examples do not beat many good ones."""
    return (total + PRIOR_EXAMPLES * towards) / (n + PRIOR_EXAMPLES)
