"""The numbers of an evaluation: all of them (reports/detail.json), and the few that people compare
(reports/metrics.json), which DVC shows as columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paretune.errors import DataError
from paretune.metrics.invalid import invalid_shares
from paretune.programs.running import Evaluation
from paretune.reporting.judge_summary import judge_summary
from paretune.reporting.results import shared_bootstrap
from paretune.reporting.volume import volume_axes
from paretune.stats import (
    Bootstrap,
    Interval,
    Measure,
    confidence_at,
    difference,
    holm,
    hypervolume_of,
    intervals_of,
    newcombe,
    scaled_volume,
)
from paretune.trials.correction import corrected_reward
from paretune.trials.frontier import FrontierDraws, frontier, frontier_draws
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord, race_savings
from paretune.trials.winner import Best
from paretune.wording import exact, one_line

__all__ = ["compared", "detail_json", "evaluation_summary", "search_summary"]

Scalars = dict[str, Any]
_GAIN = ("reward", "reward_lo", "reward_hi")
_SEARCH = ("frontier_size", "hypervolume", "lm_calls", "cost_usd")
_LEFT_OUT = {"latency"}  # it says more about the machine than about the configuration: trials.csv has it


def detail_json(
    *,
    winner: Best,
    tested: Mapping[str, Evaluation],
    looks: int,
    records: Sequence[TrialRecord],
    measures: Mapping[str, Sequence[Measure]],
    baseline: Evaluation | None = None,
    majority: Mapping[str, float] | None = None,
    human: Sequence[float | None] | None = None,
    references: Mapping[str, float] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Scalars]:
    """The whole of detail.json; a number without a value or an interval is left out, so no NaN appears.

    ``tested`` has the winner on the test examples, and other trials that were tested as well; ``looks`` is how many
    configurations were tested on them by now, which the intervals there allow for (see ``confidence_at``).
    ``baseline`` is the declared baseline on the same examples (DataError when their numbers differ). ``majority`` holds
    the reward and metrics of always giving the most common training output, ``human`` people's scores of the winner's
    answers on test, for section ``judge`` (see ``judge_summary``). ``records`` are all trials, ``measures`` those of
    the completed ones on the validation examples; ``references`` are those of ``volume_axes``.

    ``val.corrected`` is the winner's reward there corrected for its choice, ``optimism.reward`` validation minus test.
    ``gain.reward`` is test minus baseline on the ``gain.n`` examples that both scored, in pairs; ``gain.p_mcnemar``
    tests answers that are right or wrong, ``gain.p_holm`` is the same corrected for all that were tested.
    """
    strict = confidence_at(looks, confidence)

    def numbers(evaluation: Evaluation, level: float) -> Scalars:
        return evaluation_summary(evaluation, confidence=level, resamples=resamples, seed=seed)

    test = numbers(tested[winner.trial], strict)
    plain = test if strict == confidence else numbers(tested[winner.trial], confidence)
    record = next(record for record in records if record.trial == winner.trial)
    val = Evaluation(record.outcomes, tuple(measures[winner.trial]))
    corrected = _corrected(
        winner, records, measures, shared_bootstrap(measures.values(), resamples=resamples, seed=seed), confidence
    )
    sections: dict[str, Scalars] = {
        "winner": {
            "trial": int(winner.trial),
            "hyperparameters": dict(record.values),
            "rule": winner.rule.name,
            "why": winner.why,
            "doubt": winner.doubt,
        },
        "test": test | {"looks": looks},
        "val": numbers(val, confidence) | corrected,
    }
    sections["optimism"] = _optimism(sections["val"], plain)
    others = {f"frontier_{name}": each for name, each in tested.items() if name != winner.trial}
    sections |= {name: numbers(each, strict) for name, each in others.items()}
    if baseline is not None:
        sections["baseline"] = numbers(baseline, confidence)
        gaining = {"gain" if name == winner.trial else f"gain_{name}": each for name, each in tested.items()}
        sections |= _gains(gaining, baseline, confidence=strict, resamples=resamples, seed=seed)
    sections["majority"] = _scalars(majority or {})
    sections["judge"] = _scalars(judge_summary(tested[winner.trial].outcomes, human or (), confidence))
    draws = frontier_draws(records, measures, winner.goals, resamples=resamples, seed=seed)
    sections["search"] = search_summary(records, winner.goals, references, draws, confidence)
    return {name: section for name, section in sections.items() if section}


def compared(detail: Mapping[str, Scalars]) -> dict[str, Scalars]:
    """metrics.json: of detail.json the numbers that people compare, and which configuration won.

    ``test`` has each metric, the reward with its interval. ``winner`` has the trial and its hyperparameters (one
    that is called ``trial`` is there as ``hp_trial``), each a scalar of at most 40 characters.
    """
    values: Mapping[str, Any] = detail["winner"]["hyperparameters"]
    winner = {f"hp_{name}" if name == "trial" else name: _cell(value) for name, value in values.items()}
    found = {
        "test": {name: number for name, number in detail["test"].items() if _is_compared(name, detail["test"])},
        "gain": _only(detail.get("gain", {}), _GAIN),
        "optimism": _only(detail["optimism"], ("reward",)),
        "winner": {"trial": detail["winner"]["trial"]} | winner,
        "search": _only(detail["search"], _SEARCH),
    }
    return {name: section for name, section in found.items() if section}


def _is_compared(name: str, numbers: Scalars) -> bool:
    """Not the ends of intervals but the reward's, no counts, and of what was invalid the sum."""
    if name in ("reward_lo", "reward_hi", "invalid_rate"):
        return True
    is_end = name.endswith(("_lo", "_hi")) and name[:-3] in numbers
    return not is_end and name not in ("n", "failures", "failure_rate") and not name.startswith("invalid_")


