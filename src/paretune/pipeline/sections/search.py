"""Section ``search``: the space, and how a trial is trained."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from paretune.pipeline.sections.base import Params, Seed, dotted
from paretune.pipeline.sections.space import SpaceParams, of_enabled_steps

__all__ = ["SearchParams"]

_SCHEDULER = re.compile(r"(tcp|tls|ws|wss|ucx)://\S+:\d+")


class SearchParams(Params):
    """Section ``search``: the space, the budget, and how a trial is trained."""

    space: dict[str, SpaceParams] = Field(default_factory=dict)
    # bounds beyond any search that ends: each trial is kept in memory, each parallel one has its own task
    max_trials: int | None = Field(default=None, gt=0, le=100_000)
    seed: Seed = 0
    epochs: int = Field(default=1, gt=0, le=10_000)
    batch_size: int = Field(default=8, gt=0, le=1_000_000)
    executions_per_trial: int = Field(default=1, gt=0, le=1_000)
    parallel_trials: int = Field(default=1, gt=0, le=1_000)
    max_failure_rate: float = Field(default=0.1, ge=0, le=1)
    max_retries_per_trial: int = Field(default=0, ge=0, le=1_000)
    racing: Literal["none", "auto", "sound", "fast"] = "none"
    protect: Literal["winner", "frontier"] = "winner"
    executor: Literal["local", "dask"] = "local"
    workers: int | None = Field(default=None, gt=0, le=1_000)
    scheduler: str | None = None

    @field_validator("space", mode="before")
    @classmethod
    def _dotted(cls, space: Any) -> Any:
        return dotted(space) if isinstance(space, dict) else space

    @field_validator("scheduler")
    @classmethod
    def _address(cls, scheduler: str | None) -> str | None:
        if scheduler is not None and not _SCHEDULER.fullmatch(scheduler):
            raise ValueError("must be the address of a Dask scheduler: tcp://HOST:8786")
        return scheduler

    @field_validator("space")
    @classmethod
    def _of_enabled_steps(cls, space: dict[str, SpaceParams]) -> dict[str, SpaceParams]:
        return of_enabled_steps(space)
