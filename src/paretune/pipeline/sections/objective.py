"""Section ``objective``: what a search aims at."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from paretune.pipeline.sections.base import Params

__all__ = ["ObjectiveParams"]


class ObjectivePart(Params):
    """One objective; ``unit`` is how much of it is worth as much as a unit of each other one."""

    name: str
    direction: Literal["max", "min"]
    # the sum stays far from the largest number, and no part of it vanishes
    unit: float | None = Field(default=None, ge=1e-9, le=1e9)


class ObjectiveParams(Params):
    """Section ``objective``; ``constraints`` are bounds such as ``val_cost <= 0.002``."""

    objectives: tuple[ObjectivePart, ...] = Field(min_length=1)
    constraints: tuple[str, ...] = ()
