"""The reports of a search that was made with the library: those of the pipeline, without a held-out test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paretune.errors import UsageError
from paretune.metrics.measures import mean_of_replicates, measures_of
from paretune.programs.examples import Examples, as_arrays
from paretune.programs.program import Program
from paretune.reporting.html.blocks import ExampleData
from paretune.reporting.report import report as write_reports
from paretune.trials.replies import ReplyRows, reply_rows
from paretune.trials.winner import Best
from paretune.tuners.replies import asked_by_example
from paretune.tuners.tuner import Tuner

__all__ = ["report"]


def report(
    tuner: Tuner,
    folder: str | Path,
    *,
    validation_data: Any = None,
    title: str | None = None,
    x: str | None = None,
    y: str | None = None,
    max_mb: float = 20.0,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Path]:
    """Write trials.csv, pareto.json, pareto.png and report.html (the search in one file that opens from disk) to
    ``folder``; return their paths.

    Parameters
    ----------
    tuner
        One whose search is finished, in this process or before.
    validation_data
        The examples that were validated on, as in ``search``, which remembers them in the process that searched.
    title
        Of the page; the project's name when None.
    x, y
        Names of metrics for the axes of the frontier.
    max_mb
        The size that report.html may have. Beyond it the prompts and replies of lesser trials are left out.
    confidence, resamples, seed
        Of the intervals.

    Raises SearchError when there is no winner, UsageError when the validation examples are not known, or are not those
    of the search.
    """
    records = tuner.trial_records()
    tuner.choose()  # or it says why there is no winner
    (program,) = tuner.get_best_models(1)
    examples = _validation(tuner, program, validation_data)
    gold = [record.get_json() for record in examples.gold]
    completed = [record for record in records if record.completed]
    if sizes := {record.n for record in completed} - {len(gold)}:
        raise UsageError(f"validation_data are not those of the search: {len(gold)} examples, it had {min(sizes)}")
    measures = {
        record.trial: mean_of_replicates(
            [measures_of(one.examples, gold, program.metrics) for one in record.replicates]
        )
        for record in completed
    }
    best = Best.of(records, tuner.oracle.goals, tuner.rule, stopped=tuner.stopped, measures=measures)
    ledgers = tuner.planned.ledgers if tuner.planned else {model.ledger for model in program.language_models}
    paths = sorted({ledger.path for ledger in ledgers if ledger.path.exists()})
    asked = asked_by_example(tuner.search_name or "", records, paths, len(gold))
    return write_reports(
        records,
        measures,
        best,
        folder,
        x=x,
        y=y,
        examples=ExampleData(_inputs(examples), gold, ReplyRows(list(reply_rows(asked)))),
        title=title or tuner.project_dir.name,
        max_mb=max_mb,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def _validation(tuner: Tuner, program: Program, given: Any) -> Examples:
    """The examples that were validated on. Raises UsageError where they are not known."""
    fit: Mapping[str, Any] = tuner.planned.fit if tuner.planned else {}
    given = fit.get("validation_data") if given is None else given
    if given is not None:
        return Examples.of(program, *as_arrays(*given if isinstance(given, list | tuple) else (given,)))
    if share := fit.get("validation_split"):
        return Examples.of(program, fit["x"], fit["y"]).split(share)[1]
    raise UsageError("the report shows the validation examples: give those of the search, validation_data=(x, y)")


def _inputs(examples: Examples) -> Sequence[Any]:
    """The input records as JSON values; of several inputs, by their number."""
    rows = [[record.get_json() for record in row] for row in examples.rows]
    return [row[0] if len(row) == 1 else {f"input {place + 1}": each for place, each in enumerate(row)} for row in rows]
