"""The reports of a search that was made with the library: those of the pipeline, without a held-out test."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from paretune.errors import ParetuneError, UsageError
from paretune.metrics.measures import mean_of_replicates, measures_of
from paretune.programs.examples import Examples, as_arrays
from paretune.programs.program import Program
from paretune.reporting.html.blocks import ExampleData
from paretune.reporting.live import LiveReport
from paretune.reporting.report import report as write_reports
from paretune.stats import Measure
from paretune.terminal import note
from paretune.trials.record import TrialRecord
from paretune.trials.replies import ReplyRows, reply_rows
from paretune.trials.winner import Best
from paretune.tuners.replies import asked_by_example
from paretune.tuners.status import Status
from paretune.tuners.tuner import Tuner

__all__ = ["report", "watch"]


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
    measures = _measures(records, program, examples)
    best = Best.of(records, tuner.oracle.goals, tuner.rule, stopped=tuner.stopped, measures=measures)
    return write_reports(
        records,
        measures,
        best,
        folder,
        x=x,
        y=y,
        examples=_example_data(tuner, records, program, examples),
        title=title or tuner.project_dir.name,
        max_mb=max_mb,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


@contextlib.contextmanager
def watch(
    tuner: Tuner, folder: str | Path, *, every: float = 5.0, validation_data: Any = None, **options: Any
) -> Iterator[Path]:
    """Draw report.html (and report.md) in ``folder`` while the search in the block runs, and the reports at its end.

        with paretune.watch(tuner, "reports"):
            tuner.search(x, y, validation_data=validation)

    The page is drawn anew at most ``every`` seconds, in a thread that takes a fifth of its time at most; open in a
    browser it opens itself again. The other arguments are those of ``report``. Gives the page's path.
    """
    path = Path(folder) / "report.html"
    ended = threading.Event()
    title = options.get("title") or tuner.project_dir.name
    page = LiveReport(folder, title, **{name: value for name, value in options.items() if name != "title"})

    def keep_drawing() -> None:
        rest = 0.2  # the first one soon
        while not ended.wait(rest):
            started = time.monotonic()
            if (status := tuner.status) is not None and tuner.planned is not None:
                try:
                    _draw(page, tuner, status, tuner.planned.first, validation_data)
                except ParetuneError as error:
                    return note(f"the page of the running search is not drawn: {error}")
                rest = max(every, 4 * (time.monotonic() - started))

    thread = threading.Thread(target=keep_drawing, name="paretune-watch", daemon=True)
    thread.start()
    try:
        yield path
    finally:
        ended.set()
        thread.join()
    report(tuner, folder, validation_data=validation_data, **options)


def _draw(page: LiveReport, tuner: Tuner, status: Status, program: Program, validation_data: Any) -> None:
    examples, records = _validation(tuner, program, validation_data), tuner.trial_records()
    measures = _measures(records, program, examples)
    page.draw(status, True, records, measures, lambda: _example_data(tuner, records, program, examples))


def _measures(records: Sequence[TrialRecord], program: Program, examples: Examples) -> dict[str, Sequence[Measure]]:
    """Those of the completed trials. Raises UsageError where the examples are not those of the search."""
    gold = [record.get_json() for record in examples.gold]
    completed = [record for record in records if record.completed]
    if sizes := {record.n for record in completed} - {len(gold)}:
        raise UsageError(f"validation_data are not those of the search: {len(gold)} examples, it had {min(sizes)}")
    metrics = program.metrics
    return {
        record.trial: mean_of_replicates([measures_of(one.examples, gold, metrics) for one in record.replicates])
        for record in completed
    }


def _example_data(tuner: Tuner, records: Sequence[TrialRecord], program: Program, examples: Examples) -> ExampleData:
    """The examples, with what was asked and answered."""
    gold = [record.get_json() for record in examples.gold]
    ledgers = tuner.planned.ledgers if tuner.planned else {model.ledger for model in program.language_models}
    paths = sorted({ledger.path for ledger in ledgers if ledger.path.exists()})
    asked = asked_by_example(tuner.search_name or "", records, paths, len(gold))
    return ExampleData(_inputs(examples), gold, ReplyRows(list(reply_rows(asked))))


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
