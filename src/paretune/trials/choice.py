"""The winner of a search, and why it is that one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from paretune.errors import SearchError
from paretune.stats.measure import Array, Measure
from paretune.stats.resampling import BayesianBootstrap
from paretune.stats.selection import best_set
from paretune.trials.goals import Goals, Objective
from paretune.trials.record import TrialRecord
from paretune.trials.rules import Pick, Rule, Standings, pick, second_goals
from paretune.wording import compact, displayed, metric_words, rounded

__all__ = ["Choice", "choose", "confidence_set", "doubt", "example_rewards"]

#: Of more than twice as many trials that may be the best, a sentence names so many.
_LISTED = 25


@dataclass(frozen=True)
class Choice:
    """The winner, and why it is that one: a sentence with numbers."""

    record: TrialRecord
    why: str


def choose(records: Sequence[TrialRecord], goals: Goals, rule: Rule) -> Choice:
    """The winner of a search's trials.

    Raises SearchError when no trial was completed, and when none keeps the constraints (without ``allow_broken``);
    UsageError for a rule that cannot choose by these goals.
    """
    completed = [record for record in records if record.completed]
    if not completed:
        raise SearchError(f"no trial was completed; the last one: {records[-1].error if records else 'there is none'}")
    feasible = [record for record in completed if goals.feasible(record.metrics)]
    if not feasible:
        return _least_broken(completed, goals, rule)
    rule.check(goals)
    _check_measured(feasible, rule)
    picked = pick(rule, goals, _standings(feasible, rule))
    winner = feasible[int(picked.winners[0])]
    kept = f" Only trials with {_bounds(goals)} count." if goals.constraints else ""
    return Choice(winner, f"Trial {int(winner.trial)} {_reason(feasible, winner, picked, goals, rule)}.{kept}")


def confidence_set(
    records: Sequence[TrialRecord], measures: Mapping[str, Sequence[Measure]], goals: Goals
) -> tuple[str, ...]:
    """The names of the trials that may be the best in the first objective, with 95 % confidence (see ``best_set``), of
    those that keep the constraints. ``measures`` are theirs on the same validation examples, by trial; without the
    objective among them nothing is known, and the set is empty."""
    first = goals.objectives[0].name
    found = {}
    for record in records:
        if record.completed and goals.feasible(record.metrics):
            found[record.trial] = next((one for one in measures[record.trial] if f"val_{one.name}" == first), None)
    known = [measure for measure in found.values() if measure is not None]
    if not known or len(known) < len(found):
        return ()
    kept = best_set(known, BayesianBootstrap(len(known[0].statistics))).kept
    return tuple(name for name, flag in zip(found, kept, strict=True) if flag)


def doubt(names: Sequence[str], records: Sequence[TrialRecord], goals: Goals) -> str:
    """What the confidence set says, in a sentence."""
    compared = [record for record in records if not record.failed and goals.feasible(record.metrics)]
    what = metric_words(goals.objectives[0].name)
    if not names or len(compared) < 2:
        return f"Whether another trial is as good by {what} was not compared."
    if len(names) == len(compared):
        return f"No difference by {what} between the {len(names)} trials is shown (95 % confidence)."
    if len(names) == 1:
        return f"By {what} no other trial may be as good as trial {int(names[0])} (95 % confidence)."
    left_out = len(names) - _LISTED if len(names) > 2 * _LISTED else 0
    listed = ", ".join(str(int(name)) for name in names[: len(names) - left_out])
    listed += f" and {left_out:,} more" if left_out else ""
    return f"By {what} the trials {listed} cannot be told apart: each may be the best (95 % confidence)."


def example_rewards(records: Sequence[TrialRecord], rule: Rule) -> Array:
    """The reward of each validation example, its mean over the replicates: (t, n); NaN where one was not scored. (t, 0)
    for a rule that does not look at them."""
    if rule.name != "one_standard_error":
        return np.zeros((len(records), 0))
    rows = [
        [[np.nan if one.reward is None else one.reward for one in each.examples] for each in record.replicates]
        for record in records
    ]
    return np.array([np.mean(np.array(row, np.float64), axis=0) for row in rows])


def _standings(records: Sequence[TrialRecord], rule: Rule) -> Standings:
    names = sorted({name for record in records for name in record.metrics})
    metrics = {name: np.array([[record.metrics.get(name, math.nan) for record in records]]) for name in names}
    rewards = example_rewards(records, rule)
    return Standings(metrics, rewards, np.ones((1, rewards.shape[1])))


def _check_measured(records: Sequence[TrialRecord], rule: Rule) -> None:
    if rule.by is not None and not any(rule.by in record.metrics for record in records):
        measured = ", ".join(sorted({name for record in records for name in record.metrics}))
        raise SearchError(f"winner.by must name something measured: {measured} (got {rule.by!r})")


def _least_broken(completed: Sequence[TrialRecord], goals: Goals, rule: Rule) -> Choice:
    closest = min(completed, key=lambda record: rounded(goals.violation(record.metrics)))
    if rule.allow_broken:
        return Choice(closest, f"No trial keeps {_bounds(goals)}; {_name(closest)} breaks it the least.")
    shown = ", ".join(
        f"{bound.name} {compact(closest.metrics.get(bound.name, math.nan))}" for bound in goals.constraints
    )
    raise SearchError(
        f"no trial keeps {_bounds(goals)}, so there is no winner; {_name(closest)} comes closest ({shown}). Widen the "
        "bound, or allow a winner that breaks it (winner.allow_broken=true)"
    )


def _reason(records: Sequence[TrialRecord], winner: TrialRecord, picked: Pick, goals: Goals, rule: Rule) -> str:
    first = goals.objectives[0]
    seconds = second_goals(rule, goals, {name for record in records for name in record.metrics})
    if len(records) == 1:
        return f"is the only one to choose, with {metric_words(first.name)} {_value(winner, first)}"
    if rule.name == "knee":
        at = f"{metric_words(first.name)} {_value(winner, first)} at {metric_words(seconds[0].name)}"
        return f"is the knee of the frontier, {at} {_value(winner, seconds[0])} (log scale): a matter of taste"
    if rule.name == "best_score" and goals.listed:
        parts = [
            f"{metric_words(each.name)} {_value(winner, each)} / {compact(displayed(each.name, each.unit))}"
            for each in goals.objectives
        ]
        score = compact(goals.score(winner.metrics))
        return f"has the best score, {score}, of {len(records)} trials: {', '.join(parts)}"
    if rule.name in ("best_score", "constraint"):
        return f"has the {_superlative(first)}, {_value(winner, first)}, of {len(records)} trials"
    close = [record for record, flag in zip(records, picked.close[0], strict=True) if flag]
    best = records[int(picked.best[0])]
    near = f"within {compact(rule.epsilon) if rule.name == 'epsilon' else 'a standard error'} of"
    top = f"{metric_words(first.name)} {_value(best, first)}"
    if len(close) == 1:
        return f"has the best {top}, and no other one comes {near} it"
    second = next((each for each in seconds if len({_value(record, each) for record in close}) > 1), first)
    which = f"the {len(close)} trials {near} the best {top} ({_name(best)})"
    return f"has the {_superlative(second)}, {_value(winner, second)}, of {which}"


def _bounds(goals: Goals) -> str:
    return " and ".join(bound.describe() for bound in goals.constraints)


def _name(record: TrialRecord) -> str:
    return f"trial {int(record.trial)}"


def _value(record: TrialRecord, goal: Objective) -> str:
    return compact(displayed(goal.name, record.metrics.get(goal.name, math.nan)))


def _superlative(goal: Objective) -> str:
    return f"{'lowest' if goal.direction == 'min' else 'highest'} {metric_words(goal.name)}"
