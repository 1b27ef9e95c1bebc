"""What is known of a finished trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from paretune.metrics.outcome import Outcome

__all__ = ["Dropped", "ReplicateRecord", "TrialRecord", "finite", "race_savings"]


@dataclass(frozen=True)
class ReplicateRecord:
    """One training of a trial's program: the metrics, the trained state and the validation examples of its best epoch.

    ``examples`` are the outcomes on the n validation examples, in data order (of a dropped trial, on those that it
    ran). ``reached`` is the state after the last epoch, the optimizer's included; only for searches in which a later
    trial may go on from it.
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
class Dropped:
    """Why a race has dropped a trial: trial ``by`` was shown to be better on the validation examples that both had run,
    those with the numbers ``examples`` (from 0, in data order). ``saved``: so many calls were not made."""

    by: str
    why: str
    examples: tuple[int, ...]
    saved: int


@dataclass(frozen=True)
class TrialRecord:
    """Everything that is known of a finished trial.

    COMPLETED: it was scored on all validation examples. DROPPED: a race has ended it before that, and its metrics are
    those of the examples that it ran; it can be no winner and is on no frontier. FAILED: it could not be scored.
    ``metrics`` are means over the replicates, each of which has its metrics from one epoch, never a mix; with several
    replicates ``standard_errors`` has those of the means. Calls, retries, tokens and cost are the whole trial's, as
    they would be without the ledger; ``latency_s`` is the mean of a call. ``score`` is the scalar that trials are
    ranked by, known when the search ends; ``best_replicate`` is the one whose state a rebuilt program gets.
    ``seconds`` is how long the trial took when it was run: the one thing that another run of the same search has
    otherwise, so that it is in no ``row`` and counts in no comparison. ``scoring`` is the digest of what the metrics
    were computed by, known in a running search.
    """

    trial: str
    status: Literal["COMPLETED", "DROPPED", "FAILED"]
    values: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    standard_errors: dict[str, float] = field(default_factory=dict)
    calls: int = 0
    retries: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost_usd: float | None = 0.0
    latency_s: float | None = None
    n: int = 0
    error: str | None = None
    replicates: tuple[ReplicateRecord, ...] = ()
    best_replicate: int = 0
    score: float | None = None
    seconds: float | None = field(default=None, compare=False)
    scoring: str | None = field(default=None, compare=False)
    dropped: Dropped | None = None

    @property
    def completed(self) -> bool:
        """Whether the trial was scored on all validation examples."""
        return self.status == "COMPLETED"

    @property
    def failed(self) -> bool:
        """Whether the trial could not be scored."""
        return self.status == "FAILED"

    @property
    def state(self) -> dict[str, Any]:
        """The trained state that a rebuilt program gets."""
        return self.replicates[self.best_replicate].state

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What became of the validation examples, one replicate after the other."""
        return tuple(outcome for replicate in self.replicates for outcome in replicate.examples)

    def ended_by(self, dropped: Dropped | None) -> TrialRecord:
        """This record, of a trial that a race has ended unless it failed (None: it was not ended)."""
        return replace(self, status="DROPPED", dropped=dropped) if dropped is not None and self.completed else self

    def row(self) -> dict[str, Any]:
        """This record as JSON values, the same in every run of the search; ``dropped`` stands in those of dropped
        trials alone."""
        left_out = ("seconds", "scoring", "dropped")
        values = {name: value for name, value in vars(self).items() if name not in left_out}
        dropped = {} if self.dropped is None else {"dropped": vars(self.dropped)}
        return {**values, "replicates": [replicate.row() for replicate in self.replicates], **dropped}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TrialRecord:
        """A record from its row. Raises TypeError or KeyError for what is none."""
        parts: dict[str, Any] = {"replicates": tuple(map(ReplicateRecord.from_row, row["replicates"]))}
        if "dropped" in row:
            parts["dropped"] = Dropped(**{**row["dropped"], "examples": tuple(row["dropped"]["examples"])})
        return cls(**{**row, **parts})


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that could be measured: JSON has no NaN."""
    return {name: float(value) for name, value in metrics.items() if value == value and abs(value) != float("inf")}


def race_savings(records: Iterable[TrialRecord]) -> dict[str, int]:
    """How many trials a race has ended (``dropped``), and how many calls were not made for that (``calls_saved``)."""
    dropped = [record.dropped for record in records if record.dropped is not None]
    return {"dropped": len(dropped), "calls_saved": sum(each.saved for each in dropped)}
