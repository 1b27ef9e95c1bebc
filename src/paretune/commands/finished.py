"""A finished project: what the commands that show results read, each file when it is asked for.

``reports/`` is kept by Git and so is there in every clone; ``data/`` is kept by DVC.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError, DataError, UsageError
from paretune.files import read_json, read_jsonl
from paretune.reporting.csv_text import read_table
from paretune.schemas.faults import did_you_mean, shown
from paretune.trials.record import TrialRecord
from paretune.trials.store import find_trial

__all__ = ["DETAIL", "TABLE", "Finished", "hyperparameters"]

DETAIL = Path("reports/detail.json")
TABLE = Path("reports/trials.csv")
_SEARCH = Path("data/search")
_VALIDATION = Path("data/splits/val.jsonl")
_TEXTS = frozenset({"trial", "status", "dropped_by", "dropped_why"})

Row = Mapping[str, Any]


class Finished:
    """The results below the folder ``root``. Raises DataError where a file of them is missing or broken."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """What detail.json holds."""
        found: dict[str, Any] = read_json(self._needed(DETAIL))
        winner = found.get("winner") if isinstance(found, dict) and "test" in found else None
        if not isinstance(winner, dict) or not {"trial", "hyperparameters"} <= winner.keys():
            raise DataError(f"{DETAIL} tells of no winner: it is of another version; run dvc repro")
        return found

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The trials of trials.csv."""
        return _trial_rows(self._needed(TABLE).read_text(encoding="utf-8"), str(TABLE))

    @cached_property
    def winner(self) -> str:
        """The winner's name."""
        return self.name_of(str(self.numbers["winner"]["trial"]))

    @cached_property
    def report(self) -> Any:
        """Section ``report`` of params.yaml: how sure the intervals are."""
        from paretune.pipeline.sections.report import ReportParams

        return self._section("report", ReportParams)

    @cached_property
    def directions(self) -> dict[str, str]:
        """The objectives in their order, and what is better of each: "max" or "min"."""
        from paretune.pipeline.sections.objective import ObjectiveParams

        found = self._section("objective", ObjectiveParams).objectives
        return {each.name: each.direction for each in found if each.name in self.rows[0]}

    def name_of(self, text: str) -> str:
        """A trial's name; zeros at its beginning may be left out. Raises UsageError for no trial of this search."""
        for row in self.rows:
            if row["trial"] == text or (text.isdecimal() and row["trial"].lstrip("0") == text.lstrip("0")):
                return str(row["trial"])
        names = [row["trial"] for row in self.rows]
        raise UsageError(
            f"there is no trial {shown(text)} among {names[0]} to {names[-1]}{did_you_mean(text, names)}; "
            "`paretune trials` lists them"
        )

    def is_trial(self, text: str) -> bool:
        """Whether a trial has this name."""
        try:
            return bool(self.name_of(text))
        except UsageError:
            return False

    def row(self, trial: str) -> dict[str, Any]:
        """A trial's row of trials.csv."""
        return next(row for row in self.rows if row["trial"] == trial)

    def record(self, trial: str) -> TrialRecord:
        """A trial with its examples."""
        return find_trial(self._needed(_SEARCH / "trials.jsonl", "dvc pull or dvc repro"), trial)

    @cached_property
    def examples(self) -> list[tuple[Any, Any]]:
        """Input and gold output of each validation example."""
        return [(row["x"], row["y"]) for row in read_jsonl(self._needed(_VALIDATION, "dvc pull or dvc repro"))]

    @cached_property
    def replies(self) -> Path | None:
        """The file of what was asked and answered, where the search has written one."""
        path = self.root / _SEARCH / "replies.jsonl"
        return path if path.is_file() else None

    def _section(self, name: str, model: Any) -> Any:
        from paretune.pipeline.sections.base import read_params, section

        return section(read_params(self.root / "params.yaml"), name, model)

    def _needed(self, path: Path, cure: str = "dvc repro") -> Path:
        if not (self.root / path).is_file():
            raise ConfigError(f"{path} is missing; run {cure}")
        return self.root / path


def _trial_rows(text: str, name: str) -> list[dict[str, Any]]:
    """The rows of a trials.csv with this text. Raises DataError, with the file's ``name``, for what is none."""
    rows = read_table(text, name, _TEXTS)
    if not rows or not {"trial", "status", "feasible", "on_frontier"} <= rows[0].keys():
        raise DataError(f"{name} is no table of trials; run dvc repro")
    return rows


def hyperparameters(row: Row) -> dict[str, Any]:
    """A trial's hyperparameters: what stands between its status and its first metric."""
    names = list(row)[2:]
    return {
        name: row[name]
        for name in itertools.takewhile(lambda name: not (name.startswith("val_") and f"{name}_lo" in row), names)
    }
