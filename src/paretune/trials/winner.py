"""best.json, which tells the winner to whoever comes after the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paretune.errors import DataError, UsageError
from paretune.files import read_json, write_json
from paretune.stats.measure import Measure
from paretune.trials.choice import choose, confidence_set, doubt
from paretune.trials.constraint import as_constraint
from paretune.trials.frontier import frontier
from paretune.trials.goals import Goals, Objective
from paretune.trials.record import TrialRecord
from paretune.trials.rules import Rule

__all__ = ["Best"]


@dataclass(frozen=True)
class Best:
    """What best.json holds: the winner with its trained ``state``; the ``rule`` that chose it by the ``goals``, and
    ``why`` in a sentence; the names of the trials on the frontier, and of those that may be the best in the first
    objective (``confidence_set``), with a sentence (``doubt``). ``stopped``: why the search ended before all its trials
    (None: it did not)."""

    trial: str
    values: dict[str, Any]
    metrics: dict[str, float]
    score: float | None
    stopped: str | None
    why: str
    doubt: str
    rule: Rule
    goals: Goals
    frontier: tuple[str, ...]
    confidence_set: tuple[str, ...]
    state: dict[str, Any]

    @classmethod
    def of(
        cls,
        records: Sequence[TrialRecord],
        goals: Goals,
        rule: Rule,
        *,
        stopped: str | None = None,
        measures: Mapping[str, Sequence[Measure]] | None = None,
    ) -> Best:
        """The best of a search's trials; ``measures`` are those of the completed ones on the validation examples, by
        trial. Raises SearchError when there is none (see ``choose``)."""
        names = confidence_set(records, measures, goals) if measures else ()
        choice = choose(records, goals, rule)
        winner = choice.record
        flags = zip(records, frontier(records, goals), strict=True)
        return cls(
            trial=winner.trial,
            values=winner.values,
            metrics=winner.metrics,
            score=winner.score,
            stopped=stopped,
            why=choice.why,
            doubt=doubt(names, records, goals),
            rule=rule,
            goals=goals,
            frontier=tuple(record.trial for record, flag in flags if flag),
            confidence_set=names,
            state=winner.state,
        )

    def write(self, path: str | Path) -> None:
        """Write best.json."""
        row: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name == "goals":
                row["objectives"] = [asdict(objective) for objective in self.goals.objectives]
                row["constraints"] = [constraint.describe() for constraint in self.goals.constraints]
            elif name == "rule":
                row[name] = asdict(self.rule)
            else:
                row[name] = value
        write_json(path, row)

    @classmethod
    def read(cls, path: str | Path) -> Best:
        """What ``write`` wrote. Raises DataError for anything else."""
        row = read_json(path)
        try:
            objectives = tuple(Objective(**each) for each in row.pop("objectives"))
            constraints = tuple(map(as_constraint, row.pop("constraints")))
            row |= {"goals": Goals(objectives, constraints), "rule": Rule(**row["rule"])}
            return cls(**row | {name: tuple(row[name]) for name in ("frontier", "confidence_set")})
        except (AttributeError, KeyError, TypeError, UsageError) as error:
            raise DataError(f"{str(path)!r}: no result of a search ({error}); run dvc repro") from None
