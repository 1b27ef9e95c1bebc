"""reports/report.md: the result of a search for a pull request."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from paretune.reporting.frontier_rows import varying
from paretune.reporting.markdown import code, escaped, table
from paretune.reporting.results import Result, unsettled
from paretune.reporting.sentences import gain_sentence, looks_sentence, tested_rows
from paretune.trials.winner import Best
from paretune.wording import compact, metric_words, with_interval

__all__ = ["summary"]

_LONGEST = 20  # rows of the frontier


def summary(found: Sequence[Result], best: Best, numbers: Mapping[str, Any] | None = None) -> str:
    """The winner and why, the test (of detail.json, ``numbers``), and the frontier. Text that users and models wrote
    is shown as text."""
    values = ", ".join(f"{code(name)} = {code(value)}" for name, value in best.values.items())
    why = [escaped(sentence) for sentence in (best.why, best.doubt, best.stopped) if sentence]
    lines = [f"### The winner: trial {code(best.trial)}", "", values or "No hyperparameter was searched.", "", *why]
    if numbers:
        head, *rows = tested_rows(numbers)
        said = [sentence for sentence in (gain_sentence(numbers), looks_sentence(numbers)) if sentence]
        lines += ["", *table(head, [[escaped(name), *cells] for name, *cells in rows]), "", *said]
    if len(best.goals.objectives) > 1:
        lines += ["", *_frontier(found, best)]
    return "\n".join(lines) + "\n"


def _frontier(found: Sequence[Result], best: Best) -> list[str]:
    first, names = best.goals.objectives[0], varying(found)
    sign = -1.0 if first.direction == "max" else 1.0
    rows = sorted(
        (result for result in found if result.on_frontier),
        key=lambda result: sign * result.metric(first.name).value,
    )
    objectives = [each.name for each in best.goals.objectives]
    head = ["trial", *map(code, names), *(escaped(metric_words(name)) for name in objectives), "probability"]
    body = [
        [
            f"**{code(result.record.trial)}**" if result.is_winner else code(result.record.trial),
            *(code(result.record.values[name]) if name in result.record.values else "" for name in names),
            *(with_interval(*result.metric(name)) for name in objectives),
            "" if math.isnan(result.frontier_probability) else compact(result.frontier_probability),
        ]
        for result in rows[:_LONGEST]
    ]
    more = [f"{len(rows) - _LONGEST} more are in `trials.csv`."] if len(rows) > _LONGEST else []
    return [
        f"### The frontier: {len(rows)} of {len(found)} trials",
        "",
        *table(head, body, texts=1 + len(names)),
        "",
        *more,
        *([escaped(unsettled(found))] if unsettled(found) else []),
        "`probability`: how often a trial is on the frontier in draws of other examples.",
    ]
