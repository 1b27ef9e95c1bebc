"""A cell of imported results: what one configuration was worth on one item."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from paretune.datasets.conversions import as_float
from paretune.errors import DataError
from paretune.metrics.outcome import Outcome

__all__ = ["Cell", "amount", "answered", "failed", "text_of"]


class Cell(NamedTuple):
    """``values`` are the configuration's hyperparameters, ``item`` names the example, whose texts are ``x`` (the input)
    and ``y`` (the right answer), as far as they are known; ``metrics`` are further numbers, None where one is missing.
    """

    values: dict[str, Any]
    item: str
    outcome: Outcome
    x: dict[str, Any]
    y: dict[str, Any]
    metrics: Mapping[str, float | None] = {}


def answered(
    reward: float,
    answer: Any = None,
    *,
    calls: int = 1,
    prompt_tokens: float | None = None,
    completion_tokens: float | None = None,
    cost_usd: float | None = None,
    latency_s: float | None = None,
) -> Outcome:
    """The outcome of a scored item; what is None is not known."""
    output = {} if answer is None else {"answer": text_of(answer)}
    prompt, completion = (None if each is None else round(each) for each in (prompt_tokens, completion_tokens))
    return Outcome("ok", output, reward, calls, prompt, completion, cost_usd, latency_s)


def failed(reason: str) -> Outcome:
    """The outcome of an item that was not scored."""
    return Outcome("failed", None, None, 0, 0, 0, 0.0, 0.0, error=reason)


def text_of(value: Any) -> str:
    """A text as it is; any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def amount(value: Any, where: str, *, least: float = -math.inf) -> float | None:
    """A number of a cell; None for an empty one and for NaN. Raises DataError that begins with ``where``."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    try:
        number = as_float(value)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
    if not least <= number < math.inf:
        raise DataError(
            f"{where}: must be a number{'' if least == -math.inf else f' of at least {least:g}'} (got {value!r})"
        )
    return number
