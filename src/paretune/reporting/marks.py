"""The marks of the picture and how they look: axes, error bars, symbols, rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from paretune.reporting.placement import Scale
from paretune.wording import compact

__all__ = [
    "BLUE", "DOMINATED", "DROPPED", "FONT_SIZE", "FRONTIER", "INFEASIBLE", "INK", "MUTED", "PERHAPS", "VERMILLION",
    "WINNER", "LOOKS", "Looks", "axis", "bars", "caption", "dashed_rule", "encoding", "symbols",
]  # fmt: skip

WINNER, FRONTIER, PERHAPS, DOMINATED = "winner", "on the frontier", "perhaps on it", "not on it"
INFEASIBLE, DROPPED = "breaks a constraint", "dropped early"
# Okabe & Ito (2008): told apart with any kind of colour vision; shape and filling say the same again.
INK, MUTED, VERMILLION, BLUE, _GREY = "#222222", "#5a5a5a", "#D55E00", "#0072B2", "#8c8c8c"
FONT_SIZE = 12.5

Looks: TypeAlias = dict[str, tuple[str, str, str, int]]
LOOKS: Looks = {  # role: stroke, fill, shape, size
    WINNER: (VERMILLION, VERMILLION, "diamond", 190),
    FRONTIER: (BLUE, BLUE, "circle", 95),
    PERHAPS: (BLUE, "#ffffff", "circle", 95),
    DOMINATED: ("#c4c4c4", "#ffffff", "circle", 60),
    INFEASIBLE: (_GREY, _GREY, "cross", 60),
    DROPPED: ("#c4c4c4", "#c4c4c4", "triangle-down", 45),
}


def axis(title: str, scale: Scale) -> dict[str, Any]:
    """A quantitative axis with the domain of a scale."""
    domain = {"domain": [scale.low, scale.high], "nice": False, "zero": False}
    return {
        "type": "quantitative",
        "scale": domain | ({"type": "log"} if scale.log else {}),
        "axis": {"title": title, "tickCount": 6} | ({"format": "~r"} if scale.log else {}),
    }


def encoding(axes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The channels of a mark at the fields x and y on the panel's axes, and more channels."""
    return {"x": axes["x"] | {"field": "x"}, "y": axes["y"] | {"field": "y"}} | more


def bars(axes: dict[str, Any], rows: Sequence[dict[str, Any]], end: str, looks: Looks) -> dict[str, Any]:
    """Error bars from x to x2 or from y to y2; a trial without an interval has none."""
    known = [row for row in rows if all(not isinstance(cell, float) or math.isfinite(cell) for cell in row.values())]
    return {
        "data": {"values": known},
        "mark": {"type": "rule", "strokeWidth": 1.4, "opacity": 0.55},
        "encoding": encoding(axes, **{end: {"field": end}, "stroke": _look(0, looks)}),
    }


def symbols(axes: dict[str, Any], rows: Sequence[dict[str, Any]], looks: Looks) -> dict[str, Any]:
    """The markers, the important ones last and so on top; they carry the legend."""
    order = list(looks)[::-1]
    shown = {name: _look(part, looks) for part, name in enumerate(("stroke", "fill", "shape", "size"))}
    return {
        "data": {"values": sorted(rows, key=lambda row: order.index(row["role"]))},
        "mark": {"type": "point", "opacity": 1, "strokeWidth": 1.6},
        "encoding": encoding(axes, **shown),
    }


def dashed_rule(axes: dict[str, Any], along: str, row: dict[str, Any]) -> dict[str, Any]:
    """A line across the panel at a row's value of one axis."""
    return {
        "data": {"values": [row]},
        "mark": {"type": "rule", "color": MUTED, "strokeDash": [5, 4]},
        "encoding": {along: axes[along] | {"field": along}},
    }


def caption(reference: float) -> str:
    """What a dashed rule at a reward means."""
    return f"always the most common answer: {compact(reference)}"


def _look(part: int, looks: Looks) -> dict[str, Any]:
    return {
        "field": "role",
        "type": "nominal",
        "scale": {"domain": list(looks), "range": [look[part] for look in looks.values()]},
        "legend": {"title": None, "orient": "bottom", "direction": "horizontal", "columnPadding": 28, "offset": 16},
    }
