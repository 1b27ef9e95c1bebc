"""The choice of the winner, and best.json, which tells it to whoever comes after the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paretune.errors import DataError, SearchError, UsageError
from paretune.files import read_json, write_json
from paretune.trials.frontier import frontier
from paretune.trials.goals import Goals, Objective, as_constraint
from paretune.trials.record import TrialRecord

__all__ = ["Best", "choose"]


def choose(records: Sequence[TrialRecord], goals: Goals) -> TrialRecord:
    """The trial with the best scalar, of those that keep the constraints where there are any (see ``Goals.order``).

    Raises SearchError when no trial was completed.
    """
    completed = [record for record in records if record.completed]
    if not completed:
        raise SearchError(f"no trial was completed; the last one: {records[-1].error if records else 'there is none'}")
    return completed[goals.order([record.metrics for record in completed])[0]]


@dataclass(frozen=True)
class Best:
    """What best.json holds: the winner with its trained ``state``, the ``goals``, and the names of the trials on the
    frontier. ``stopped``: why the search ended before all its trials (None: it did not)."""

    trial: str
    values: dict[str, Any]
    metrics: dict[str, float]
    score: float | None
    stopped: str | None
    goals: Goals
    frontier: tuple[str, ...]
    state: dict[str, Any]

    @classmethod
    def of(cls, records: Sequence[TrialRecord], goals: Goals, stopped: str | None = None) -> Best:
        """The best of a search's trials. Raises SearchError when none was completed."""
        winner = choose(records, goals)
        flags = zip(records, frontier(records, goals), strict=True)
        on_frontier = tuple(record.trial for record, flag in flags if flag)
        return cls(winner.trial, winner.values, winner.metrics, winner.score, stopped, goals, on_frontier, winner.state)

    def write(self, path: str | Path) -> None:
        """Write best.json."""
        row: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name == "goals":
                row["objectives"] = [asdict(objective) for objective in self.goals.objectives]
                row["constraints"] = [constraint.describe() for constraint in self.goals.constraints]
            else:
                row[name] = value
        write_json(path, row)

    @classmethod
    def read(cls, path: str | Path) -> Best:
        """What ``write`` wrote (of the goals all but how they are ranked). Raises DataError for anything else."""
        row = read_json(path)
        try:
            objectives = tuple(Objective(**each) for each in row.pop("objectives"))
            constraints = tuple(map(as_constraint, row.pop("constraints")))
            return cls(**row | {"goals": Goals(objectives, constraints), "frontier": tuple(row["frontier"])})
        except (AttributeError, KeyError, TypeError, UsageError) as error:
            raise DataError(f"{str(path)!r}: no result of a search ({error}); run dvc repro") from None
