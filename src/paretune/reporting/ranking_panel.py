"""The panel of one objective: a ranking of trials with their intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from paretune.reporting.marks import (
    FONT_SIZE,
    FRONTIER,
    INK,
    LOOKS,
    MUTED,
    WINNER,
    axis,
    bars,
    caption,
    dashed_rule,
    symbols,
)
from paretune.reporting.placement import Scale
from paretune.reporting.results import Result
from paretune.reporting.volume import is_amount
from paretune.trials.goals import Objective
from paretune.wording import axis_title, displayed

__all__ = ["ranking_panel"]

_OTHER = "other"
_RANKING_LOOKS = {WINNER: LOOKS[WINNER], _OTHER: LOOKS[FRONTIER]}
_ROW_HEIGHT = 30  # pixels a trial
_MOST_ROWS = 40  # a longer ranking shows the best ones


def ranking_panel(
    results: Sequence[Result],
    texts: Sequence[Sequence[str]],
    objective: Objective,
    *,
    width: int,
    reference: float | None = None,
) -> dict[str, Any]:
    """One line a trial with its value and interval, the best on top; of many trials only the best 40."""
    sign = -1 if objective.direction == "max" else 1
    rows = [
        (result.displayed(objective.name), WINNER if result.is_winner else _OTHER, ", ".join(text))
        for result, text in zip(results, texts, strict=True)
        if math.isfinite(result.metric(objective.name).value)
    ]
    rows = sorted(rows, key=lambda row: sign * row[0].value)[:_MOST_ROWS]
    reference = None if reference is None else displayed(objective.name, reference)
    extra = () if reference is None else (reference,)
    values = [*(value for measurement, _, _ in rows for value in measurement), *extra]
    axes = {
        "x": axis(
            axis_title(objective.name, objective.direction),
            Scale.around(values, width, spread=is_amount(objective.name)),
        ),
        "y": _names_axis([text for _, _, text in rows]),
    }
    whiskers, dots = [], []
    for rank, (measurement, role, _) in enumerate(rows, start=1):
        at = {"y": str(rank), "role": role}
        whiskers.append({"x": measurement.lo, "x2": measurement.hi, **at})
        dots.append({"x": measurement.value, **at})
    layers = [bars(axes, whiskers, "x2", _RANKING_LOOKS), symbols(axes, dots, _RANKING_LOOKS)]
    if reference is not None:
        layers[:0] = _reference(axes, reference)
    return {"width": width, "height": max(2, len(rows)) * _ROW_HEIGHT, "layer": layers}


def _names_axis(names: Sequence[str]) -> dict[str, Any]:
    """The axis of the ranks from 1, at which names stand (two trials may have the same)."""
    ranked = {str(rank): name for rank, name in enumerate(names, start=1)}
    look = {"labelLimit": 400, "labelColor": INK, "grid": True, "ticks": False, "domain": False}
    return {
        "type": "ordinal",
        "sort": list(ranked),
        "axis": {"title": None, "labelExpr": f"{json.dumps(ranked)}[datum.value]", **look},
    }


def _reference(axes: dict[str, Any], reference: float) -> list[dict[str, Any]]:
    note = {"x": reference, "text": caption(reference)}
    text = {"type": "text", "y": -6, "baseline": "bottom", "color": MUTED, "fontSize": FONT_SIZE}
    channels = {"x": axes["x"] | {"field": "x"}, "text": {"field": "text"}}
    return [dashed_rule(axes, "x", note), {"data": {"values": [note]}, "mark": text, "encoding": channels}]
