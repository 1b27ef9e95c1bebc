"""Section ``report``: the intervals, and the axes of the picture."""

from __future__ import annotations

from pydantic import Field

from paretune.pipeline.sections.base import Params, Seed

__all__ = ["ReportParams"]


class ReportParams(Params):
    """Section ``report``: the intervals, the objectives on the axes of ``dvc plots``, and by objective the
    ``reference`` of the hypervolume: what counts nothing. ``max_mb`` is the size that report.html may have."""

    x: str | None = None
    y: str | None = None
    # an interval that is more often wrong than right says nothing, and the tails beyond 0.9999 no resampling sees
    confidence: float = Field(default=0.95, ge=0.5, le=0.9999)
    resamples: int = Field(default=2000, ge=100, le=100_000)
    seed: Seed = 0
    max_mb: float = Field(default=20.0, ge=1, le=500)
    reference: dict[str, float] = Field(default_factory=dict)
