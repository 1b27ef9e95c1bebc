"""A search that is looked at while it runs: its record is read as it grows, and its page drawn again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from paretune.errors import ConfigError, DataError
from paretune.pipeline.reported import Reported
from paretune.pipeline.scoring import measures_of_trial
from paretune.pipeline.sections.base import read_params
from paretune.reporting.html.blocks import ExampleData
from paretune.reporting.live import LiveReport, progress_of
from paretune.stats.measure import Measure
from paretune.trials.record import TrialRecord
from paretune.trials.replies import ReplyRows, reply_rows
from paretune.trials.store import TrialStore
from paretune.tuners.replies import asked_by_example
from paretune.tuners.status import Status

__all__ = ["Watched"]


class Watched:
    """A search that is looked at again and again: what is known of it is read once."""

    def __init__(self, status: Status, folder: Path) -> None:
        self._status = status
        here = Path(status.folder)
        if not (here / "params.yaml").is_file():
            raise ConfigError(f"the last search was run in {status.folder!r}, which is gone; its record is kept")
        with contextlib.chdir(here):
            self._shown = Reported.read(read_params())
        self._report = LiveReport(folder, **self._shown.options)
        self._store, self._read = TrialStore(Path(status.record)), 0
        self._records: dict[str, TrialRecord] = {}
        self._measures: dict[str, list[Measure]] = {}

    def draw(self) -> tuple[str, bool]:
        """Write the files; return how the search goes, in a sentence, and whether it runs."""
        running = self._status.is_running()  # looked at first: what a search has written by its end is then all there
        status = self._status = Status.read(self._status.path) or self._status
        self._take_in(status.scoring)
        records = [self._records[number] for number in sorted(self._records, key=int)]
        self._report.draw(status, running, records, self._measures, lambda: self._examples(status, records))
        return progress_of(status, running, records)[0], running

    def _examples(self, status: Status, records: Sequence[TrialRecord]) -> ExampleData:
        ledgers = [path for path in map(Path, status.ledgers) if path.exists()]
        asked = asked_by_example(Path(status.record).stem, records, ledgers, len(self._shown.gold))
        return ExampleData(self._shown.inputs, self._shown.outputs, ReplyRows(list(reply_rows(asked))))

    def _take_in(self, scoring: str | None) -> None:
        """Read the trials that have ended since. Those that were scored by something else will be scored anew."""
        if self._store.path.exists() and self._store.path.stat().st_size < self._read:  # it was begun anew
            self._read = 0
            self._records.clear()
            self._measures.clear()
        found, self._read = self._store.read(self._read)
        for record in found:
            if record.scoring != scoring:
                continue
            if record.completed and record.n != len(self._shown.gold):
                raise DataError(
                    f"the search validates on {record.n} examples, but data/splits/val.jsonl has "
                    f"{len(self._shown.gold)}: it has changed since"
                )
            if record.completed:
                self._measures[record.trial] = measures_of_trial(record, self._shown.gold, self._shown.metrics)
            self._records[record.trial] = record
