"""Rewards score one example at a time; an invalid output earns 0.0 before any reward is asked."""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel

from paretune.configurable import Configurable
from paretune.errors import UsageError
from paretune.metrics.metric import Metric
from paretune.metrics.wrapper import as_number, check_function
from paretune.schemas.masks import Mask, part_of

if TYPE_CHECKING:
    from paretune.lm.language_model import LanguageModel

__all__ = [
    "ExactMatch",
    "MaskedReward",
    "MetricReward",
    "Reward",
    "RewardFunctionWrapper",
    "Scored",
    "as_reward",
    "checked_reward",
]

#: Sums of shares may be off by so much.
_ROUNDING = 1e-9


class Scored(float):
    """A reward that tells what it was made of: a float, which a reward may give in the place of a plain one.

    ``judgements`` are the scores that it is the mean of, where a judge was asked several times; ``parts`` are those
    that it combines, by name. Both are kept with the example's outcome.
    """

    judgements: tuple[float, ...]
    parts: Mapping[str, float] | None

    def __new__(cls, value: float, judgements: Sequence[float] = (), parts: Mapping[str, float] | None = None) -> Self:
        scored = super().__new__(cls, value)
        scored.judgements, scored.parts = tuple(judgements), parts
        return scored

    @classmethod
    def of(cls, value: float) -> Scored:
        """A number as it is, or as one that was made of nothing else."""
        return value if isinstance(value, Scored) else cls(value)


class Reward(Configurable, ABC):
    """Base class of rewards.

    ``name`` is used in summaries; ``calls_per_example`` is how many calls the reward of a valid output makes.
    """

    name: str = "reward"
    calls_per_example: int = 0

    @property
    def language_models(self) -> tuple[LanguageModel, ...]:
        """The language models that those calls are made to."""
        return ()

    def bind(self, data_model: type[BaseModel]) -> Self:
        """Learn the fields from the data model of the gold records; raises UsageError when they do not fit."""
        return self

    @abstractmethod
    async def __call__(self, y_true: Any, y_pred: Any) -> float:
        """The reward of a prediction (a data model that has the gold record's fields, maybe more)."""


class MaskedReward(Reward):
    """Base class of rewards that compare the fields that a mask keeps."""

    def __init__(self, in_mask: Sequence[str] | None = None, out_mask: Sequence[str] | None = None) -> None:
        self.mask = Mask.of(in_mask, out_mask)
        self._fields: tuple[str, ...] = ()

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        bound._fields = self.mask.fields(data_model)
        return bound

    def kept(self, y_true: Any) -> tuple[str, ...]:
        """The kept fields: those learned from the gold records, or this one's where ``bind`` was not called."""
        return self._fields or self.mask.fields(type(y_true))


class ExactMatch(MaskedReward):
    """1.0 when the masked records are equal, else 0.0.

    Values are compared, not how they are written: numbers as numbers (1 equals 1.0), sets and mappings in any order,
    decimals and instants as what they are (see ``schemas.canonical``); text to the letter.
    """

    def __init__(
        self,
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
        name: str = "exact_match",
    ) -> None:
        super().__init__(in_mask, out_mask)
        self.name = name

    async def __call__(self, y_true: Any, y_pred: Any) -> float:
        true, pred = y_true.get_json(), y_pred.get_json()
        return float(all(name in pred and pred[name] == true[name] for name in self.kept(y_true)))


class RewardFunctionWrapper(MaskedReward):
    """A sync or async function of (y_true, y_pred) as a reward: a number from 0 to 1, or a bool.

    ``kwargs`` are given to the function in each call. With a mask it gets records of the kept fields alone, else the
    whole records. What it raises is raised as it is, and anything but such a number is an error: neither is a score.
    """

    def __init__(
        self,
        fn: Callable[[Any, Any], Any],
        name: str | None = None,
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_mask, out_mask)
        self.fn = fn
        self.name = name or str(getattr(fn, "__name__", "reward"))
        check_function(fn, kwargs, self.name)
        self.kwargs = kwargs

    async def __call__(self, y_true: Any, y_pred: Any) -> float:
        if self.mask:
            fields = self.kept(y_true)
            y_true, y_pred = part_of(y_true, fields), part_of(y_pred, fields)
        value = self.fn(y_true, y_pred, **self.kwargs)
        return checked_reward(await value if inspect.isawaitable(value) else value, self.name)


class MetricReward(Reward):
    """A metric as a reward: each example is scored alone, so no state leaks from one to the next."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.name = metric.name

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        bound.metric = self.metric.bind(data_model)
        return bound

    async def __call__(self, y_true: Any, y_pred: Any) -> float:
        return self.metric.reward(y_true.get_json(), y_pred.get_json())


def checked_reward(value: Any, name: str) -> float:
    """What a reward gave, as a float; raises UsageError where it is no number from 0 to 1 (but for rounding)."""
    number = as_number(value)
    if not -_ROUNDING <= number <= 1 + _ROUNDING:
        raise UsageError(f"the reward {name!r} must give a number from 0 (wrong) to 1 (right) (got {value!r})")
    number = min(max(number, 0.0), 1.0)
    return Scored(number, value.judgements, value.parts) if isinstance(value, Scored) else number


def as_reward(reward: Any) -> Reward:
    """What ``compile(reward=…)`` takes: a Reward, a Metric, or a function of (y_true, y_pred)."""
    if isinstance(reward, Reward):
        return reward
    if isinstance(reward, Metric):
        if reward.direction == "min":
            raise UsageError(f"{reward.name!r} is better when smaller, so it cannot be a reward")
        return MetricReward(reward)
    if callable(reward) and not isinstance(reward, type):
        return RewardFunctionWrapper(reward)
    raise UsageError(f"reward must be a Reward, a Metric or a function of (y_true, y_pred) (got {reward!r})")
