"""Where things go in a panel: scales between values and pixels, and labels that keep clear of what is drawn."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Box", "Label", "Scale", "place", "text_width"]

_NARROW, _WIDE = set("fijlrt.,:;|'!()[] /-"), set("mwMWGOQCD@%")
_MARGIN = 2.0  # pixels between a label and the panel's edge
_SQUARE = 32.0  # pixels
_LIGHT = 2.5  # covering this many square pixels of a line is as bad as being one pixel farther away


class Box(NamedTuple):
    """A rectangle in pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The common area in square pixels."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


class _Boxes:
    """Boxes by the squares of a grid that they touch, so that one is compared with those near it alone."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._boxes: list[Box] = []
        self._near: dict[tuple[int, int], list[int]] = defaultdict(list)
        for box in boxes:
            self.add(box)

    def add(self, box: Box) -> None:
        for square in _squares(box):
            self._near[square].append(len(self._boxes))
        self._boxes.append(box)

    def hits(self, box: Box) -> bool:
        """Whether one of them covers a part of a box."""
        return any(
            self._boxes[place].overlap(box) > 0 for square in _squares(box) for place in self._near.get(square, ())
        )

    def covered(self, box: Box) -> float:
        """The area that a box has in common with each of them, together."""
        near = sorted({place for square in _squares(box) for place in self._near.get(square, ())})
        return sum(box.overlap(self._boxes[place]) for place in near)


def _squares(box: Box) -> Iterator[tuple[int, int]]:
    left, top, right, bottom = (int(end // _SQUARE) for end in box)
    return itertools.product(range(left, right + 1), range(top, bottom + 1))


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic map of [low, high] to [0, size] pixels; ``flipped`` for an axis that points up."""

    low: float
    high: float
    size: float
    log: bool = False
    flipped: bool = False

    @classmethod
    def around(cls, values: Sequence[float], size: float, *, flipped: bool = False, spread: bool = False) -> Scale:
        """A scale that shows all values with some room.

        With ``spread`` (for amounts) it is logarithmic when they are positive and the largest is 30 to 1e12 times the
        smallest; rewards and shares are always on a linear one.
        Values that are never negative get no room below zero. NaN is left out.
        """
        known = [each for each in values if math.isfinite(each)] or [0.0]
        low, high = min(known), max(known)
        if spread and low > 0 and 30 <= high / low <= 1e12:
            room = (high / low) ** 0.06
            return cls(low / room, high * room, size, log=True, flipped=flipped)
        room = 0.07 * (high - low) or 0.1 * abs(high) or 0.5
        return cls(low - room if low < 0 else max(0.0, low - room), high + room, size, flipped=flipped)

    def pixel(self, value: float) -> float:
        """The pixel of a value, from the left or from the top."""
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.size * (1 - share if self.flipped else share)

    def value(self, pixel: float) -> float:
        """The value at a pixel: the inverse of `pixel`."""
        share = 1 - pixel / self.size if self.flipped else pixel / self.size
        if self.log:
            return self.low * math.exp(share * math.log(self.high / self.low))
        return self.low + share * (self.high - self.low)


class Label(NamedTuple):
    """A placed label: its anchor in pixels (vertical middle), alignment, and whether it needs a line to its point."""

    x: float
    y: float
    align: str
    leader: bool


def text_width(text: str, size: float) -> float:
    """The rough width in pixels of a text in Liberation Sans (Arial's widths) at a font size in pixels."""
    return size * sum(0.3 if char in _NARROW else 0.83 if char in _WIDE else 0.56 for char in text)


def place(
    points: Sequence[tuple[float, float]],
    texts: Sequence[Sequence[str]],
    panel: Box,
    *,
    solid: Sequence[Box],
    light: Sequence[Box],
    font_size: float,
) -> list[Label | None]:
    """A place for each text (its lines) near its point, in order of importance; None where there is none.

    A label never covers a ``solid`` box (markers), a label placed before, or the panel's edge; it avoids ``light``
    boxes (error bars, lines) as far as it can, and prefers to be near. Deterministic.
    """
    taken, avoided = _Boxes(solid), _Boxes(light)
    labels: list[Label | None] = []
    for (x, y), lines in zip(points, texts, strict=True):
        width = max(text_width(line, font_size) for line in lines)
        height = font_size * 1.2 * len(lines)
        best: tuple[float, Label, Box] | None = None
        for label, distance in _candidates(x, y, height):
            left = label.x - {"left": 0.0, "center": width / 2, "right": width}[label.align]
            box = Box(left, label.y - height / 2, left + width, label.y + height / 2)
            inside = Box(panel.left + _MARGIN, panel.top + _MARGIN, panel.right - _MARGIN, panel.bottom - _MARGIN)
            if box.left < inside.left or box.right > inside.right or box.top < inside.top or box.bottom > inside.bottom:
                continue
            if taken.hits(box):
                continue
            cost = distance + avoided.covered(box) / _LIGHT
            if best is None or cost < best[0] - 1e-9:
                best = (cost, label, box)
        labels.append(best[1] if best else None)
        if best:
            taken.add(best[2])
    return labels


def _candidates(x: float, y: float, height: float) -> list[tuple[Label, float]]:
    """Anchors around a point with their cost in pixels, the nearest ring first."""
    found = []
    for gap in (10.0, 18.0, 28.0, 42.0, 60.0, 80.0):
        for dx, dy, extra in (
            (1, 0, 0), (-1, 0, 1), (1, -1, 2), (-1, -1, 3), (1, 1, 2), (-1, 1, 3), (0, -1, 4), (0, 1, 5),
            (1, -0.5, 2), (1, 0.5, 2), (-1, -0.5, 3), (-1, 0.5, 3),
        ):  # fmt: skip
            side = gap * (0.7 if dx and dy else 1.0)
            align = {1: "left", -1: "right", 0: "center"}[dx]
            shift = dy * (side + (height / 2 if dx == 0 else height / 4))
            found.append((Label(x + dx * side, y + shift, align, gap > 18), gap + extra))
    return found
