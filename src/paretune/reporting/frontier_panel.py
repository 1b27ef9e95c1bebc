"""The panel of two objectives: configurations with error bars, and the frontier between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from paretune.reporting.annotations import Point, labels, obstacles, reference_rule
from paretune.reporting.frontier_rows import shown_frontier
from paretune.reporting.marks import (
    BLUE,
    DOMINATED,
    DROPPED,
    FRONTIER,
    INFEASIBLE,
    LOOKS,
    PERHAPS,
    WINNER,
    Looks,
    axis,
    bars,
    encoding,
    symbols,
)  # fmt: skip
from paretune.reporting.placement import Scale
from paretune.reporting.results import Result
from paretune.reporting.volume import is_amount
from paretune.trials.goals import Objective
from paretune.wording import axis_title, displayed

__all__ = ["frontier_panel"]


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
    across_all = [value for each in points for value in each.x]
    up_all = [*(value for each in points for value in each.y), *extra]
    x = Scale.around(across_all, width, spread=is_amount(across.name))
    y = Scale.around(up_all, height, flipped=True, spread=is_amount(up.name))
    best = shown_frontier([each.place for each in points], pair)
    line = sorted((each for each, on in zip(points, best, strict=True) if on), key=lambda each: each.at["x"])
    axes = {"x": axis(axis_title(across.name, across.direction), x), "y": axis(axis_title(up.name, up.direction), y)}
    solid, light = obstacles(points, line, across, x, y)
    shown = {*LOOKS} - {INFEASIBLE, DROPPED} | {each.role for each in points}
    looks = {role: look for role, look in LOOKS.items() if role in shown}
    layers: list[dict[str, Any]] = []
    if reference is not None:
        layers, box = reference_rule(axes, reference, x, y, [*solid, *light])
        solid.append(box)
    layers += [
        *_error_bars(axes, points, looks),
        _steps(axes, line, across),
        *labels(axes, points, line, x, y, solid, light),
        symbols(axes, [each.at | {"role": each.role} for each in points], looks),
    ]
    return {"width": width, "height": height, "layer": layers}


def _role(result: Result) -> str:
    if result.is_winner:
        return WINNER
    if result.record.dropped is not None:
        return DROPPED
    if not result.feasible:
        return INFEASIBLE
    return {"solid": FRONTIER, "hollow": PERHAPS, "faint": DOMINATED}[result.drawn]


def _error_bars(axes: dict[str, Any], points: Sequence[Point], looks: Looks) -> list[dict[str, Any]]:
    flat = [{"x": each.x.lo, "x2": each.x.hi, "y": each.y.value, "role": each.role} for each in points]
    upright = [{"x": each.x.value, "y": each.y.lo, "y2": each.y.hi, "role": each.role} for each in points]
    return [bars(axes, flat, "x2", looks), bars(axes, upright, "y2", looks)]


def _steps(axes: dict[str, Any], line: Sequence[Point], across: Objective) -> dict[str, Any]:
    turn = "step-after" if across.direction == "min" else "step-before"
    return {
        "data": {"values": [each.at for each in line]},
        "mark": {"type": "line", "interpolate": turn, "color": BLUE, "strokeWidth": 2.2, "opacity": 0.7},
        "encoding": encoding(axes),
    }
