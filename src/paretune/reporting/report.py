"""The reports of a search in one call: trials.csv, pareto.json, pareto.png."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError
from paretune.files import open_atomic, write_json
from paretune.reporting.charts import chart, to_png, to_svg
from paretune.reporting.frontier_rows import pareto_rows
from paretune.reporting.results import objectives_from, results
from paretune.reporting.tables import metric_names, trial_table
from paretune.stats import Measured

__all__ = ["ReportSettings", "report"]


@dataclass(frozen=True)
class ReportSettings:
    """How to report: the objectives on the first panel's axes, the intervals, what the picture is compared with.

    ``x`` and ``y`` are metric names (``val_reward``); one that is no objective of this search has no effect.
    ``references`` maps objective names to what always giving the most common training output is worth.
    """

    x: str | None = None
    y: str | None = None
    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0
    references: Mapping[str, float] = field(default_factory=dict)
    svg: bool = False


def report(
    trials: Sequence[Mapping[str, Any]],
    measures_of: Callable[[Mapping[str, Any]], Sequence[Measured]],
    objectives: Sequence[Mapping[str, Any]],
    winner: str,
    settings: ReportSettings,
    folder: str | Path,
) -> list[Path]:
    """Write trials.csv, pareto.json, pareto.png (and pareto.svg if asked) to ``folder``; return their paths.

    ``trials`` are the rows of trials.jsonl, ``objectives`` and ``winner`` those of best.json, ``measures_of`` gives
    the measures of a completed trial's validation examples. Equal input gives equal bytes. Raise ConfigError when an
    axis names no metric at all, DataError when no trial was completed.
    """
    goals = objectives_from(objectives)
    found = results(
        trials,
        measures_of,
        goals,
        winner,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    known = sorted({*metric_names(found), *(goal.name for goal in goals)})
    for key, name in (("x", settings.x), ("y", settings.y)):
        if name is not None and name not in known:
            raise ConfigError(f"report.{key}: must be one of the metrics {known} (got {name!r})")
    spec = chart(
        found,
        goals,
        x=settings.x,
        y=settings.y,
        confidence=settings.confidence,
        references=settings.references,
    )
    folder = Path(folder)
    paths = [folder / "trials.csv", folder / "pareto.json", folder / "pareto.png"]
    with open_atomic(paths[0]) as handle:
        trial_table(found).to_csv(handle, index=False, lineterminator="\n")
    write_json(paths[1], pareto_rows(found, goals, settings.x, settings.y))
    part = paths[2].with_suffix(".png.part")
    part.write_bytes(to_png(spec))
    os.replace(part, paths[2])
    if settings.svg:
        paths.append(folder / "pareto.svg")
        with open_atomic(paths[3]) as handle:
            handle.write(to_svg(spec))
    return paths
