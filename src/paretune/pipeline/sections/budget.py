"""Section ``budget``: what a search may spend."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from paretune.pipeline.sections.base import Params

__all__ = ["BudgetParams"]


class BudgetParams(Params):
    """Section ``budget``: what a search may spend; null: no limit."""

    usd: PositiveFloat | None = None
    calls: PositiveInt | None = None
    tokens: PositiveInt | None = None
    account: str = Field(default="default", min_length=1)
