"""What is written and kept clear in a frontier panel: labels, the reference rule, the room that lines take."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from paretune.reporting.marks import (
    FONT_SIZE,
    FRONTIER,
    INK,
    MUTED,
    VERMILLION,
    WINNER,
    caption,
    dashed_rule,
    encoding,
)  # fmt: skip
from paretune.reporting.placement import Box, Scale, place, text_width
from paretune.reporting.results import Measurement
from paretune.trials.goals import Objective

__all__ = ["Point", "labels", "obstacles", "reference_rule"]

_LINE = 15.0
_LABEL = {"type": "text", "baseline": "middle", "fontSize": FONT_SIZE, "lineHeight": _LINE}
_HALO = {"stroke": "white", "strokeWidth": 3.5, "strokeJoin": "round", "opacity": 0.9}
_MOST_CHARACTERS = 24


@dataclass(frozen=True)
class Point:
    """A configuration in a panel."""

    x: Measurement
    y: Measurement
    role: str
    feasible: bool
    text: Sequence[str]

    @property
    def place(self) -> tuple[float, float]:
        """Where it is compared with the others: nowhere, when it breaks a constraint or was dropped."""
        return (self.x.value, self.y.value) if self.feasible else (math.nan, math.nan)

    @property
    def at(self) -> dict[str, float]:
        return {"x": self.x.value, "y": self.y.value}


def labels(
    axes: dict[str, Any],
    points: Sequence[Point],
    line: Sequence[Point],
    x: Scale,
    y: Scale,
    solid: Sequence[Box],
    light: Sequence[Box],
) -> list[dict[str, Any]]:
    """Text for the frontier's points: the winner first, then the line, then those that a third objective keeps."""
    named = [each for each in points if each.role in (WINNER, FRONTIER)]
    named.sort(key=lambda each: (each.role != WINNER, each not in line))
    texts = [_lines(each.text) for each in named]
    pixels = [(x.pixel(each.x.value), y.pixel(each.y.value)) for each in named]
    placed = place(pixels, texts, Box(0, 0, x.size, y.size), solid=solid, light=light, font_size=FONT_SIZE)
    rows = [
        each.at
        | {"lx": x.value(label.x), "ly": y.value(label.y), "first": y.value(label.y - _LINE * (len(text) - 1) / 2)}
        | {"text": text, "align": label.align, "leader": label.leader, "bold": each.role == WINNER}
        for each, text, label in zip(named, texts, placed, strict=True)
        if label is not None
    ]
    leaders = {
        "data": {"values": [row for row in rows if row["leader"]]},
        "mark": {"type": "rule", "color": "#9a9a9a", "strokeWidth": 0.8},
        "encoding": encoding(axes, x2={"field": "lx"}, y2={"field": "ly"}),
    }
    return [leaders, *_texts(axes, rows)]


def _texts(axes: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    where = {"x": axes["x"] | {"field": "lx"}, "y": axes["y"] | {"field": "first"}, "text": {"field": "text"}}
    for halo in (_HALO, {}):  # white below the letters keeps them legible on lines
        for align in ("left", "center", "right"):
            for bold in (False, True):
                group = [row for row in rows if (row["align"], row["bold"]) == (align, bold)]
                weight = {"fontWeight": "bold" if bold else "normal", "color": VERMILLION if bold else INK}
                if group:
                    mark = {"type": "text", "align": align, **_LABEL, **weight, **halo}
                    yield {"data": {"values": group}, "mark": mark, "encoding": where}


def _lines(parts: Sequence[str]) -> list[str]:
    """A label's parts on as few lines as they fit on."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) + 2 <= _MOST_CHARACTERS:
            lines[-1] += f", {part}"
        else:
            lines[-1] += ","
            lines.append(part)
    return lines


def reference_rule(
    axes: dict[str, Any], reference: float, x: Scale, y: Scale, drawn: Sequence[Box]
) -> tuple[list[dict[str, Any]], Box]:
    """A dashed rule at the value of the majority answer, with its caption where it covers least."""
    text, at = caption(reference), y.pixel(reference)
    width = text_width(text, FONT_SIZE)
    places = [
        (align, side, Box(left, at + side - 8, left + width, at + side + 8))
        for align, left in (("right", x.size - width - 4), ("left", 4.0))
        for side in (-11, 11)
        if 8 <= at + side <= y.size - 8
    ]
    align, side, box = min(places, key=lambda each: sum(each[2].overlap(other) for other in drawn))
    row = {"y": reference, "x": x.value(x.size - 4 if align == "right" else 4), "text": text}
    mark = {"type": "text", "align": align, "dy": side, "baseline": "middle", "color": MUTED, "fontSize": FONT_SIZE}
    written = {"data": {"values": [row]}, "mark": mark, "encoding": encoding(axes, text={"field": "text"})}
    return [dashed_rule(axes, "y", row), written], box


def obstacles(
    points: Sequence[Point], line: Sequence[Point], across: Objective, x: Scale, y: Scale
) -> tuple[list[Box], list[Box]]:
    """What labels must not cover (markers) and what they should not (error bars, the frontier), in pixels."""
    centres = [(x.pixel(each.x.value), y.pixel(each.y.value)) for each in points]
    markers = [Box(left - 7, top - 7, left + 7, top + 7) for left, top in centres]
    return markers, [box for each in points for box in _bar_boxes(each, x, y)] + _step_boxes(line, across, x, y)


def _bar_boxes(point: Point, x: Scale, y: Scale) -> list[Box]:
    """The error bars as thin boxes in pixels."""
    at_x, at_y = x.pixel(point.x.value), y.pixel(point.y.value)
    boxes = []
    if math.isfinite(point.x.lo):
        boxes.append(Box(x.pixel(point.x.lo), at_y - 2, x.pixel(point.x.hi), at_y + 2))
    if math.isfinite(point.y.lo):
        boxes.append(Box(at_x - 2, y.pixel(point.y.hi), at_x + 2, y.pixel(point.y.lo)))
    return boxes


def _step_boxes(line: Sequence[Point], across: Objective, x: Scale, y: Scale) -> list[Box]:
    """The frontier's steps as thin boxes in pixels."""
    boxes = []
    for start, end in itertools.pairwise(line):
        x1, x2 = x.pixel(start.x.value), x.pixel(end.x.value)
        y1, y2 = y.pixel(start.y.value), y.pixel(end.y.value)
        level, turn = (y1, x2) if across.direction == "min" else (y2, x1)
        boxes.append(Box(x1, level - 3, x2, level + 3))
        boxes.append(Box(turn - 3, min(y1, y2), turn + 3, max(y1, y2)))
    return boxes
