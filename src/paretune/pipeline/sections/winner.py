"""Section ``winner``: which of the trials wins."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from paretune.pipeline.sections.base import Params

__all__ = ["WinnerParams"]


class WinnerParams(Params):
    """Section ``winner``; see ``paretune.trials.rules.Rule``."""

    rule: Literal["epsilon", "best_score", "one_standard_error", "constraint", "knee"] = "epsilon"
    epsilon: float = Field(default=0.02, ge=0)
    by: str | None = None
    allow_broken: bool = False
