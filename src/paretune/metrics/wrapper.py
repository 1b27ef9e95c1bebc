"""MeanMetricWrapper: any function of a gold and a predicted record as a metric."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, create_model

from paretune.errors import UsageError
from paretune.metrics.metric import Array, Metric, Record, mean
from paretune.stats.measure import Direction

__all__ = ["MeanMetricWrapper"]


class MeanMetricWrapper(Metric):
    """The mean over examples of a function of (y_true, y_pred) that gives a number.

    The function gets two records of the gold data model, the prediction with what else it has (``thinking``). It is not
    asked about an invalid output, which is worth ``invalid``: 0.0 when not given, and to be given when smaller is
    better, where 0.0 would often be the best. The metric of no examples is NaN.

    Parameters
    ----------
    fn
        A plain function (for an async one use a reward: ``RewardFunctionWrapper``). What it raises is raised as it is,
        and a value that is no finite number is an error: neither is a score.
    name
        How the metric is called; the function's name when None.
    direction
        ``max`` or ``min``: what is better.
    """

    def __init__(
        self,
        fn: Callable[[Any, Any], Any],
        name: str | None = None,
        *,
        direction: Direction = "max",
        invalid: float | None = None,
    ) -> None:
        self.fn = fn
        self.name = name or str(getattr(fn, "__name__", "mean_metric"))
        if direction not in ("max", "min"):
            raise UsageError(f"{self.name}: direction must be 'max' or 'min' (got {direction!r})")
        if direction == "min" and invalid is None:
            raise UsageError(f"{self.name}: smaller is better, so say what an invalid output is worth: invalid=…")
        if inspect.iscoroutinefunction(fn):
            raise UsageError(f"{self.name}: a metric's function cannot be async; as a reward it can")
        self.direction = direction
        self.invalid = 0.0 if invalid is None else float(invalid)
        self._model: type[BaseModel] | None = None
        self._open_model: type[BaseModel] | None = None

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        bound._model = data_model
        bound._open_model = create_model(data_model.__name__, __base__=data_model, __cls_kwargs__={"extra": "allow"})
        return bound

    def statistics(self, y_true: Record, y_pred: Record | None) -> Array:
        """The example's value, and 1."""
        if y_pred is None:
            return np.array([self.invalid, 1.0])
        assert self._model is not None and self._open_model is not None, "statistics() before bind()"
        extra = set(y_pred) - set(self._model.model_fields)
        value = self.fn(
            self._model.model_validate(y_true), (self._open_model if extra else self._model).model_validate(y_pred)
        )
        if inspect.iscoroutine(value):
            value.close()
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise UsageError(f"{self.name} must give a finite number (got {value!r})")
        return np.array([number, 1.0])

    def reduce(self, totals: Array) -> Array:
        return mean(totals)
