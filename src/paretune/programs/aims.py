"""What a program is trained for and scored by: its reward and its metrics, bound to the records that it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paretune.errors import UsageError
from paretune.metrics.measures import OPERATIONAL
from paretune.metrics.metric import Metric
from paretune.rewards.reward import ExactMatch, Reward, as_reward
from paretune.schemas.data_model import DataModel

__all__ = ["bound", "named"]


def bound(
    reward: Any, metrics: Sequence[Metric] | None, gold_model: type[DataModel]
) -> tuple[Reward, tuple[Metric, ...]]:
    """A reward (exact match for None) and metrics for the gold records of a data model.

    Raises UsageError for what is none, when a mask or a metric does not fit the data model, and for names that are not
    unique.
    """
    if not isinstance(metrics, Sequence | None) or isinstance(metrics, str):
        raise UsageError(f"metrics must be a list of metrics (got {metrics!r})")
    for metric in metrics or ():
        if not isinstance(metric, Metric):
            raise UsageError(
                f"metrics must be Metric objects, such as F1Score() (got {named(metric)}); a function or a reward "
                "becomes one by MeanMetricWrapper(fn=…)"
            )
    aim = as_reward(reward if reward is not None else ExactMatch()).bind(gold_model)
    scores = tuple(metric.bind(gold_model) for metric in metrics or ())
    names = ["reward", *OPERATIONAL, *(metric.name for metric in scores)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two metrics are called {name!r}: give one of them another name=…")
    return aim, scores


def named(value: Any) -> str:
    """A value as errors name it: a text or a class as it is, anything else by its class."""
    return repr(value) if isinstance(value, str | type) else f"a {type(value).__name__}"
