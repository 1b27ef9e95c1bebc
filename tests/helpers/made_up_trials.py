"""Small made-up searches with the measures of their validation examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paretune.reporting.results import Objective, Result, results

REWARD = Objective("val_reward", "max")
F1 = Objective("val_f1", "max")
TOKENS = Objective("val_tokens_per_request", "min")
N = 80


@dataclass(frozen=True)
class Number:
    """A measure as the metrics make it: a ratio of two sums."""

    name: str
    direction: str
    statistics: Any
    reduce: Callable[[Any], Any] = lambda totals: totals[..., 0] / totals[..., 1]
    proportion: bool = False


def ratio(name: str, values: Any, direction: str = "max") -> Number:
    """A mean over examples; as in the metrics, only a reward is a proportion."""
    column = np.asarray(values, dtype=float)
    statistics = np.stack([column, np.ones_like(column)], axis=1)
    return Number(name, direction, statistics, proportion=name == "reward")


def numbers(right: int, tokens: float, n: int = N) -> list[Number]:
    """``right`` of n examples answered correctly, with about ``tokens`` tokens each, and a reward-like F1."""
    answers = np.arange(n) < right
    spread = np.linspace(-10, 10, n)
    return [
        ratio("reward", answers),
        ratio("f1", 0.9 * answers),
        ratio("tokens_per_request", tokens + spread, "min"),
    ]


def trial(name: str, values: Mapping[str, Any], right: int, tokens: float) -> dict[str, Any]:
    """A completed trial's row."""
    share = right / N
    metrics = {"val_reward": share, "val_f1": 0.9 * share, "val_tokens_per_request": tokens, "reward": 0.99}
    return {
        "trial": name, "status": "COMPLETED", "values": dict(values), "score": -share, "metrics": metrics,
        "standard_errors": {}, "calls": 160, "retries": 3, "prompt_tokens": 9000, "completion_tokens": 400,
        "cost_usd": 0.5, "latency_s": 0.2, "n": N, "error": None, "best_replicate": 0,
        "replicates": [{"metrics": metrics, "epoch": 0, "state": {}, "examples": [], "reached": None}],
    }  # fmt: skip


def failed(name: str = "0009", calls: int = 12) -> dict[str, Any]:
    """A failed trial's row."""
    return {
        "trial": name, "status": "FAILED", "values": {"few_shot": 16, "structured_output": True}, "score": None,
        "metrics": {}, "standard_errors": {}, "calls": calls, "retries": 0, "prompt_tokens": 10, "completion_tokens": 0,
        "cost_usd": 0.25, "latency_s": None, "n": None, "error": "boom", "best_replicate": 0,
        "replicates": [],
    }  # fmt: skip


GRID = [
    ("0001", 0, False, 30, 150.0),
    ("0002", 0, True, 28, 165.0),
    ("0003", 2, False, 40, 230.0),
    ("0004", 2, True, 44, 240.0),
    ("0005", 4, False, 43, 320.0),
    ("0006", 4, True, 54, 335.0),
    ("0007", 8, False, 50, 500.0),
    ("0008", 8, True, 56, 515.0),
]
TRIALS = [
    trial(name, {"few_shot": few, "structured_output": structured, "temperature": 0.0}, right, tokens)
    for name, few, structured, right, tokens in GRID
]
WINNER = "0006"


def measures_of(row: Mapping[str, Any]) -> list[Number]:
    """The measures of a completed trial."""
    return numbers(round(row["metrics"]["val_reward"] * N), row["metrics"]["val_tokens_per_request"])


def resolved(
    trials: Sequence[Mapping[str, Any]] = TRIALS, objectives: Sequence[Objective] = (REWARD, TOKENS)
) -> list[Result]:
    return results(trials, measures_of, objectives, WINNER, resamples=200)


def has_nan(value: Any) -> bool:
    """Whether a JSON-like value holds a NaN or an infinity anywhere."""
    if isinstance(value, dict):
        return any(has_nan(each) for each in value.values())
    if isinstance(value, list):
        return any(has_nan(each) for each in value)
    return isinstance(value, float) and not math.isfinite(value)
