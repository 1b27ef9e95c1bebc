"""The record of a search: one JSON line a finished trial, appended and never changed.

A line is complete when it ends with a line break; what a kill cut short is not, and is passed over. The file's name
holds the fingerprint of the search, so that another space, other data or other code never mix with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["ReplicateRecord", "TrialRecord", "TrialStore", "finite"]


@dataclass(frozen=True)
class ReplicateRecord:
    """One training of a trial's program: the metrics, the trained state and the validation examples of its best epoch.

    ``examples`` are the outcomes on the n validation examples, in data order. ``reached`` is the state after the last
    epoch, the optimizer's included; only for searches in which a later trial may go on from it.
    """

    metrics: dict[str, float]
    epoch: int
    state: dict[str, Any]
    examples: list[dict[str, Any]]
    reached: dict[str, Any] | None = None


@dataclass(frozen=True)
class TrialRecord:
    """Everything that is known of a finished trial.

    ``metrics`` are means over the replicates, each of which has its metrics from one epoch, never a mix; with several
    replicates ``standard_errors`` has those of the means. Calls, retries, tokens and cost are the whole trial's, as
    they would be without the ledger; ``latency_s`` is the mean of a call. ``score`` is the scalar that trials are
    ranked by, known when the search ends; ``best_replicate`` is the one whose state a rebuilt program gets.
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

    @property
    def state(self) -> dict[str, Any]:
        """The trained state that a rebuilt program gets."""
        return self.replicates[self.best_replicate].state

    def row(self) -> dict[str, Any]:
        """This record as JSON values."""
        return {**asdict(self), "replicates": [asdict(replicate) for replicate in self.replicates]}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TrialRecord:
        """A record from its row. Raises TypeError or KeyError for what is none."""
        return cls(**{**row, "replicates": tuple(ReplicateRecord(**one) for one in row["replicates"])})


class TrialStore:
    """The file of one search."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, TrialRecord]:
        """The completed trials by number. Failed ones are left out: what failed is tried again."""
        if not self.path.exists():
            return {}
        found = {}
        for line in self.path.read_bytes().split(b"\n")[:-1]:
            try:
                record = TrialRecord.from_row(json.loads(line))
            except (ValueError, TypeError, KeyError):  # a line cut short by a kill, ended by a later append
                continue
            if record.status == "COMPLETED":
                found[record.trial] = record
        return found

    def append(self, record: TrialRecord) -> None:
        """Add a finished trial; it is on disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(record.row(), ensure_ascii=False).encode() + b"\n"
        with open(self.path, "ab") as handle:
            if handle.tell() and not _ends_with_newline(self.path):
                line = b"\n" + line
            handle.write(line)
            handle.flush()
            os.fsync(handle.fileno())

    def discard(self) -> None:
        """Forget the search."""
        self.path.unlink(missing_ok=True)


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) == b"\n"


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that could be measured: JSON has no NaN."""
    return {name: float(value) for name, value in metrics.items() if value == value and abs(value) != float("inf")}
