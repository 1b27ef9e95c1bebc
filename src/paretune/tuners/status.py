"""What a running search is at, in a file beside its record, for whoever looks on from another process."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from paretune.trials.constraint import as_constraint
from paretune.trials.goals import Goals, Objective
from paretune.trials.rules import Rule
from paretune.tuners.loop import SearchRun
from paretune.tuners.plan import Plan
from paretune.tuners.usage import UsageMeter

__all__ = ["Status", "kept_on_disk", "latest_status"]

_EVERY_S = 1.0


@dataclass(frozen=True)
class Status:
    """A search at a moment.

    ``record`` is the file of its finished trials, ``folder`` where it was started, ``ledgers`` are the files of those
    of its language models; ``scoring`` as in the records of its trials. ``total``: so many trials there will be;
    ``running`` has the hyperparameters of those under way. ``answered`` and ``paid`` count this run's calls,
    ``spent_usd`` are its dollars; ``began`` and ``at`` are seconds since 1970. ``stopped``: why it ended before all its
    trials.
    """

    record: str
    goals: Goals
    rule: Rule
    scoring: str | None
    ledgers: tuple[str, ...]
    total: int
    running: Mapping[str, Mapping[str, Any]]
    answered: int
    paid: int
    spent_usd: float
    began: float
    stopped: str | None = None
    folder: str = field(default_factory=os.getcwd)
    at: float = field(default_factory=time.time)

    @classmethod
    def of(cls, plan: Plan, run: SearchRun, usage: UsageMeter, rule: Rule, stopped: str | None) -> Status:
        """That of a search which runs in this process."""
        answered, paid, spent = usage.counters()
        ongoing = list(run.oracle.ongoing_trials.items())
        return cls(
            record=str(plan.record.absolute()),
            goals=run.oracle.goals,
            rule=rule,
            scoring=run.options.scoring,
            ledgers=tuple(str(ledger.path.absolute()) for ledger in plan.ledgers),
            total=plan.total,
            running={number: dict(trial.hyperparameters.values) for number, trial in ongoing},
            answered=answered,
            paid=paid,
            spent_usd=spent,
            began=usage.began,
            stopped=stopped,
        )

    @property
    def path(self) -> Path:
        """The file of the status."""
        return Path(self.record).with_suffix(".json")

    def is_running(self) -> bool:
        """Whether a process has the record: what was killed has let go of it."""
        path = Path(self.record).with_suffix(".lock")
        if not path.exists():
            return False
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    def write(self) -> None:
        """Put it on disk. It is no result: where there is no room for it, it is left out."""
        row = dataclasses.asdict(self)
        row["goals"] = {
            "objectives": [dataclasses.asdict(each) for each in self.goals.objectives],
            "constraints": [each.describe() for each in self.goals.constraints],
            "listed": self.goals.listed,
        }
        part = self.path.with_name(f".{self.path.name}.part")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(row, ensure_ascii=False, default=str), encoding="utf-8")
            os.replace(part, self.path)

    @classmethod
    def read(cls, path: Path) -> Status | None:
        """What ``write`` wrote; None for anything else."""
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            goals = row["goals"]
            objectives = tuple(Objective(**each) for each in goals["objectives"])
            constraints = tuple(map(as_constraint, goals["constraints"]))
            row |= {"goals": Goals(objectives, constraints, goals["listed"]), "rule": Rule(**row["rule"])}
            return cls(**row | {"ledgers": tuple(row["ledgers"]), "record": str(path.with_suffix(".jsonl"))})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def latest_status(folder: Path) -> Status | None:
    """That of the searches in a folder which is running, else of the last one; None where there is none."""
    found = sorted(filter(None, map(Status.read, folder.glob("*.json"))), key=lambda status: status.at, reverse=True)
    return next((status for status in found[:8] if status.is_running()), found[0] if found else None)


@contextlib.asynccontextmanager
async def kept_on_disk(now: Callable[[], Status]) -> AsyncIterator[None]:
    """Keep the status of a search on disk while the block runs."""

    async def keep() -> None:
        for pause in itertools.chain((0.1,), itertools.repeat(_EVERY_S)):  # soon with the first trials
            now().write()
            await asyncio.sleep(pause)

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