def _only(numbers: Scalars, names: Sequence[str]) -> Scalars:
    return {name: numbers[name] for name in names if name in numbers}


def _cell(value: Any) -> str | float | bool | None:
    """A hyperparameter's value for a table: lists as text, long texts cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return one_line(value)


def evaluation_summary(
    evaluation: Evaluation, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Scalars:
    """Each measure with ``_lo`` and ``_hi``, the share of each kind of invalid output that occurs
    (``invalid_cut_off``), then ``n`` (examples) and ``failures``."""
    shown = [measure for measure in evaluation.measures if measure.name not in _LEFT_OUT]
    bootstrap = shared_bootstrap([shown], resamples=resamples, seed=seed)
    found: dict[str, float | int] = {}
    for measure, (lo, hi) in zip(shown, intervals_of(shown, bootstrap, confidence), strict=True):
        found |= {measure.name: measure.value, f"{measure.name}_lo": lo, f"{measure.name}_hi": hi}
    found |= {f"invalid_{kind}": share for kind, share in invalid_shares(evaluation.outcomes).items()}
    failures = sum(outcome.status == "failed" for outcome in evaluation.outcomes)
    return _scalars(found) | {"n": bootstrap.n, "failures": failures}


def search_summary(
    records: Sequence[TrialRecord],
    goals: Goals,
    references: Mapping[str, float] | None = None,
    draws: FrontierDraws | None = None,
    confidence: float = 0.95,
) -> Scalars:
    """Counts of trials, the frontier's size, the hypervolume in [0, 1], LM calls, retries and US dollars.

    Frontier and hypervolume are those of the trials that keep the constraints; with ``draws`` the hypervolume has an
    interval, and a value corrected for its bias. Where a race has dropped trials, their number and that of the calls
    saved are there too.
    Calls and dollars are those of all trials, failed ones too, as if nothing had been served from the ledger. When a
    trial that made calls has no known cost, the sum is not known either and ``cost_usd`` is left out.
    """
    completed = [record for record in records if record.completed]
    costs = [record.cost_usd for record in records if record.calls or record.cost_usd]
    counts: Scalars = {
        "trials": len(records),
        "completed": len(completed),
        "failed": sum(record.failed for record in records),
        "frontier_size": sum(frontier(records, goals)),
        "lm_calls": sum(record.calls for record in records),
        "retries": sum(record.retries for record in records),
    }
    if any(record.dropped for record in records):
        counts |= race_savings(records)
    points = np.asarray([goals.point(record.metrics) for record in completed if goals.feasible(record.metrics)])
    axes = volume_axes(goals.objectives, references)
    spent = math.fsum(math.nan if cost is None else cost for cost in costs)
    if draws is None:
        return counts | _scalars({"hypervolume": scaled_volume(points, axes), "cost_usd": spent})
    volume, lo, hi, plug_in = hypervolume_of(points, axes, draws.values, confidence)
    volumes = {"hypervolume": plug_in, "hypervolume_corrected": volume, "hypervolume_lo": lo, "hypervolume_hi": hi}
    return counts | _scalars({**volumes, "cost_usd": spent})


def _optimism(val: Scalars, test: Scalars) -> Scalars:
    """Validation minus test: other examples, so the interval is made of the two's own."""
    (first, lo, hi), (second, low, high) = (
        [numbers.get(f"reward{end}", math.nan) for end in ("", "_lo", "_hi")] for numbers in (val, test)
    )
    ends = newcombe(first, Interval(lo, hi), second, Interval(low, high))
    return _scalars({"reward": first - second, "reward_lo": ends.lo, "reward_hi": ends.hi})


