"""A search that is looked at while it runs: its record is read as it grows, and its page drawn again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from paretune.errors import ConfigError, DataError
from paretune.metrics.metric import Metric
from paretune.pipeline.scoring import Records, Scoring, measures_of_trial
from paretune.pipeline.sections.base import read_params, section
from paretune.pipeline.sections.report import ReportParams
from paretune.reporting.html.blocks import ExampleData
from paretune.reporting.live import LiveReport, progress_of
from paretune.stats.measure import Measure
from paretune.trials.record import TrialRecord
from paretune.trials.replies import ReplyRows, reply_rows
from paretune.trials.store import TrialStore
from paretune.tuners.replies import asked_by_example
from paretune.tuners.status import Status

__all__ = ["Watched"]

SPLITS = Path("data/splits")


class Watched:
    """A search that is looked at again and again: what is known of it is read once."""

    def __init__(self, status: Status, folder: Path) -> None:
        self._status = status
        here = Path(status.folder)
        if not (here / "params.yaml").is_file():
            raise ConfigError(f"the last search was run in {status.folder!r}, which is gone; its record is kept")
        with contextlib.chdir(here):
            params = read_params()
            scoring = Scoring(params)
            train, (x, gold) = scoring.read(SPLITS / "train.jsonl")[1], scoring.read(SPLITS / "val.jsonl")
            settings = section(params, "report", ReportParams).model_dump(exclude={"reference"})
            majority = scoring.majority([*train, *gold], gold)
        self._gold: Records = gold
        self._inputs = [record.get_json() for record in x]
        self._outputs = [record.get_json() for record in gold]
        self._metrics: Sequence[Metric] = scoring.metrics
        references = {f"val_{name}": value for name, value in majority.items()}
        title = f"{params['task']['name']}, {params['layout']['name']}"
        self._report = LiveReport(folder, title, references=references, **settings)
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
        asked = asked_by_example(Path(status.record).stem, records, ledgers, len(self._gold))
        return ExampleData(self._inputs, self._outputs, ReplyRows(list(reply_rows(asked))))

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
            if record.completed and record.n != len(self._gold):
                raise DataError(
                    f"the search validates on {record.n} examples, but data/splits/val.jsonl has {len(self._gold)}: "
                    "it has changed since"
                )
            if record.completed:
                self._measures[record.trial] = measures_of_trial(record, self._gold, self._metrics)
            self._records[record.trial] = record
