"""What an optimizer is: it proposes instructions and examples before a batch, and hears how the batch went."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Example", "Observation", "Optimizer", "Trainable"]

#: ``{"input": {...}, "output": {...}}``
Example = Mapping[str, Any]


class Trainable(Protocol):
    """A module whose instructions and examples training may change."""

    name: str
    instructions: str | None
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Observation:
    """How one training example went: its reward (None for a failed one) and, by module, what went in and came out."""

    index: int
    reward: float | None
    replies: Mapping[str, Example] = field(default_factory=dict)


class Optimizer(ABC):
    """Base class. All randomness comes from a generator seeded in ``begin``; the state is JSON."""

    seed: int = 0

    @abstractmethod
    def begin(self, gold: Mapping[str, Sequence[Example]], replicate: int = 0) -> None:
        """Start training (or go on, after ``load_state``). ``gold`` gives for each module the examples known so far,
        by training index; a module that they are not known for has none."""

    @abstractmethod
    def propose(self, modules: Sequence[Trainable], batch: Sequence[int]) -> None:
        """Install the candidate that the training examples of ``batch`` (indices) are run under."""

    @abstractmethod
    def observe(self, observations: Sequence[Observation]) -> None:
        """Hear how the batch went, in the batch's order."""

    @abstractmethod
    def end_epoch(self, modules: Sequence[Trainable]) -> None:
        """Install the best candidate so far, which is then validated."""

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Everything needed to go on, as JSON values."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a state that ``get_state`` gave."""
