"""What a search is about to do, for whoever wants to know before it begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from paretune.errors import SearchError
from paretune.lm.ledger.ledger import Ledger
from paretune.programs.program import Program
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord
from paretune.trials.store import TrialStore
from paretune.tuners.keras_api import HyperParameters
from paretune.tuners.oracles.base import ReplayableOracle
from paretune.tuners.race import Race
from paretune.tuners.spaces import Values

__all__ = ["Plan", "latest", "locked"]


@dataclass(frozen=True)
class Plan:
    """A search before its first call.

    ``oracle`` is a new one, which knows the whole space and no trial; ``total`` is how many trials there will be.
    ``record`` is the file of the finished ones, which is discarded first when ``overwrite``; its stem names the search
    in the ledger. ``ledgers`` are those of the language models, ``fit`` the arguments of ``Program.fit`` that count (x
    and y among them), and ``build`` makes the program at a point of the space, checked as in a trial; ``first`` is one.
    ``race``: how trials race (None: they do not).
    """

    oracle: ReplayableOracle
    total: int
    record: Path
    overwrite: bool
    ledgers: Sequence[Ledger]
    fit: Mapping[str, Any]
    build: Callable[[Values], Awaitable[Program]]
    first: Program
    race: Race | None = None

    def finished(self) -> dict[str, TrialRecord]:
        """The trials that an earlier run has completed, by number."""
        return {} if self.overwrite else TrialStore(self.record).load()

    def epochs(self, values: Values) -> tuple[int, int]:
        """From which epoch up to which a trial with these values is trained."""
        begin, end = self.fit.get("initial_epoch", 0), self.fit.get("epochs", 1)
        return values.get("tuner/initial_epoch", begin), values.get("tuner/epochs", end)


@contextmanager
def locked(record: Path) -> Iterator[TrialStore]:
    """The record of a search, for this process alone. Raises SearchError while another one has it."""
    record.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(record.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0.2)  # whoever only looks whether it is free has it for a moment
    except Timeout:
        raise SearchError(
            f"another process runs this very search (it holds {str(lock.lock_file)!r}): wait for it or stop it"
        ) from None
    try:
        yield TrialStore(record)
    finally:
        lock.release()


def latest(folder: Path, space: HyperParameters, goals: Goals) -> tuple[Path, dict[str, TrialRecord]] | None:
    """The record in a folder that was written last, of those whose trials have hyperparameters of this space alone and
    report these objectives and what is bounded, and its completed trials by number; None where there is none."""
    names = {kind.name for kind in space.space}
    wanted = {part.name for part in goals.objectives} | {bound.name for bound in goals.constraints}

    def fits(record: TrialRecord) -> bool:
        tuned = {name for name in record.values if not name.startswith("tuner/")}
        return tuned <= names and wanted <= record.metrics.keys()

    for path in sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        records = TrialStore(path).load()
        if records and all(map(fits, records.values())):
            return path, records
    return None
