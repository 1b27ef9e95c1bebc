"""A training's measures as a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

from paretune.callbacks.callback import Callback, Logs, file_of_trial
from paretune.errors import DataError

__all__ = ["CSVLogger"]


class CSVLogger(Callback):
    """Write one line an epoch to a CSV file: the epoch (from 0), and the measures in the order of their names.

    ``append=True`` goes on in a file of an earlier training, which must have the same columns. In a search each trial
    has a file of its own: ``{trial}`` in the name is its number, which else stands before the suffix
    (``log-0001.csv``).
    """

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.filename = str(filename)
        self.separator = separator
        self.append = append

    def set_trial(self, trial: str) -> None:
        self.filename = file_of_trial(self.filename, trial)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        path = Path(self.filename)
        columns = ["epoch", *sorted(self.params["metrics"])]
        goes_on = self.append and path.exists() and path.stat().st_size > 0
        if goes_on:
            with open(path, encoding="utf-8", newline="") as handle:
                found = next(csv.reader(handle, delimiter=self.separator))
            if found != columns:
                raise DataError(f"{self.filename!r} has other columns: {found} (this training has {columns})")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("", encoding="utf-8")
            self._write(lambda writer: writer.writerow(columns))
        self._columns = columns

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        row = {"epoch": epoch, **(logs or {})}
        self._write(lambda writer: writer.writerow([row.get(name, "") for name in self._columns]))

    def _write(self, action: Any) -> None:
        handle: TextIO
        with open(self.filename, "a", encoding="utf-8", newline="") as handle:
            action(csv.writer(handle, delimiter=self.separator, lineterminator="\n"))
