"""``paretune trials``: the trials of the last search in a table, sorted and filtered."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from paretune.commands.compose import find_root
from paretune.commands.finished import Finished, Row, hyperparameters
from paretune.commands.output import add_limit
from paretune.commands.text_table import Column, fits, table_lines, width
from paretune.errors import UsageError
from paretune.schemas.faults import did_you_mean, shown
from paretune.wording import compact, with_interval

__all__ = ["add_arguments", "metric_text", "place_of", "run"]

_PROBABILITY = "frontier_probability"  # shown, and also found, as ``probability``
_OPERATORS = {
    "<=": lambda cell, value: cell <= value,
    ">=": lambda cell, value: cell >= value,
    "!=": lambda cell, value: cell != value,
    "=": lambda cell, value: cell == value,
    "<": lambda cell, value: cell < value,
    ">": lambda cell, value: cell > value,
}
_FILTER = re.compile(r"([^<>!=]+)(<=|>=|!=|=|<|>)(.*)", re.DOTALL)
_LESS_IS_BETTER = re.compile(r"(val_)?(cost|latency\w*|tokens_per_request|failure_rate|invalid\w*)")
_WORDS = {"true": True, "false": False, "": None, "none": None, "null": None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "filters", nargs="*", metavar="FILTER", help="e.g. few_shot=6 'val_reward>=0.6' on_frontier=true: all must hold"
    )
    parser.add_argument("--sort", metavar="COLUMN", help="the best or smallest first (default: the first objective)")
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument("--columns", metavar="A,B", help="these columns of reports/trials.csv, beside the trial")
    add_limit(parser, "rows", default=40)
    parser.add_argument("--json", action="store_true", help="print whole rows, all of them, as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print the table."""
    finished = Finished(find_root(Path.cwd()))
    rows = filtered(finished.rows, arguments.filters)
    objectives = list(finished.directions)
    by = _column(finished.rows, arguments.sort) if arguments.sort else next(iter(objectives), "trial")
    rows = _sorted(rows, by, _descending(by, finished) != arguments.reverse)
    if arguments.json:
        print(json.dumps([{**row, "is_winner": row["trial"] == finished.winner} for row in rows], indent=2))
        return
    if arguments.columns:
        names = [_column(finished.rows, name.strip()) for name in arguments.columns.split(",")]
    else:
        names = [*_varying(finished.rows), *objectives, _PROBABILITY]
    names = list(dict.fromkeys(name for name in names if name != "trial"))
    few = rows[: arguments.limit]
    columns = [Column("trial"), Column("place"), *(_as_column(finished, name, rank) for rank, name in enumerate(names))]

    def table(intervals: bool) -> list[list[str]]:
        cells = ((_cell(row, name, intervals) for name in names) for row in few)
        return [[row["trial"], place_of(row, finished.winner), *each] for row, each in zip(few, cells, strict=True)]

    whole = table(intervals=True)
    shown = whole if fits(columns, whole, width()) else table(intervals=False)
    print(*table_lines(columns, shown, width()), sep="\n")
    print(_last_line(finished.rows, rows, few, by))


def filtered(rows: Sequence[Row], filters: Iterable[str]) -> list[Row]:
    """The rows of which all filters hold. Raises UsageError for one that is none."""
    for text in filters:
        found = _FILTER.fullmatch(text)
        if found is None:
            raise UsageError(f"a filter is a column, one of = != < <= > >=, and a value (got {shown(text)})")
        name, sign = _column(rows, found[1].strip()), found[2]
        rows = [row for row in rows if _holds(row[name], sign, found[3].strip())] if rows else []
    return list(rows)


def place_of(row: Row, winner: str) -> str:
    """Where a trial stands: ``winner``, ``frontier``, or why it is neither."""
    if row["status"] != "COMPLETED":
        return str(row["status"]).lower()
    if not row["feasible"]:
        return "winner, breaks a bound" if row["trial"] == winner else "breaks a bound"
    return "winner" if row["trial"] == winner else "frontier" if row["on_frontier"] else ""


def metric_text(row: Row, name: str) -> str:
    """A metric of a row with its interval."""
    value, *ends = (row[f"{name}{end}"] for end in ("", "_lo", "_hi"))
    return with_interval(value, *(math.nan if end is None else float(end) for end in ends))


def _holds(cell: Any, sign: str, text: str) -> bool:
    """Whether a cell compares so with a value that was typed: as numbers where both are, else as text."""
    number = _number(text)
    if isinstance(cell, bool) or cell is None:
        value: Any = _WORDS.get(text.lower(), text)
    elif isinstance(cell, int | float):
        value = number
    else:
        value = text
    if sign not in ("=", "!=") and (cell is None or value is None or type(cell) is bool):
        return False
    return bool(_OPERATORS[sign](cell, value))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _column(rows: Sequence[Row], name: str) -> str:
    """A column by its name; of a metric ``val_`` may be left out."""
    for known in (name, f"val_{name}", *([_PROBABILITY] if name == "probability" else [])):
        if not rows or known in rows[0]:
            return known
    listed = ", ".join(known for known in rows[0] if not known.endswith(("_lo", "_hi")))
    raise UsageError(f"there is no column {shown(name)}{did_you_mean(name, rows[0])}; there are: {listed}")


def _descending(name: str, finished: Finished) -> bool:
    """Whether the largest is the best: of objectives as they say, of other metrics but costs and faults too."""
    if name in finished.directions:
        return finished.directions[name] == "max"
    return name == _PROBABILITY or (name.startswith("val_") and not _LESS_IS_BETTER.fullmatch(name))


def _sorted(rows: Sequence[Row], name: str, descending: bool) -> list[Row]:
    """In order of a column, numbers before texts; what has no value comes last, of equals the earlier trial first."""
    known = [row for row in rows if row[name] is not None]

    def key(row: Row) -> tuple[bool, float, str]:
        cell = row[name]
        return (False, float(cell), "") if isinstance(cell, int | float) else (True, 0.0, str(cell))

    return [*sorted(known, key=key, reverse=descending), *(row for row in rows if row[name] is None)]


def _varying(rows: Sequence[Row]) -> list[str]:
    return [name for name in hyperparameters(rows[0]) if len({repr(row[name]) for row in rows}) > 1]


def _as_column(finished: Finished, name: str, rank: int) -> Column:
    """Objectives stay on the narrowest terminal."""
    numbers = all(
        isinstance(row[name], int | float | None) and not isinstance(row[name], bool) for row in finished.rows
    )
    bare = "probability" if name == _PROBABILITY else name.removeprefix("val_")
    head = name if bare in finished.rows[0] else bare
    objective = name in finished.directions
    return Column(head, right=numbers, least=None if numbers else 8, rank=0 if objective else rank + 1)


def _cell(row: Row, name: str, intervals: bool) -> str:
    value = row[name]
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return metric_text(row, name) if intervals and f"{name}_lo" in row else compact(value)


def _last_line(trials: Sequence[Row], rows: Sequence[Row], few: Sequence[Row], by: str) -> str:
    counted = "1 trial" if len(trials) == 1 else f"{len(trials)} trials"
    part = f"{len(rows)} of {counted}" if len(rows) < len(trials) else counted
    first = f"the first {len(few)} of them" if len(few) < len(rows) else ""
    frontier = f"{sum(bool(row['on_frontier']) for row in trials)} on the frontier"
    return ", ".join(text for text in (part, first, frontier, f"sorted by {by}") if text)
