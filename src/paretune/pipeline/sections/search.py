"""Section ``search``: the space, and how a trial is trained."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveInt

from paretune.pipeline.sections.base import Params
from paretune.pipeline.sections.space import SpaceParams

__all__ = ["SearchParams"]


class SearchParams(Params):
    """Section ``search``: the space, the budget, and how a trial is trained."""

    space: dict[str, SpaceParams] = Field(default_factory=dict)
    max_trials: PositiveInt | None = None
    seed: NonNegativeInt = 0
    epochs: PositiveInt = 1
    batch_size: PositiveInt = 8
    executions_per_trial: PositiveInt = 1
    parallel_trials: PositiveInt = 1
    max_failure_rate: float = Field(default=0.1, ge=0, le=1)
    max_retries_per_trial: NonNegativeInt = 0
