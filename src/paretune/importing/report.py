"""The reports of imported results: those of a search of one's own, without a held-out test."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretune.errors import DataError
from paretune.files import write_json
from paretune.importing.cells import Cell
from paretune.importing.inspect_logs import inspect_cells, is_inspect_log
from paretune.importing.promptfoo import is_promptfoo, promptfoo_cells
from paretune.importing.tables import Columns, table_cells
from paretune.importing.trials import Imported
from paretune.programs.running import Evaluation
from paretune.reporting.metrics_json import evaluation_summary, search_summary
from paretune.reporting.report import report
from paretune.trials.goals import Goals
from paretune.trials.rules import Rule
from paretune.trials.winner import Best

__all__ = ["read_cells", "write_imported"]


def read_cells(
    paths: Sequence[Path],
    columns: Columns,
    *,
    score: str | None = None,
    delimiter: str | None = None,
    by_file: bool = False,
) -> Iterator[Cell]:
    """The cells of files: logs of inspect, outputs of promptfoo (told by what is in them), or tables. ``by_file``: the
    file's name is one of the hyperparameters.

    Raises DataError for a file that cannot be read, UsageError for a column or a score that it has not.
    """
    for path in paths:
        whole = _json(path)
        if path.suffix.lower() == ".eval" or is_inspect_log(whole):
            cells = inspect_cells(path, whole, score)
        elif is_promptfoo(whole):
            cells = promptfoo_cells(path, whole)
        else:
            cells = table_cells(path, columns, delimiter)
        for cell in cells:
            yield cell._replace(values={"file": path.stem, **cell.values}) if by_file else cell


def _json(path: Path) -> Any:
    """What a .json file holds, where that is one object; else None."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r} is not valid JSON: {error}") from None
    return value if isinstance(value, dict) else None


def write_imported(
    found: Imported, goals: Goals, rule: Rule, folder: Path, *, title: str, max_mb: float
) -> tuple[Best, list[Path]]:
    """Write trials.csv, pareto.json, pareto.png, report.md, report.html and metrics.json (the winner, its validation
    metrics, and the search) to ``folder``; the winner and the paths. Raises SearchError when there is no winner."""
    records = [
        replace(record, score=goals.score(record.metrics)) if record.completed else record for record in found.records
    ]
    best = Best.of(records, goals, rule, measures=found.measures)
    paths = report(records, found.measures, best, folder, examples=found.examples, title=title, max_mb=max_mb)
    winner = next(record for record in records if record.trial == best.trial)
    metrics = {
        "winner": {"trial": int(best.trial), **best.values},
        "val": evaluation_summary(Evaluation(winner.outcomes, tuple(found.measures[best.trial]))),
        "search": search_summary(records, goals),
    }
    write_json(folder / "metrics.json", metrics)
    return best, [*paths, folder / "metrics.json"]
