"""What the page knows when it opens: the search, its winner, and a row a trial. Everything is computed here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import NormalDist
from typing import Any

import numpy as np

from paretune.reporting.frontier_rows import axes, labels
from paretune.reporting.html.importance import importance
from paretune.reporting.results import Result, unsettled
from paretune.reporting.tables import hyperparameter_names, metric_names
from paretune.stats import Measure, detectable_difference
from paretune.trials.winner import Best
from paretune.wording import exact, metric_words, words

__all__ = ["facts"]

_DROPPED = ("by", "why", "saved")


def facts(
    found: Sequence[Result],
    measures: Mapping[str, Sequence[Measure]],
    best: Best,
    *,
    title: str,
    numbers: Mapping[str, Any] | None = None,
    references: Mapping[str, float] | None = None,
    x: str | None = None,
    y: str | None = None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """The facts as JSON values; what is not known is None. ``numbers`` is the content of detail.json, None where no
    test was made; the other arguments are those of ``report``."""
    goals = best.goals
    pairs = axes(goals.objectives, x, y)
    across, up = (pairs[0][0].name, pairs[0][1].name) if pairs else ("trial", goals.objectives[0].name)
    varied = _varied(found)
    n = max((result.record.n for result in found if result.record.completed), default=0)
    return {
        "title": title,
        "confidence": confidence,
        "z": exact(NormalDist().inv_cdf((1 + confidence) / 2)),
        "n": n,
        "axes": {"x": across, "y": up},
        "objectives": [asdict(objective) for objective in goals.objectives],
        "constraints": [constraint.describe() for constraint in goals.constraints],
        "metrics": _metrics(found, measures, best),
        "hyperparameters": [
            {"name": name, "label": words(name), "varied": name in varied} for name in hyperparameter_names(found)
        ],
        "winner": {
            "trial": best.trial,
            "rule": asdict(best.rule),
            "why": best.why,
            "doubt": best.doubt,
            "stopped": best.stopped,
            "unsettled": unsettled(found) if len(goals.objectives) > 1 else "",
            "runner_up": _runner_up(found, best),
            "close": list(best.confidence_set),
            "detectable": _detectable(measures, best, n, numbers),
        },
        "numbers": numbers,
        "references": {name: exact(value) for name, value in (references or {}).items()},
        "importance": _importance(found, varied, best),
        "trials": [_trial(result, parts) for result, parts in zip(found, labels(found), strict=True)],
    }


def _runner_up(found: Sequence[Result], best: Best) -> str | None:
    """The best of the other trials by the score."""
    others = [result.record for result in found if result.record.completed and not result.is_winner]
    order = best.goals.order([record.metrics for record in others])
    return others[order[0]].trial if order else None


def _varied(found: Sequence[Result]) -> list[str]:
    return [
        name
        for name in hyperparameter_names(found)
        if len({repr(result.record.values.get(name)) for result in found}) > 1
    ]


def _metrics(found: Sequence[Result], measures: Mapping[str, Sequence[Measure]], best: Best) -> list[dict[str, Any]]:
    directions: dict[str, str] = {f"val_{each.name}": each.direction for group in measures.values() for each in group}
    directions |= {objective.name: objective.direction for objective in best.goals.objectives}
    return [
        {"name": name, "label": metric_words(name), "direction": directions.get(name)} for name in metric_names(found)
    ]


def _trial(result: Result, parts: Sequence[str]) -> dict[str, Any]:
    record = result.record
    kinds = Counter(
        "failed" if outcome.status == "failed" else outcome.kind or "malformed"
        for outcome in record.outcomes
        if outcome.status != "ok"
    )
    return {
        "trial": record.trial,
        "status": record.status,
        "label": ", ".join(parts),
        "values": record.values,
        "metrics": {name: list(map(exact, result.displayed(name))) for name in result.metrics},
        "errors": {name: exact(error) for name, error in record.standard_errors.items()},
        "probability": exact(result.frontier_probability),
        "drawn": result.drawn,
        "frontier": result.on_frontier,
        "feasible": result.feasible,
        "winner": result.is_winner,
        "score": exact(record.score),
        "n": record.n,
        "replicates": len(record.replicates),
        "calls": record.calls,
        "retries": record.retries,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "cost_usd": exact(record.cost_usd),
        "error": record.error,
        "dropped": None if record.dropped is None else {name: getattr(record.dropped, name) for name in _DROPPED},
        "invalid": dict(sorted(kinds.items())),
    }


def _importance(found: Sequence[Result], varied: Sequence[str], best: Best) -> dict[str, list[dict[str, Any]]]:
    """By objective, the varied hyperparameters with their share of its variance, the largest first; a trial that was
    dropped counts by the examples that it ran, or the worst values of a hyperparameter would be missing."""
    scored = [result for result in found if not result.record.failed]
    shares = {}
    for objective in best.goals.objectives:
        values = [result.metric(objective.name).value for result in scored]
        rows: list[dict[str, Any]] = []
        for name in varied:
            share, groups = importance([result.record.values.get(name) for result in scored], values)
            rows.append({"name": name, "share": exact(share), "groups": groups})
        shares[objective.name] = sorted(rows, key=lambda row: (row["share"] is None, -(row["share"] or 0.0)))
    return shares


def _detectable(
    measures: Mapping[str, Sequence[Measure]], best: Best, n: int, numbers: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The smallest difference of rewards, yes or no, that these many examples show with a power of 0.8: taking that two
    trials differ on as large a share of the examples as the winner and the others do (the median)."""
    rewards = {trial: next(each for each in group if each.name == "reward") for trial, group in measures.items()}
    mine = rewards.pop(best.trial).example_values
    shares = []
    for other in rewards.values():
        both = ~np.isnan(mine) & ~np.isnan(other.example_values)
        pair = np.stack([mine, other.example_values])[:, both]
        if both.any() and np.isin(pair, (0.0, 1.0)).all():
            shares.append(float((pair[0] != pair[1]).mean()))
    differing = float(np.median(shares)) if shares else 0.0
    if not 0 < differing <= 1:
        return None
    tested = (numbers or {}).get("test", {}).get("n")
    sizes = {"validation": n} | ({} if tested is None else {"test": tested})
    found = {part: detectable_difference(size, differing) for part, size in sizes.items()}
    if any(map(math.isnan, found.values())):
        return None
    return {"differing": exact(differing), **{part: exact(value) for part, value in found.items()}}
