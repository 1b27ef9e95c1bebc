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
from paretune.reporting.report import report
from paretune.trials.replies import ReplyRows, reply_rows
from paretune.trials.winner import Best
from paretune.tuners.replies import asked_by_example
from paretune.tuners.tuner import Tuner

__all__ = ["report_search"]


def report_search(
    tuner: Tuner, folder: str | Path, *, validation_data: Any = None, title: str | None = None, **options: Any
) -> list[Path]:
    """See ``Tuner.report``."""
    records = tuner.trial_records()
    tuner.choose()  # or it says why there is no winner
    (program,) = tuner.get_best_models(1)
    examples = _validation(tuner, program, validation_data)
    y = [record.get_json() for record in examples.gold]
    completed = [record for record in records if record.completed]
    if sizes := {record.n for record in completed} - {len(y)}:
        raise UsageError(f"validation_data are not those of the search: {len(y)} examples, it had {min(sizes)}")
    measures = {
        record.trial: mean_of_replicates([measures_of(one.examples, y, program.metrics) for one in record.replicates])
        for record in completed
    }
    best = Best.of(records, tuner.oracle.goals, tuner.rule, stopped=tuner.stopped, measures=measures)
    ledgers = tuner.planned.ledgers if tuner.planned else {model.ledger for model in program.language_models}
    paths = sorted({ledger.path for ledger in ledgers if ledger.path.exists()})
    asked = asked_by_example(tuner.search_name or "", records, paths, len(y))
    data = ExampleData(_inputs(examples), y, ReplyRows(list(reply_rows(asked))))
    return report(records, measures, best, folder, examples=data, title=title or tuner.project_dir.name, **options)


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
