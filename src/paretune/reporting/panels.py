"""One panel of the picture: the layers of a frontier in two objectives, or of a ranking in one."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from paretune.reporting.annotations import (
    DOMINATED,
    DROPPED,
    FONT_SIZE,
    FRONTIER,
    INFEASIBLE,
    INK,
    MUTED,
    PERHAPS,
    VERMILLION,
    WINNER,
    Point,
    caption,
    encoding,
    labels,
    obstacles,
    reference_rule,
)  # fmt: skip
from paretune.reporting.frontier_rows import shown_frontier
from paretune.reporting.placement import Scale
from paretune.reporting.results import Result
from paretune.reporting.volume import is_amount
from paretune.trials.goals import Objective
from paretune.wording import axis_title, displayed

__all__ = ["frontier_panel", "ranking_panel"]

# Okabe & Ito (2008): told apart with any kind of colour vision; shape and filling say the same again.
_BLUE, _GREY, _OTHER = "#0072B2", "#8c8c8c", "other"
_Looks: TypeAlias = dict[str, tuple[str, str, str, int]]
_LOOKS: _Looks = {  # role: stroke, fill, shape, size
    WINNER: (VERMILLION, VERMILLION, "diamond", 190),
    FRONTIER: (_BLUE, _BLUE, "circle", 95),
    PERHAPS: (_BLUE, "#ffffff", "circle", 95),
    DOMINATED: ("#c4c4c4", "#ffffff", "circle", 60),
}
#: Shown where there is such a trial.
_MORE_LOOKS: _Looks = {
    INFEASIBLE: (_GREY, _GREY, "cross", 60),
    DROPPED: ("#c4c4c4", "#c4c4c4", "triangle-down", 45),
}
_RANKING_LOOKS = {WINNER: _LOOKS[WINNER], _OTHER: _LOOKS[FRONTIER]}
_ROW_HEIGHT = 30  # pixels a trial in a ranking
_MOST_ROWS = 40  # a longer ranking shows the best ones


def frontier_panel(
    results: Sequence[Result],
    texts: Sequence[Sequence[str]],
    pair: tuple[Objective, Objective],
    *,
    width: int,
    height: int,
    reference: float | None = None,
) -> dict[str, Any]:
    """Points with error bars in two directions, the steps of their frontier, labels for those on the frontier.

    ``pair`` is what to draw across and up; trials without a number for either are left out. ``reference`` is drawn
    as a horizontal rule.
    """
    across, up = pair
    points = [
        Point(result.displayed(across.name), result.displayed(up.name), _role(result), result.feasible, text)
        for result, text in zip(results, texts, strict=True)
    ]
    points = [each for each in points if math.isfinite(each.x.value) and math.isfinite(each.y.value)]
    reference = None if reference is None else displayed(up.name, reference)
    extra = () if reference is None else (reference,)
    x = Scale.around([value for each in points for value in each.x], width, spread=is_amount(across.name))
    y = Scale.around(
        [*(value for each in points for value in each.y), *extra], height, flipped=True, spread=is_amount(up.name)
    )
    best = shown_frontier([each.place for each in points], pair)
    line = sorted((each for each, on in zip(points, best, strict=True) if on), key=lambda each: each.at["x"])
    axes = {"x": _axis(axis_title(across.name, across.direction), x), "y": _axis(axis_title(up.name, up.direction), y)}
    solid, light = obstacles(points, line, across, x, y)
    roles = {each.role for each in points}
    looks = _LOOKS | {role: look for role, look in _MORE_LOOKS.items() if role in roles}
    layers: list[dict[str, Any]] = []
    if reference is not None:
        layers, box = reference_rule(axes, reference, x, y, [*solid, *light])
        solid.append(box)
    layers += [
        _bars(
            axes,
            [{"x": each.x.lo, "x2": each.x.hi, "y": each.y.value, "role": each.role} for each in points],
            "x2",
            looks,
        ),
        _bars(
            axes,
            [{"x": each.x.value, "y": each.y.lo, "y2": each.y.hi, "role": each.role} for each in points],
            "y2",
            looks,
        ),
        {
            "data": {"values": [each.at for each in line]},
            "mark": {
                "type": "line",
                "interpolate": "step-after" if across.direction == "min" else "step-before",
                "color": _BLUE,
                "strokeWidth": 2.2,
                "opacity": 0.7,
            },
            "encoding": encoding(axes),
        },
        *labels(axes, points, line, x, y, solid, light),
        _symbols(axes, [each.at | {"role": each.role} for each in points], looks),
    ]
    return {"width": width, "height": height, "layer": layers}


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
    x = Scale.around(values, width, spread=is_amount(objective.name))
    names = {str(rank): text for rank, (_, _, text) in enumerate(rows, start=1)}
    axes = {
        "x": _axis(axis_title(objective.name, objective.direction), x),
        "y": {
            "type": "ordinal",
            "sort": list(names),
            "axis": {
                "title": None,
                "labelExpr": _lookup(names),
                "labelLimit": 400,
                "labelColor": INK,
                "grid": True,
                "ticks": False,
                "domain": False,
            },
        },
    }
    data = [
        {"x": measurement.value, "lo": measurement.lo, "hi": measurement.hi, "y": str(rank), "role": role}
        for rank, (measurement, role, _) in enumerate(rows, start=1)
    ]
    bars = [{"x": row["lo"], "x2": row["hi"], "y": row["y"], "role": row["role"]} for row in data]
    dots = [{key: row[key] for key in ("x", "y", "role")} for row in data]
    layers = [_bars(axes, bars, "x2", _RANKING_LOOKS), _symbols(axes, dots, _RANKING_LOOKS)]
    if reference is not None:
        note = {"x": reference, "text": caption(reference)}
        layers[:0] = [
            {
                "data": {"values": [note]},
                "mark": {"type": "rule", "color": MUTED, "strokeDash": [5, 4]},
                "encoding": {"x": axes["x"] | {"field": "x"}},
            },
            {
                "data": {"values": [note]},
                "mark": {
                    "type": "text",
                    "y": -6,
                    "baseline": "bottom",
                    "color": MUTED,
                    "fontSize": FONT_SIZE,
                },
                "encoding": {"x": axes["x"] | {"field": "x"}, "text": {"field": "text"}},
            },
        ]
    return {"width": width, "height": max(2, len(rows)) * _ROW_HEIGHT, "layer": layers}


def _role(result: Result) -> str:
    if result.is_winner:
        return WINNER
    if result.record.dropped is not None:
        return DROPPED
    if not result.feasible:
        return INFEASIBLE
    return {"solid": FRONTIER, "hollow": PERHAPS, "faint": DOMINATED}[result.drawn]


def _axis(title: str, scale: Scale) -> dict[str, Any]:
    domain = {"domain": [scale.low, scale.high], "nice": False, "zero": False}
    return {
        "type": "quantitative",
        "scale": domain | ({"type": "log"} if scale.log else {}),
        "axis": {"title": title, "tickCount": 6} | ({"format": "~r"} if scale.log else {}),
    }


def _bars(axes: dict[str, Any], rows: Sequence[dict[str, Any]], end: str, looks: _Looks) -> dict[str, Any]:
    """Error bars from x to x2 or from y to y2; a trial without an interval has none."""
    known = [row for row in rows if all(not isinstance(cell, float) or math.isfinite(cell) for cell in row.values())]
    return {
        "data": {"values": known},
        "mark": {"type": "rule", "strokeWidth": 1.4, "opacity": 0.55},
        "encoding": encoding(axes, **{end: {"field": end}, "stroke": _look(0, looks)}),
    }


def _symbols(axes: dict[str, Any], rows: Sequence[dict[str, Any]], looks: _Looks) -> dict[str, Any]:
    """The markers, the important ones last and so on top; they carry the legend."""
    order = list(looks)[::-1]
    shown = {name: _look(part, looks) for part, name in enumerate(("stroke", "fill", "shape", "size"))}
    return {
        "data": {"values": sorted(rows, key=lambda row: order.index(row["role"]))},
        "mark": {"type": "point", "opacity": 1, "strokeWidth": 1.6},
        "encoding": encoding(axes, **shown),
    }


def _look(part: int, looks: _Looks) -> dict[str, Any]:
    return {
        "field": "role",
        "type": "nominal",
        "scale": {"domain": list(looks), "range": [look[part] for look in looks.values()]},
        "legend": {
            "title": None,
            "orient": "bottom",
            "direction": "horizontal",
            "columnPadding": 28,
            "offset": 16,
        },
    }


def _lookup(names: dict[str, str]) -> str:
    """A Vega expression that turns an axis value into its text."""
    return f"{json.dumps(names)}[datum.value]"
