"""Small made-up searches with the measures of their validation examples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from paretune.metrics.metric import mean
from paretune.reporting.results import Result, results
from paretune.stats import Measure
from paretune.trials.goals import Goals, Objective, as_goals
from paretune.trials.record import ReplicateRecord, TrialRecord

REWARD = Objective("val_reward", "max")
F1 = Objective("val_f1", "max")
TOKENS = Objective("val_tokens_per_request", "min")
N = 80


def ratio(name: str, values: Any, direction: str = "max") -> Measure:
    """A mean over examples; as in the metrics, only a reward is a share."""
    column = np.asarray(values, dtype=float)
    statistics = np.stack([column, np.ones_like(column)], axis=1)
    return Measure(name, direction, statistics, mean, "share" if name == "reward" else "mean")


def numbers(right: int, tokens: float, n: int = N) -> list[Measure]:
    """``right`` of n examples answered correctly, with about ``tokens`` tokens each, and a reward-like F1."""
    answers = np.arange(n) < right
    spread = np.linspace(-10, 10, n)
    return [
        ratio("reward", answers),
        ratio("f1", 0.9 * answers),
        ratio("tokens_per_request", tokens + spread, "min"),
    ]


def trial(name: str, values: Mapping[str, Any], right: int, tokens: float) -> TrialRecord:
    """A completed trial."""
    share = right / N
    metrics = {"val_reward": share, "val_f1": 0.9 * share, "val_tokens_per_request": tokens, "reward": 0.99}
    return TrialRecord(
        trial=name, status="COMPLETED", values=dict(values), score=-share, metrics=metrics, calls=160, retries=3,
        prompt_tokens=9000, completion_tokens=400, cost_usd=0.5, latency_s=0.2, n=N,
        replicates=(ReplicateRecord(metrics, 0, {}, ()),),
    )  # fmt: skip


def failed(name: str = "0009", calls: int = 12, cost_usd: float | None = 0.25) -> TrialRecord:
    """A failed trial."""
    return TrialRecord(
        trial=name, status="FAILED", values={"few_shot": 16, "structured_output": True}, calls=calls, prompt_tokens=10,
        cost_usd=cost_usd, n=N, error="boom",
    )  # fmt: skip


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


def measures_of(records: Iterable[TrialRecord]) -> dict[str, list[Measure]]:
    """The measures of the completed trials, by trial."""
    return {
        record.trial: numbers(round(record.metrics["val_reward"] * N), record.metrics["val_tokens_per_request"])
        for record in records
        if record.completed
    }


def goals(*objectives: Objective, constraints: Sequence[str] = ()) -> Goals:
    """What a search aims at."""
    return as_goals(list(objectives), constraints)


def resolved(
    records: Sequence[TrialRecord] = TRIALS,
    objectives: Sequence[Objective] = (REWARD, TOKENS),
    constraints: Sequence[str] = (),
) -> list[Result]:
    """The trials with their intervals."""
    return results(records, measures_of(records), goals(*objectives, constraints=constraints), WINNER, resamples=200)


def has_nan(value: Any) -> bool:
    """Whether a JSON-like value holds a NaN or an infinity anywhere."""
    if isinstance(value, dict):
        return any(has_nan(each) for each in value.values())
    if isinstance(value, list):
        return any(has_nan(each) for each in value)
    return isinstance(value, float) and not math.isfinite(value)
