"""Every number that a trial is judged by, in one form: the reward, the metrics, and what the calls took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from paretune.metrics.metric import Array, Metric, Record, mean
from paretune.metrics.outcome import Outcome, total
from paretune.stats.measure import Direction, Kind, Measure

__all__ = ["OPERATIONAL", "mean_of_replicates", "measures_of"]


def _per_example(value: Callable[[Outcome], float | None]) -> Callable[[Outcome], tuple[float, float]]:
    return lambda outcome: (_number(value(outcome)), 1.0)


def _per_call(value: Callable[[Outcome], float | None]) -> Callable[[Outcome], tuple[float, float]]:
    return lambda outcome: (_number(value(outcome)), float(outcome.calls))


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


#: Operational measures, all better when smaller: US dollars and tokens an example (that of a program with several
#: calls takes those of all), mean seconds a call, shares.
OPERATIONAL: dict[str, Callable[[Outcome], tuple[float, float]]] = {
    "cost": _per_example(lambda outcome: outcome.cost_usd),
    "latency": _per_call(lambda outcome: outcome.latency_s),
    "tokens_per_request": _per_example(lambda outcome: total([outcome.prompt_tokens, outcome.completion_tokens])),
    "failure_rate": _per_example(lambda outcome: outcome.status == "failed"),
    "invalid_rate": _per_example(lambda outcome: outcome.status == "invalid"),
}


def measures_of(outcomes: Sequence[Outcome], y_true: Sequence[Record], metrics: Sequence[Metric]) -> list[Measure]:
    """The reward, the metrics (bound to the gold data model) and the operational measures of some outcomes.

    A metric that is not scalar gives one measure a class, ``<metric>_<class>``.
    """
    measures = [_ratio_measure("reward", "max", outcomes, _per_example(lambda outcome: outcome.reward))]
    for metric in metrics:
        rows = [metric.statistics(true, outcome.output) for outcome, true in zip(outcomes, y_true, strict=True)]
        scored = [
            np.zeros_like(row) if outcome.status == "failed" else row
            for row, outcome in zip(rows, outcomes, strict=True)
        ]
        measures += _metric_measures(metric, scored)
    measures += [_ratio_measure(name, "min", outcomes, value) for name, value in OPERATIONAL.items()]
    return measures


def mean_of_replicates(replicates: Sequence[Sequence[Measure]]) -> list[Measure]:
    """Each measure's mean over replicates of the same examples, as one measure.

    Its statistics are those of the replicates side by side, (n, K k): n * K answers stay n independent examples, and a
    resample of the examples takes an example with all its replicates.
    """
    if len(replicates) == 1:
        return list(replicates[0])
    return [_mean_measure(measures) for measures in zip(*replicates, strict=True)]


def _mean_measure(measures: Sequence[Measure]) -> Measure:
    count, first = len(measures), measures[0]

    def reduce(totals: Array) -> Array:
        parts = np.split(totals, count, axis=-1)
        return np.asarray(np.mean([first.reduce(part) for part in parts], axis=0))

    statistics = np.concatenate([measure.statistics for measure in measures], axis=1)
    pseudo = first.pseudo and first.pseudo._replace(rows=np.tile(first.pseudo.rows, count))
    return replace(first, statistics=statistics, reduce=reduce, pseudo=pseudo)


def _ratio_measure(
    name: str,
    direction: Direction,
    outcomes: Sequence[Outcome],
    value: Callable[[Outcome], tuple[float, float]],
) -> Measure:
    keep_failed = name == "failure_rate"
    rows = [(0.0, 0.0) if outcome.status == "failed" and not keep_failed else value(outcome) for outcome in outcomes]
    kind: Kind = "share" if name == "reward" or name.endswith("_rate") else "mean"
    return Measure(name, direction, np.array(rows, np.float64).reshape(-1, 2), mean, kind)


def _metric_measures(metric: Metric, rows: Sequence[Array]) -> list[Measure]:
    names = [metric.name] if metric.scalar else [f"{metric.name}_{label}" for label in metric.classes]
    if not rows:  # then nothing tells the number of statistics, and every value is NaN
        return [Measure(name, metric.direction, np.zeros((0, 2)), mean, "mean") for name in names]
    statistics = np.array(rows, np.float64)
    reduces = [metric.reduce] if metric.scalar else [_class_value(metric, index) for index in range(len(names))]
    pseudo = metric.pseudo_examples(statistics)
    return [
        Measure(name, metric.direction, statistics, reduce, metric.kind, pseudo)
        for name, reduce in zip(names, reduces, strict=True)
    ]


def _class_value(metric: Metric, index: int) -> Callable[[Array], Array]:
    return lambda totals: np.asarray(metric.reduce(totals)[..., index])
