"""Weighted: several rewards as one."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel

from paretune.errors import UsageError
from paretune.metrics.wrapper import as_number
from paretune.rewards.reward import Reward, Scored, as_reward, checked_reward

if TYPE_CHECKING:
    from paretune.lm.language_model import LanguageModel

__all__ = ["Weighted"]


class Weighted(Reward):
    """The weighted mean of several rewards, whose own values are kept with each example by their names.

    The calls of all count in the example's. Where one leaves the example failed, it has no reward at all. Rewards are
    asked one after the other. Of judges that are asked equally often (and of others, which do not waver) the
    judgements are combined too.

    Parameters
    ----------
    rewards
        Rewards, metrics or functions of (y_true, y_pred), as ``compile`` takes them; their names must differ.
    weights
        A number above 0 for each, whose sum does not matter; all alike when None.
    name
        How the reward is called in summaries.
    """

    def __init__(self, rewards: Sequence[Any], weights: Sequence[float] | None = None, name: str = "weighted") -> None:
        self.rewards = [as_reward(each) for each in rewards]
        given = [1.0] * len(self.rewards) if weights is None else [as_number(each) for each in weights]
        names = [each.name for each in self.rewards]
        if not names or len(given) != len(names):
            raise UsageError(f"{name}: give some rewards and a weight for each (got {len(names)} and {len(given)})")
        if not all(0 < each < math.inf for each in given):
            raise UsageError(f"{name}: weights must be numbers above 0 (got {list(weights or ())})")
        for one in names:
            if names.count(one) > 1:
                raise UsageError(f"{name}: two rewards are called {one!r}; give one of them another name")
        self.weights = [each / math.fsum(given) for each in given]
        self.name = name
        self.calls_per_example = sum(each.calls_per_example for each in self.rewards)

    @property
    def language_models(self) -> tuple[LanguageModel, ...]:
        return tuple(model for each in self.rewards for model in each.language_models)

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        bound.rewards = [each.bind(data_model) for each in self.rewards]
        return bound

    async def __call__(self, y_true: Any, y_pred: Any) -> Scored:
        """The combined reward. Raises what its rewards raise."""
        values = [Scored.of(checked_reward(await each(y_true, y_pred), each.name)) for each in self.rewards]
        parts = dict(self._named(values))
        counts = {len(value.judgements) for value in values if value.judgements}
        if len(counts) != 1:
            return Scored(self._mean(values), (), parts)
        draws = zip(*(value.judgements or [value] * max(counts) for value in values), strict=True)
        return Scored(self._mean(values), [self._mean(draw) for draw in draws], parts)

    def _mean(self, values: Sequence[float]) -> float:
        return math.fsum(weight * value for weight, value in zip(self.weights, values, strict=True))

    def _named(self, values: Sequence[Scored]) -> Iterator[tuple[str, float]]:
        for reward, value in zip(self.rewards, values, strict=True):
            yield reward.name, float(value)
            yield from ((f"{reward.name}.{name}", part) for name, part in (value.parts or {}).items())
