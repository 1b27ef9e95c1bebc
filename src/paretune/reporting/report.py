"""The reports of a search in one call: trials.csv, pareto.json, pareto.png, report.md and report.html."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError
from paretune.files import open_atomic, write_json
from paretune.reporting.charts import chart, to_png
from paretune.reporting.csv_text import without_formulas
from paretune.reporting.frontier_rows import pareto_rows
from paretune.reporting.html.blocks import ExampleData
from paretune.reporting.html.document import page_text
from paretune.reporting.html.facts import facts
from paretune.reporting.results import results, unsettled
from paretune.reporting.summary_md import summary
from paretune.reporting.tables import metric_names, trial_table
from paretune.stats import Measure
from paretune.trials.record import TrialRecord
from paretune.trials.winner import Best

__all__ = ["report"]


def report(
    records: Sequence[TrialRecord],
    measures: Mapping[str, Sequence[Measure]],
    best: Best,
    folder: str | Path,
    *,
    x: str | None = None,
    y: str | None = None,
    references: Mapping[str, float] | None = None,
    examples: ExampleData | None = None,
    numbers: Mapping[str, Any] | None = None,
    title: str = "search",
    max_mb: float = 20.0,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Path]:
    """Write trials.csv, pareto.json, pareto.png, report.md and report.html to ``folder``; return their paths.

    Equal input gives equal bytes.

    ``measures`` holds by trial those of the validation examples. ``x`` and ``y`` are metrics (``val_reward``) for the
    axes of the first panel; one that is no objective of this search has no effect. ``references`` maps objectives to
    what always giving the most common training output is worth; ``numbers`` is what detail.json holds. report.html is
    written where the ``examples`` are given; it has this ``title``, and at most ``max_mb`` megabytes, for which prompts
    and replies are left out, rewards and answers never. The others are those of ``results``. Raise ConfigError
    when an axis names no metric at all, DataError when no trial was completed.
    """
    goals = best.goals
    found = results(records, measures, goals, best.trial, confidence=confidence, resamples=resamples, seed=seed)
    measured = (f"val_{each.name}" for group in measures.values() for each in group)  # some perhaps by no trial
    known = sorted({*measured, *metric_names(found), *(objective.name for objective in goals.objectives)})
    for key, name in (("x", x), ("y", y)):
        if name is not None and name not in known:
            raise ConfigError(f"report.{key}: must be one of the metrics {known} (got {name!r})")
    open_question = unsettled(found) if len(goals.objectives) > 1 else ""
    notes = [note for note in (best.why, best.doubt, open_question) if note]
    spec = chart(found, goals.objectives, x=x, y=y, confidence=confidence, references=references, notes=notes)
    folder = Path(folder)
    paths = [folder / "trials.csv", folder / "pareto.json", folder / "pareto.png"]
    with open_atomic(paths[0]) as handle:
        without_formulas(trial_table(found)).to_csv(handle, index=False, lineterminator="\n")
    write_json(paths[1], pareto_rows(found, goals.objectives, x, y))
    part = paths[2].with_suffix(".png.part")
    part.write_bytes(to_png(spec))
    os.replace(part, paths[2])
    paths.append(folder / "report.md")
    with open_atomic(paths[-1]) as handle:
        handle.write(summary(found, best, numbers))
    if examples is not None:
        page = facts(
            found, measures, best, title=title, numbers=numbers, references=references, x=x, y=y, confidence=confidence
        )
        paths.append(folder / "report.html")
        with open_atomic(paths[-1]) as handle:
            handle.write(page_text(page, found, best, examples, max_mb))
    return paths
