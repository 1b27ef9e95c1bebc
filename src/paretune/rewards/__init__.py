"""Rewards: how good one answer is, between 0 and 1."""

from paretune.rewards.base import ExactMatch, Reward, RewardFunctionWrapper

__all__ = ["ExactMatch", "Reward", "RewardFunctionWrapper"]
