"""Section ``report``: the intervals, and the axes of the picture."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt

from paretune.pipeline.sections.base import Params

__all__ = ["ReportParams"]


class ReportParams(Params):
    """Section ``report``: the intervals, and the objectives on the axes of ``dvc plots``."""

    x: str | None = None
    y: str | None = None
    confidence: float = Field(default=0.95, gt=0, lt=1)
    resamples: int = Field(default=2000, ge=100)
    seed: NonNegativeInt = 0
