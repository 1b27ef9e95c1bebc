"""reports/trials.csv: one row a trial, every hyperparameter and every metric with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from paretune.metrics.invalid import invalid_kinds, invalid_shares
from paretune.reporting.results import Result
from paretune.wording import exact

if TYPE_CHECKING:
    import pandas

__all__ = ["hyperparameter_names", "metric_names", "trial_table"]

_COUNTS = ["n", "calls", "retries", "prompt_tokens", "completion_tokens"]
_PLACES = ["feasible", "on_frontier", "frontier_probability", "dropped_by", "dropped_why"]
_AMOUNTS = ["cost_usd", "latency_s", "score"]


def hyperparameter_names(results: Sequence[Result]) -> list[str]:
    """The hyperparameters of all trials in order of first appearance."""
    return list(dict.fromkeys(name for result in results for name in result.record.values))


def metric_names(results: Sequence[Result]) -> list[str]:
    """The validation metrics of all trials in order of first appearance."""
    return list(dict.fromkeys(name for result in results for name in result.metrics))


def trial_table(results: Sequence[Result]) -> pandas.DataFrame:
    """The table of trials, one row each in the order given; what a trial does not have is an empty cell.

    Columns: ``trial``, ``status``, the hyperparameters (one that is called like another column gets the prefix
    ``hp_``), each validation metric with ``_lo`` and ``_hi`` (with several replicates also ``_se``, the standard error
    of their mean), then the share of each kind of invalid output that occurs (``invalid_cut_off``), counts, costs
    (USD), seconds, ``feasible`` (it keeps every constraint), ``on_frontier`` (of the feasible) and
    ``frontier_probability`` (how often so with other examples). Where a race has dropped trials: ``dropped_by``, the
    trial that was shown to be better, and ``dropped_why``; ``n`` tells after how many examples.
    """
    import pandas

    metrics = metric_names(results)
    fixed = {"trial", "status", "replicates", *_COUNTS, *_AMOUNTS, *_PLACES}
    fixed.update(f"{name}{end}" for name in metrics for end in ("", "_lo", "_hi", "_se"))
    replicated = any(result.record.standard_errors for result in results)
    columns: dict[str, Any] = {
        "trial": [result.record.trial for result in results],
        "status": [result.record.status for result in results],
    }
    for name in hyperparameter_names(results):
        cells = [result.record.values.get(name) for result in results]
        columns[f"hp_{name}" if name in fixed else name] = pandas.Series(cells, dtype=object)
    for name in metrics:
        measurements = [result.metric(name) for result in results]
        columns[name] = [exact(each.value) for each in measurements]
        columns[f"{name}_lo"] = [exact(each.lo) for each in measurements]
        columns[f"{name}_hi"] = [exact(each.hi) for each in measurements]
        if replicated:
            errors = [result.record.standard_errors.get(name) for result in results]
            columns[f"{name}_se"] = pandas.Series([exact(each) for each in errors], dtype="Float64")
    shares = [invalid_shares(result.record.outcomes) for result in results]
    for kind in invalid_kinds([outcome for result in results for outcome in result.record.outcomes]):
        columns[f"invalid_{kind}"] = [exact(share.get(kind, 0.0)) for share in shares]
    columns["replicates"] = [len(result.record.replicates) for result in results]
    for name in _COUNTS:
        columns[name] = [getattr(result.record, name) for result in results]
    for name in _AMOUNTS:
        columns[name] = pandas.Series([exact(getattr(result.record, name)) for result in results], dtype="Float64")
    columns["feasible"] = [result.feasible for result in results]
    columns["on_frontier"] = [result.on_frontier for result in results]
    chances = [exact(result.frontier_probability) for result in results]
    columns["frontier_probability"] = pandas.Series(chances, dtype="Float64")
    races = [result.record.dropped for result in results]
    if any(races):
        columns["dropped_by"] = [None if dropped is None else dropped.by for dropped in races]
        columns["dropped_why"] = [None if dropped is None else dropped.why for dropped in races]
    return pandas.DataFrame(columns)
