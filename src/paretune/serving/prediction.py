"""Answers to the rows of a file, in order: as many at once as the language models allow, whatever the file's size."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TextIO

from paretune.errors import DataError, FatalError, UsageError
from paretune.eventloop import map_ordered
from paretune.serving.answers import Answered, Serving, answer

__all__ = ["Writer", "csv_writer", "json_lines_writer", "predictions"]

#: So many rows are held in memory.
_AT_ONCE = 1_000
#: The columns that are added.
_OWN = ("prediction", "error")

Row = Mapping[str, Any]
#: Writes one row and what became of it.
Writer = Callable[[Row, Answered], None]


async def predictions(serving: Serving, rows: Iterable[Row]) -> AsyncIterator[tuple[Row, Answered]]:
    """Each row with its answer, in the order of the rows. A row that cannot be read is answered with an error.

    Raises FatalError, after which no call can succeed, once the answers in flight were given; and UsageError for a row
    that has a column of an answer's name.
    """
    fatal: list[FatalError] = []

    async def one(numbered: tuple[int, Row]) -> tuple[Row, Answered] | None:
        number, row = numbered
        if fatal:
            return None
        if taken := [name for name in _OWN if name in row]:
            raise UsageError(f"the input has a column {taken[0]!r}, as the answers have: rename it")
        try:
            record = serving.read(row, number)
        except DataError as error:
            return row, Answered(None, str(error), (), final=True)
        try:
            return row, await answer(serving.program, record)
        except FatalError as error:  # the other calls are paid for: they end as they would
            fatal.append(error)
            return None

    numbered = enumerate(rows)
    limit = max(256, 2 * sum(model.concurrency for model in set(serving.program.language_models)))
    while chunk := list(itertools.islice(numbered, _AT_ONCE)):
        for done in await map_ordered(one, chunk, limit):
            if done is not None:
                yield done
        if fatal:
            raise fatal[0]


def json_lines_writer(handle: TextIO) -> Writer:
    """One JSON object a row: its columns, and ``prediction`` (the fields of the output), or ``error``."""

    def write(row: Row, answered: Answered) -> None:
        result = {"error": answered.error} if answered.output is None else {"prediction": answered.output}
        handle.write(json.dumps({**row, **result}, ensure_ascii=False, default=str) + "\n")

    return write


def csv_writer(handle: TextIO, fields: Iterable[str], guard: Callable[[Any], Any]) -> Writer:
    """One line a row: its columns, ``prediction.<field>`` for each field of the output, and ``error``. What is no text
    and no number is JSON; ``guard`` makes text harmless for spreadsheets."""
    names = [f"prediction.{name}" for name in fields]
    lines = csv.writer(handle, lineterminator="\n")
    columns: list[str] = []

    def write(row: Row, answered: Answered) -> None:
        if not columns:
            columns.extend(row)
            lines.writerow([guard(name) for name in (*columns, *names, "error")])
        if unknown := [name for name in row if name not in columns]:
            raise UsageError(f"rows must have the same columns in CSV (one has {unknown[0]!r} too); write .jsonl")
        output = answered.output or {}
        cells = [row.get(name) for name in columns] + [output.get(name.partition(".")[2]) for name in names]
        lines.writerow([guard(_cell(value)) for value in (*cells, answered.error)])

    return write


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
