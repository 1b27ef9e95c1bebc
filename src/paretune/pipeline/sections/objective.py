"""Section ``objective``: what a search aims at."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from paretune.pipeline.sections.base import Params

__all__ = ["ObjectiveParams"]


class ObjectivePart(Params):
    """One objective; ``weight`` is what one unit of the metric counts in the scalar that ranks the trials."""

    name: str
    direction: Literal["max", "min"]
    # a weighted sum stays far from the largest number, and no part of it vanishes
    weight: float = Field(default=1.0, ge=1e-9, le=1e9)


class ObjectiveParams(Params):
    """Section ``objective``; ``scale: range`` divides each metric by its range over the trials. ``constraints`` are
    bounds such as ``val_cost <= 0.002``."""

    objectives: tuple[ObjectivePart, ...] = Field(min_length=1)
    scale: Literal["none", "range"] = "none"
    constraints: tuple[str, ...] = ()
