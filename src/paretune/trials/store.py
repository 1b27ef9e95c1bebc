"""Records of trials in files: one JSON line a finished trial.

The file of a running search is appended to and never changed. A line is complete when it ends with a line break; what a
kill cut short is not, and is passed over. The file's name holds the fingerprint of the search, so that another space,
other data or other code never mix with it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from paretune.errors import DataError
from paretune.files import read_jsonl, write_jsonl
from paretune.trials.record import TrialRecord

__all__ = ["TrialStore", "find_trial", "read_trials", "write_trials"]


class TrialStore:
    """The file of a running search."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        #: Called before a trial is added: puts on disk what belongs to it elsewhere (who asked for which reply).
        self.before_append: Callable[[], object] = lambda: None

    def load(self) -> dict[str, TrialRecord]:
        """The finished trials by number. Failed ones are left out: what failed is tried again."""
        return {record.trial: record for record in self.read()[0] if not record.failed}

    def read(self, start: int = 0) -> tuple[list[TrialRecord], int]:
        """The records from a place in the file on, and the place where the next one will begin."""
        if not self.path.exists():
            return [], 0
        with open(self.path, "rb") as handle:
            handle.seek(start)
            *lines, rest = handle.read().split(b"\n")
            end = handle.tell() - len(rest)
        found = []
        for line in lines:
            try:
                found.append(TrialRecord.from_row(json.loads(line)))
            except (ValueError, TypeError, KeyError):  # a line cut short by a kill, ended by a later append
                continue
        return found, end

    def append(self, record: TrialRecord) -> None:
        """Add a finished trial, from whatever thread; it is on disk when this returns."""
        row = {**record.row(), "seconds": record.seconds, "scoring": record.scoring}
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            self.before_append()
            self._write(line)

    def _write(self, line: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab") as handle:
            if handle.tell() and not _ends_with_newline(self.path):
                line = b"\n" + line
            handle.write(line)
            handle.flush()
            os.fsync(handle.fileno())

    def discard(self) -> None:
        """Forget the search."""
        self.path.unlink(missing_ok=True)


def write_trials(path: str | Path, records: Iterable[TrialRecord]) -> None:
    """Write the trials of a finished search."""
    write_jsonl(path, (record.row() for record in records))


def read_trials(path: str | Path) -> list[TrialRecord]:
    """The trials that ``write_trials`` wrote. Raises DataError, with the line, for what is none."""
    records = []
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            records.append(TrialRecord.from_row(row))
        except (TypeError, KeyError) as error:
            raise DataError(f"{str(path)!r}, line {number}: no record of a trial ({error}); run dvc repro") from None
    return records


def find_trial(path: str | Path, trial: str) -> TrialRecord:
    """The trial of this name among those that ``write_trials`` wrote; the lines of the others are not parsed, which of
    a long search is most of the work. Raises DataError when it is not there."""
    beginning = json.dumps({"trial": trial}, ensure_ascii=False)[:-1].encode() + b","
    with open(path, "rb") as handle:
        for line in handle:
            if line.startswith(beginning):
                try:
                    return TrialRecord.from_row(json.loads(line))
                except (ValueError, TypeError, KeyError) as error:
                    raise DataError(f"{str(path)!r}: no record of trial {trial} ({error}); run dvc repro") from None
    raise DataError(f"{str(path)!r} has no trial {trial}: it is of another search than the reports; run dvc repro")


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) == b"\n"
