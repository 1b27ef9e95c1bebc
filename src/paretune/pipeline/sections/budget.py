"""Section ``budget``: what a search may spend."""

from __future__ import annotations

from pydantic import Field

from paretune.pipeline.sections.base import Params

__all__ = ["BudgetParams"]


class BudgetParams(Params):
    """Section ``budget``: what a search may spend; null: no limit."""

    # no one spends more; the ledger's sums of such amounts stay exact
    usd: float | None = Field(default=None, gt=0, le=1e9)
    calls: int | None = Field(default=None, gt=0, le=10**12)
    tokens: int | None = Field(default=None, gt=0, le=10**15)
    account: str = Field(default="default", min_length=1, max_length=200)
