"""What is known of a finished trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from paretune.metrics.outcome import Outcome

__all__ = ["ReplicateRecord", "TrialRecord", "finite"]


@dataclass(frozen=True)
class ReplicateRecord:
    """One training of a trial's program: the metrics, the trained state and the validation examples of its best epoch.

    ``examples`` are the outcomes on the n validation examples, in data order. ``reached`` is the state after the last
    epoch, the optimizer's included; only for searches in which a later trial may go on from it.
    """

    metrics: dict[str, float]
    epoch: int
    state: dict[str, Any]
    examples: tuple[Outcome, ...]
    reached: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        """This record as JSON values."""
        return {**vars(self), "examples": [outcome.row() for outcome in self.examples]}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ReplicateRecord:
        """A record from its row. Raises TypeError or KeyError for what is none."""
        return cls(**{**row, "examples": tuple(map(Outcome.from_row, row["examples"]))})


@dataclass(frozen=True)
class TrialRecord:
    """Everything that is known of a finished trial.

    ``metrics`` are means over the replicates, each of which has its metrics from one epoch, never a mix; with several
    replicates ``standard_errors`` has those of the means. Calls, retries, tokens and cost are the whole trial's, as
    they would be without the ledger; ``latency_s`` is the mean of a call. ``score`` is the scalar that trials are
    ranked by, known when the search ends; ``best_replicate`` is the one whose state a rebuilt program gets.
    ``seconds`` is how long the trial took when it was run: the one thing that another run of the same search has
    otherwise, so that it is in no ``row`` and counts in no comparison. ``scoring`` is the digest of what the metrics
    were computed by, known in a running search.
    """

    trial: str
    status: Literal["COMPLETED", "FAILED"]
    values: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    standard_errors: dict[str, float] = field(default_factory=dict)
    calls: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    latency_s: float | None = None
    n: int = 0
    error: str | None = None
    replicates: tuple[ReplicateRecord, ...] = ()
    best_replicate: int = 0
    score: float | None = None
    seconds: float | None = field(default=None, compare=False)
    scoring: str | None = field(default=None, compare=False)

    @property
    def completed(self) -> bool:
        """Whether the trial was scored."""
        return self.status == "COMPLETED"

    @property
    def state(self) -> dict[str, Any]:
        """The trained state that a rebuilt program gets."""
        return self.replicates[self.best_replicate].state

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What became of the validation examples, one replicate after the other."""
        return tuple(outcome for replicate in self.replicates for outcome in replicate.examples)

    def row(self) -> dict[str, Any]:
        """This record as JSON values, the same in every run of the search."""
        values = {name: value for name, value in vars(self).items() if name not in ("seconds", "scoring")}
        return {**values, "replicates": [replicate.row() for replicate in self.replicates]}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TrialRecord:
        """A record from its row. Raises TypeError or KeyError for what is none."""
        return cls(**{**row, "replicates": tuple(map(ReplicateRecord.from_row, row["replicates"]))})


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that could be measured: JSON has no NaN."""
    return {name: float(value) for name, value in metrics.items() if value == value and abs(value) != float("inf")}
