"""The sections of params.yaml about what is reported of a finished search."""

from __future__ import annotations

from typing import Any

from pydantic import Field, NonNegativeInt

from paretune.pipeline.params import Params

__all__ = ["EvaluateParams", "ReportParams"]


class EvaluateParams(Params):
    """Section ``evaluate``; ``baseline`` gives hyperparameters of the program that the winner is compared with."""

    baseline: dict[str, Any] | None = None


class ReportParams(Params):
    """Section ``report``: the intervals, and the objectives on the axes of ``dvc plots``."""

    x: str | None = None
    y: str | None = None
    confidence: float = Field(default=0.95, gt=0, lt=1)
    resamples: int = Field(default=2000, ge=100)
    seed: NonNegativeInt = 0
