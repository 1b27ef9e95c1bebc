"""Rewards: how good one answer is, between 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paretune.lazy import lazy_dir, lazy_names

if TYPE_CHECKING:
    from paretune.rewards.field_match import FieldMatch
    from paretune.rewards.judge import LMAsJudge
    from paretune.rewards.reward import ExactMatch, Reward, RewardFunctionWrapper, Scored
    from paretune.rewards.rubric import Criterion, Rubric
    from paretune.rewards.weighted import Weighted
    from paretune.schemas.match import Match

__all__ = [
    "Criterion",
    "ExactMatch",
    "FieldMatch",
    "LMAsJudge",
    "Match",
    "Reward",
    "RewardFunctionWrapper",
    "Rubric",
    "Scored",
    "Weighted",
]

# A judge calls language models, which the scoring of recorded answers has no need to load.
__getattr__ = lazy_names(
    __name__,
    {
        "Criterion": "paretune.rewards.rubric",
        "ExactMatch": "paretune.rewards.reward",
        "FieldMatch": "paretune.rewards.field_match",
        "LMAsJudge": "paretune.rewards.judge",
        "Match": "paretune.schemas.match",
        "Reward": "paretune.rewards.reward",
        "RewardFunctionWrapper": "paretune.rewards.reward",
        "Rubric": "paretune.rewards.rubric",
        "Scored": "paretune.rewards.reward",
        "Weighted": "paretune.rewards.weighted",
    },
)
__dir__ = lazy_dir(__name__)