def _corrected(
    winner: Best,
    records: Sequence[TrialRecord],
    measures: Mapping[str, Sequence[Measure]],
    bootstrap: Bootstrap,
    confidence: float,
) -> Scalars:
    """The winner's reward on validation as if other examples had chosen it."""
    if not winner.goals.feasible(winner.metrics):
        return {}
    completed = [record for record in records if record.completed]
    found = corrected_reward(completed, measures, winner.goals, winner.rule, bootstrap, confidence)
    if found is None:
        return {}
    return _scalars({"corrected": found.value, "corrected_lo": found.lo, "corrected_hi": found.hi})


def _gains(
    tested: Mapping[str, Evaluation], baseline: Evaluation, *, confidence: float, resamples: int, seed: int
) -> dict[str, Scalars]:
    """What each gains over the baseline, with Holm's correction where there are several."""
    gains = {
        name: _gain(each, baseline, confidence=confidence, resamples=resamples, seed=seed)
        for name, each in tested.items()
    }
    if len(gains) > 1:
        known = [name for name, gain in gains.items() if "p_mcnemar" in gain]
        for name, p_value in zip(known, holm([float(gains[name]["p_mcnemar"]) for name in known]), strict=True):
            gains[name] |= _scalars({"p_holm": p_value})
    return gains


def _gain(test: Evaluation, baseline: Evaluation, *, confidence: float, resamples: int, seed: int) -> Scalars:
    first, second = _measure(test, "reward"), _measure(baseline, "reward")
    if first is None or second is None:
        return {}
    if len(first.statistics) != len(second.statistics):
        raise DataError(
            "the winner and the baseline are compared on the same test examples "
            f"(got {len(first.statistics)} and {len(second.statistics)})"
        )
    bootstrap = shared_bootstrap([[first]], resamples=resamples, seed=seed)
    value, lo, hi, n, p_value = difference(first, second, bootstrap, confidence)
    return _scalars({"reward": value, "reward_lo": lo, "reward_hi": hi, "p_mcnemar": p_value}) | {"n": n}


def _measure(evaluation: Evaluation, name: str) -> Measure | None:
    return next((measure for measure in evaluation.measures if measure.name == name), None)


def _scalars(numbers: Mapping[str, float | None]) -> Scalars:
    """What can be written: rounded numbers, without those that are not known."""
    return {name: number for name, each in numbers.items() if (number := exact(each)) is not None}
