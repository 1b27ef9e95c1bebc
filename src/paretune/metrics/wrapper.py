"""MeanMetricWrapper: any function of a gold and a predicted record as a metric."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, create_model

from paretune.errors import UsageError
from paretune.metrics.metric import Array, Metric, Record, mean
from paretune.schemas.masks import Mask, part_model
from paretune.stats.measure import Direction

__all__ = ["MeanMetricWrapper", "as_number", "check_function"]


class MeanMetricWrapper(Metric):
    """The mean over examples of a function of (y_true, y_pred) that gives a number.

    The function gets two records of the gold data model, the prediction with what else it has (``thinking``); with a
    mask, records of the fields that it keeps. It is not asked about an invalid output, which is worth ``invalid``: 0.0
    when not given, and to be given when smaller is better, where 0.0 would often be the best. The metric of no examples
    is NaN.

    Parameters
    ----------
    fn
        A plain function, or a reward that asks no language model, such as ``ExactMatch()`` (for an async function use a
        reward: ``RewardFunctionWrapper``). What it raises is raised as it is, and a value that is no finite number is
        an error: neither is a score.
    name
        How the metric is called; the function's name when None.
    direction
        ``max`` or ``min``: what is better.
    in_mask, out_mask
        The fields to keep, or to drop; all of them, and what else the prediction has, without either.
    kwargs
        Given to the function in each call.
    """

    kind = "share"

    def __init__(
        self,
        fn: Callable[[Any, Any], Any],
        name: str | None = None,
        *,
        direction: Direction = "max",
        invalid: float | None = None,
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.fn = fn
        self.name = name or str(getattr(fn, "__name__", getattr(fn, "name", "mean_metric")))
        if direction not in ("max", "min"):
            raise UsageError(f"{self.name}: direction must be 'max' or 'min' (got {direction!r})")
        if direction == "min" and invalid is None:
            raise UsageError(f"{self.name}: smaller is better, so say what an invalid output is worth: invalid=…")
        check_function(fn, kwargs, self.name)
        self._is_reward = hasattr(fn, "calls_per_example")
        if fn.calls_per_example if self._is_reward else _is_async(fn):  # type: ignore[attr-defined]
            raise UsageError(f"{self.name}: a metric's function cannot be async; as a reward it can")
        self.direction = direction
        self.invalid = 0.0 if invalid is None else as_number(invalid)
        if not math.isfinite(self.invalid):
            raise UsageError(f"{self.name}: invalid must be a finite number (got {invalid!r})")
        self.mask = Mask.of(in_mask, out_mask)
        self.kwargs = kwargs
        self._model: type[BaseModel] | None = None
        self._open_model: type[BaseModel] | None = None

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        model = part_model(data_model, self.mask.fields(data_model)) if self.mask else data_model
        extra = "ignore" if self.mask else "allow"
        bound._model = model
        bound._open_model = create_model(model.__name__, __base__=model, __cls_kwargs__={"extra": extra})
        if self._is_reward:
            bound.fn = self.fn.bind(model)  # type: ignore[attr-defined]
        return bound

    def statistics(self, y_true: Record, y_pred: Record | None) -> Array:
        """The example's value, and 1."""
        if y_pred is None:
            return np.array([self.invalid, 1.0])
        assert self._model is not None and self._open_model is not None, "statistics() before bind()"
        true, pred = (self._record(values) for values in (y_true, y_pred))
        value = self.fn(true, pred, **self.kwargs)
        if inspect.iscoroutine(value):
            value = _at_once(value, start=self._is_reward)
        number = as_number(value)
        if not math.isfinite(number):
            raise UsageError(f"{self.name} must give a finite number (got {value!r})")
        return np.array([number, 1.0])

    def reduce(self, totals: Array) -> Array:
        return mean(totals)

    def _record(self, values: Record) -> BaseModel:
        assert self._model is not None and self._open_model is not None
        extra = set(values) - set(self._model.model_fields)
        return (self._open_model if extra else self._model).model_validate_json(json.dumps(values))


def check_function(fn: Any, kwargs: Mapping[str, Any], name: str) -> None:
    """Raise UsageError for what cannot be called with two records and ``kwargs``."""
    if not callable(fn) or isinstance(fn, type):
        raise UsageError(f"{name}: fn must be a function of (y_true, y_pred) (got {fn!r})")
    try:
        signature = inspect.signature(fn)
    except ValueError:  # written in C
        return
    try:
        signature.bind(None, None, **kwargs)
    except TypeError as error:
        raise UsageError(
            f"{name}: fn must take (y_true, y_pred{''.join(f', {key}' for key in kwargs)}): {error}"
        ) from None


def as_number(value: Any) -> float:
    """What a function gave as a float (bools and NumPy's numbers too); NaN where it is no number."""
    try:
        return math.nan if isinstance(value, str | bytes) else float(value)
    except (OverflowError, TypeError, ValueError):
        return math.nan


def _is_async(fn: Any) -> bool:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def _at_once(coroutine: Coroutine[Any, Any, Any], *, start: bool) -> Any:
    """What a coroutine gives that waits for nothing, if it may ``start``."""
    try:
        if start:
            coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    return "a coroutine"
