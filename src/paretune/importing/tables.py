"""A table with one row a configuration and item."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paretune.datasets.plain_rows import plain_rows
from paretune.datasets.rows import Row
from paretune.errors import UsageError
from paretune.importing.cells import Cell, amount, answered, text_of
from paretune.schemas.faults import did_you_mean

__all__ = ["COLUMNS", "Columns", "table_cells"]

#: What each column may be called where it is not named.
COLUMNS: dict[str, tuple[str, ...]] = {
    "configuration": ("configuration", "config", "model"),
    "item": ("item", "id", "example", "item_id", "question_id", "sample_id"),
    "score": ("score", "reward", "correct", "accuracy"),
    "cost": ("cost", "cost_usd", "usd"),
    "latency": ("latency", "latency_s", "seconds"),
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
    "input": ("input", "question", "prompt", "text"),
    "answer": ("answer", "output", "reply", "response", "prediction"),
    "target": ("target", "gold", "expected", "label"),
}
_NEEDED = ("configuration", "item", "score")


@dataclass(frozen=True)
class Columns:
    """The columns of a table by what they hold (see ``COLUMNS``; those that are not named are found by their usual
    names), and those of further metrics."""

    named: dict[str, Sequence[str]]
    metrics: Sequence[str] = ()

    def of(self, row: Row, path: Path) -> dict[str, Sequence[str]]:
        """The columns that a table has. Raises UsageError for one that is named or needed and is not there."""
        wanted = [column for columns in (*self.named.values(), self.metrics) for column in columns]
        for column in wanted:
            if column not in row:
                known = ", ".join(map(repr, row))
                raise UsageError(f"{str(path)!r} has no column {column!r} (it has: {known}){did_you_mean(column, row)}")
        found = {
            kind: self.named.get(kind) or [name for name in usual if name in row and name not in wanted][:1]
            for kind, usual in COLUMNS.items()
        }
        for kind in _NEEDED:
            if not found[kind]:
                raise UsageError(
                    f"{str(path)!r} has no column {' or '.join(map(repr, COLUMNS[kind]))}: name the one that holds the "
                    f"{kind}, --{kind} COLUMN (it has: {', '.join(map(repr, row))})"
                )
        return found


def table_cells(path: Path, columns: Columns, delimiter: str | None = None) -> Iterator[Cell]:
    """The cells of a table of any kind that is read; a row without a score is none.

    Raises DataError for what cannot be read and for what is no number, UsageError for a column that is not there.
    """
    found: dict[str, Sequence[str]] = {}
    for number, row in enumerate(plain_rows(path, delimiter=delimiter), start=1):
        found = found or columns.of(row, path)
        cell = _cell(row, found, columns.metrics, f"{str(path)!r}, row {number}")
        if cell is not None:
            yield cell


def _cell(row: Row, found: Mapping[str, Sequence[str]], metrics: Sequence[str], where: str) -> Cell | None:
    def value(kind: str) -> Any:
        return row.get(found[kind][0]) if found[kind] else None

    def number(kind: str, least: float = 0.0) -> float | None:
        return amount(value(kind), f"{where}, {found[kind][0]!r}", least=least) if found[kind] else None

    reward = number("score", -math.inf)
    if reward is None:
        return None
    item = text_of(value("item"))
    outcome = answered(
        reward,
        value("answer"),
        prompt_tokens=number("prompt_tokens"),
        completion_tokens=number("completion_tokens"),
        cost_usd=number("cost"),
        latency_s=number("latency"),
    )
    return Cell(
        {name: _typed(row.get(name)) for name in found["configuration"]},
        item,
        outcome,
        {"item": item} | _given("input", value("input")),
        _given("answer", value("target")),
        {name: amount(row.get(name), f"{where}, {name!r}") for name in metrics},
    )


def _given(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: text_of(value)}


def _typed(value: Any) -> Any:
    """A hyperparameter's value: a number or a yes where a text spells it as JSON does."""
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        if repr(number) == value:
            return number
    return value
