"""From cells to the trials of a search that was made elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from paretune.errors import DataError, UsageError
from paretune.files import canonical_json
from paretune.importing.cells import Cell, failed
from paretune.metrics.measures import mean_of_replicates, measures_of
from paretune.metrics.metric import mean
from paretune.metrics.outcome import Outcome, total
from paretune.reporting.html.blocks import ExampleData
from paretune.stats.measure import Direction, Measure
from paretune.trials.goals import Goals, Objective
from paretune.trials.record import ReplicateRecord, TrialRecord, finite

__all__ = ["Imported", "imported"]

#: What is minimised beside the reward where nothing is said: the first that is known of all trials.
_TAKEN = ("cost", "tokens_per_request", "latency")
_MISSING = failed("it is missing")


@dataclass
class _Configuration:
    values: dict[str, Any]
    #: By item what was found, in order: the first of each is the first replicate.
    cells: dict[str, list[Cell]] = field(default_factory=dict)


@dataclass(frozen=True)
class Imported:
    """Trials, their measures by trial, and the examples that all share; how many ``cells`` are missing, or failed."""

    records: list[TrialRecord]
    measures: dict[str, list[Measure]]
    examples: ExampleData
    missing: int
    failed: int
    cells: int

    def goals(self, objectives: Sequence[Objective]) -> Goals:
        """What the trials are ranked by: these objectives; where there are none the reward, and the first of cost,
        tokens and latency that is known of all. Raises UsageError for one that some trial has not."""
        known = set.intersection(*({*record.metrics} for record in self.records if record.completed))
        for objective in objectives:
            if objective.name not in known:
                names = ", ".join(sorted(known))
                raise UsageError(f"objective {objective.name!r} is not known of all configurations (known: {names})")
        taken = [Objective(f"val_{name}", "min") for name in _TAKEN if f"val_{name}" in known][:1]
        return Goals(tuple(objectives) or (Objective("val_reward", "max"), *taken))


def imported(cells: Iterable[Cell], metrics: Mapping[str, Direction], max_failures: float) -> Imported:
    """The trials of some cells, one a configuration in the order of appearance.

    All are on the same items, in the order in which these appear. An item that a configuration lacks is a failure, as
    is one that was not scored: it takes no part in means and pairs. A configuration with a larger share of failures
    than ``max_failures`` is a failed trial. Several cells of one item are replicates. ``metrics`` are those of the
    cells, with their directions. Raises DataError where there is no cell, or each configuration has too many failures.
    """
    found: dict[str, _Configuration] = {}
    texts: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for cell in cells:
        configuration = found.setdefault(canonical_json(cell.values), _Configuration(cell.values))
        configuration.cells.setdefault(cell.item, []).append(cell)
        texts.setdefault(cell.item, (cell.x, cell.y))
    if not found:
        raise DataError("there is no scored item in it")
    items, count = list(texts), 0
    gold = [y for _, y in texts.values()]
    records, measures, missing, failures = [], {}, 0, 0
    for number, configuration in enumerate(found.values(), start=1):
        name = f"{number:04}"
        rows = _replicates(configuration, items)
        count += len(rows) * len(items)
        lacks = sum(cell is None for row in rows for cell in row)
        errors = sum(cell is not None and cell.outcome.status == "failed" for row in rows for cell in row)
        missing, failures = missing + lacks, failures + errors
        outcomes = [tuple(_MISSING if cell is None else cell.outcome for cell in row) for row in rows]
        group = mean_of_replicates(
            [
                [_fit(each) for each in measures_of(part, gold, ())] + [_measure(*one, row) for one in metrics.items()]
                for part, row in zip(outcomes, rows, strict=True)
            ]
        )
        records.append(
            _record(
                name, configuration.values, outcomes, group, (lacks + errors) / (len(rows) * len(items)), max_failures
            )
        )
        if records[-1].completed:
            measures[name] = group
    if not measures:
        raise DataError(
            f"of each configuration more than {max_failures:.0%} of the {len(items):,} items failed or are missing; "
            "allow more, --max-failures 1"
        )
    examples = ExampleData([x for x, _ in texts.values()], gold)
    return Imported(records, measures, examples, missing, failures, count)


def _replicates(configuration: _Configuration, items: Sequence[str]) -> list[list[Cell | None]]:
    """By replicate the cell of each item; None where it has not so many."""
    count = max(map(len, configuration.cells.values()))
    lists = [configuration.cells.get(item, []) for item in items]
    return [[cells[place] if place < len(cells) else None for cells in lists] for place in range(count)]


def _measure(name: str, direction: Direction, cells: Sequence[Cell | None]) -> Measure:
    """A metric of the cells: its mean over those that have it."""
    values = [None if cell is None else cell.metrics.get(name) for cell in cells]
    rows = [(0.0, 0.0) if value is None else (value, 1.0) for value in values]
    return Measure(name, direction, np.array(rows, np.float64), mean, "mean")


def _fit(measure: Measure) -> Measure:
    """A reward that is not between 0 and 1 is a mean of amounts, and no share."""
    amounts = measure.statistics[:, 0]
    if measure.name == "reward" and amounts.size and (amounts.min() < 0 or amounts.max() > 1):
        return Measure(measure.name, measure.direction, measure.statistics, measure.reduce, "mean")
    return measure


def _record(
    name: str,
    values: dict[str, Any],
    replicates: Sequence[tuple[Outcome, ...]],
    measures: Sequence[Measure],
    lacking: float,
    max_failures: float,
) -> TrialRecord:
    outcomes = [outcome for part in replicates for outcome in part if outcome is not _MISSING]
    metrics = finite({f"val_{each.name}": each.value for each in measures})
    seconds, calls = total(one.latency_s for one in outcomes), sum(one.calls for one in outcomes)
    enough = lacking <= max_failures and "val_reward" in metrics
    return TrialRecord(
        trial=name,
        status="COMPLETED" if enough else "FAILED",
        values=values,
        metrics=metrics if enough else {},
        calls=calls,
        prompt_tokens=total(one.prompt_tokens for one in outcomes),
        completion_tokens=total(one.completion_tokens for one in outcomes),
        cost_usd=total(one.cost_usd for one in outcomes),
        latency_s=None if seconds is None or not calls else round(seconds / calls, 6),
        n=len(replicates[0]),
        error=None if enough else f"{lacking:.0%} of the items failed or are missing (at most {max_failures:.0%} may)",
        replicates=tuple(ReplicateRecord(metrics, 0, {}, part) for part in replicates) if enough else (),
        score=metrics.get("val_reward", math.nan) if enough else None,
    )
