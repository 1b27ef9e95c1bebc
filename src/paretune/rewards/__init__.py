"""Rewards: how good one answer is, between 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paretune.lazy import lazy_dir, lazy_names

if TYPE_CHECKING:
    from paretune.rewards.base import ExactMatch, Reward, RewardFunctionWrapper
    from paretune.rewards.judge import LMAsJudge

__all__ = ["ExactMatch", "LMAsJudge", "Reward", "RewardFunctionWrapper"]

# A judge calls language models, which the scoring of recorded answers has no need to load.
__getattr__ = lazy_names(
    __name__,
    {
        "ExactMatch": "paretune.rewards.base",
        "LMAsJudge": "paretune.rewards.judge",
        "Reward": "paretune.rewards.base",
        "RewardFunctionWrapper": "paretune.rewards.base",
    },
)
__dir__ = lazy_dir(__name__)
