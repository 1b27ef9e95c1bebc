"""How the winner is chosen among the trials: rules that are fixed before the search, as pure functions of records.

No rule depends on the range of a metric over the trials, so that a trial that loses to another one in everything never
decides between two others. Numbers are compared to ten significant digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from paretune.errors import SearchError, UsageError
from paretune.metrics.measures import OPERATIONAL
from paretune.stats.pareto import non_dominated
from paretune.trials.goals import Goals, Objective
from paretune.trials.record import TrialRecord
from paretune.wording import compact, metric_words, rounded

__all__ = ["Choice", "Rule", "RuleName", "as_rule", "choose"]

RuleName = Literal["epsilon", "best_score", "one_standard_error", "constraint", "knee"]
#: By what close trials are told apart where no objective is minimised.
_CHEAPEST = ("val_cost", "val_tokens_per_request")


@dataclass(frozen=True)
class Rule:
    """Which of the trials that keep the constraints wins.

    ``epsilon``: of those within ``epsilon`` of the best in the first objective, the best by the second goal.
    ``one_standard_error``: the same with those whose paired difference to the best reward is at most one standard error
    of that difference. ``best_score``: the best scalar of all objectives (see ``Objective``). ``constraint``: the best
    in the first objective; the constraints do the rest. ``knee``: the point of the frontier of the first objective and
    the second goal that lies farthest above the line between its ends, the second goal on a logarithmic scale (Branke
    et al., PPSN VIII, 2004); how much it should cost is a matter of taste.

    ``by`` names the second goal, a metric such as ``val_cost``. None: the objectives to minimise, in their order; where
    there are none, cost, then tokens. Of equals the better in the first objective wins, then the earlier trial.
    ``allow_broken``: where no trial keeps the constraints, the one that breaks them the least wins; else there is no
    winner.
    """

    name: RuleName = "epsilon"
    epsilon: float = 0.02
    by: str | None = None
    allow_broken: bool = False

    def __post_init__(self) -> None:
        if self.name not in get_args(RuleName):
            raise UsageError(f"the winner's rule is one of {', '.join(get_args(RuleName))} (got {self.name!r})")
        if not (isinstance(self.epsilon, int | float) and 0 <= self.epsilon < math.inf):
            raise UsageError(f"the winner's epsilon is a number of at least 0 (got {self.epsilon!r})")

    def check(self, goals: Goals) -> None:
        """Raise UsageError for a rule that cannot choose by these goals."""
        if self.name == "constraint" and not goals.constraints:
            raise UsageError("the rule 'constraint' needs a constraint, such as val_cost <= 0.002 (there is none)")
        if self.name == "one_standard_error" and goals.objectives[0].name != "val_reward":
            raise UsageError(
                "the rule 'one_standard_error' compares rewards example by example: the first objective must be "
                f"val_reward (got {goals.objectives[0].name!r}); or take the rule 'epsilon'"
            )


@dataclass(frozen=True)
class Choice:
    """The winner, and why it is that one: a sentence with numbers."""

    record: TrialRecord
    why: str


def as_rule(given: RuleName | Rule) -> Rule:
    """What a tuner takes as ``rule``: a name or a Rule."""
    return given if isinstance(given, Rule) else Rule(given)


def choose(records: Sequence[TrialRecord], goals: Goals, rule: Rule) -> Choice:
    """The winner of a search's trials.

    Raises SearchError when no trial was completed, and when none keeps the constraints (without ``allow_broken``).
    """
    completed = [record for record in records if record.completed]
    if not completed:
        raise SearchError(f"no trial was completed; the last one: {records[-1].error if records else 'there is none'}")
    feasible = [record for record in completed if goals.feasible(record.metrics)]
    bounds = " and ".join(bound.describe() for bound in goals.constraints)
    if not feasible:
        closest = min(completed, key=lambda record: rounded(goals.violation(record.metrics)))
        if not rule.allow_broken:
            shown = ", ".join(
                f"{bound.name} {compact(closest.metrics.get(bound.name, math.nan))}" for bound in goals.constraints
            )
            raise SearchError(
                f"no trial keeps {bounds}, so there is no winner; {_name(closest)} comes closest ({shown}). Widen the "
                "bound, or allow a winner that breaks it (winner.allow_broken=true)"
            )
        return Choice(closest, f"no trial keeps {bounds}; {_name(closest)} breaks it the least")
    rule.check(goals)
    choice = _RULES[rule.name](feasible, goals, rule)
    kept = f" Only trials with {bounds} count." if goals.constraints else ""
    return Choice(choice.record, f"{_name(choice.record)} {choice.why}.{kept}")


def _epsilon(records: Sequence[TrialRecord], goals: Goals, rule: Rule) -> Choice:
    first = goals.objectives[0]
    best = _best(records, first)
    close = [record for record in records if rounded(_gap(record, best, first)) <= rounded(rule.epsilon)]
    return _cheapest(close, best, goals, rule, f"within {compact(rule.epsilon)} of")


def _one_standard_error(records: Sequence[TrialRecord], goals: Goals, rule: Rule) -> Choice:
    best = _best(records, goals.objectives[0])
    top = _rewards(best)

    def close(record: TrialRecord) -> bool:
        differences = top - _rewards(record)
        differences = differences[~np.isnan(differences)]
        if len(differences) < 2:
            return record is best
        error = float(np.std(differences, ddof=1) / math.sqrt(len(differences)))
        return rounded(float(differences.mean())) <= rounded(error)

    return _cheapest(
        [record for record in records if record is best or close(record)],
        best,
        goals,
        rule,
        "within a standard error of",
    )


def _cheapest(close: Sequence[TrialRecord], best: TrialRecord, goals: Goals, rule: Rule, near: str) -> Choice:
    """The best by the second goal of the trials that are close to the best by the first."""
    first = goals.objectives[0]
    seconds = _second_goals(close, goals, rule)
    winner = min(close, key=lambda record: [*(_cost(record, each) for each in seconds), _cost(record, first)])
    top = f"{metric_words(first.name)} {_value(best, first)}"
    if len(close) == 1:
        return Choice(winner, f"has the best {top}, and no other one comes {near} it")
    second = next((each for each in seconds if len({_cost(record, each) for record in close}) > 1), first)
    which = f"the {len(close)} trials {near} the best {top} ({_name(best)})"
    return Choice(winner, f"has the {_superlative(second)}, {_value(winner, second)}, of {which}")


def _best_score(records: Sequence[TrialRecord], goals: Goals, rule: Rule) -> Choice:
    winner = records[goals.order([record.metrics for record in records])[0]]
    if not goals.listed:
        first = goals.objectives[0]
        return Choice(winner, f"has the {_superlative(first)}, {_value(winner, first)}, of {_trials(records)}")
    parts = [f"{metric_words(each.name)} {_value(winner, each)} / {compact(each.unit)}" for each in goals.objectives]
    score = compact(goals.score(winner.metrics))
    return Choice(winner, f"has the best score, {score}, of {_trials(records)}: {', '.join(parts)}")


def _constraint(records: Sequence[TrialRecord], goals: Goals, rule: Rule) -> Choice:
    first = goals.objectives[0]
    seconds = _second_goals(records, goals, rule)
    winner = min(records, key=lambda record: [_cost(record, first), *(_cost(record, each) for each in seconds)])
    return Choice(winner, f"has the {_superlative(first)}, {_value(winner, first)}, of {_trials(records)}")


def _knee(records: Sequence[TrialRecord], goals: Goals, rule: Rule) -> Choice:
    first, second = goals.objectives[0], _second_goals(records, goals, rule)[0]
    places = np.array([[_cost(record, second), _cost(record, first)] for record in records])
    if not (second.direction == "min" and (places[:, 0] > 0).all()):
        raise SearchError(
            f"the rule 'knee' takes the logarithm of {second.name}, which must be minimised and above 0 in every trial "
            f"(got {compact(float(places[:, 0].min()))}); name another metric as winner.by"
        )
    front = np.flatnonzero(non_dominated(places, ["min", "min"]))
    line = front[np.lexsort((places[front, 1], places[front, 0]))]
    across, up = np.log(places[line, 0]), -places[line, 1]
    if across[-1] <= across[0]:
        above = up
    else:
        above = up - (up[0] + (up[-1] - up[0]) * (across - across[0]) / (across[-1] - across[0]))
    winner = records[line[int(np.argmax([rounded(float(each)) for each in above]))]]
    where = (
        f"{metric_words(first.name)} {_value(winner, first)} at {metric_words(second.name)} {_value(winner, second)}"
    )
    return Choice(
        winner, f"is the knee of the {len(line)} trials on the frontier, {where} (log scale): a matter of taste"
    )


_RULES: dict[str, Callable[[Sequence[TrialRecord], Goals, Rule], Choice]] = {
    "epsilon": _epsilon,
    "one_standard_error": _one_standard_error,
    "best_score": _best_score,
    "constraint": _constraint,
    "knee": _knee,
}


def _second_goals(records: Sequence[TrialRecord], goals: Goals, rule: Rule) -> list[Objective]:
    first = goals.objectives[0]
    known = {each.name: each for each in goals.objectives}
    if rule.by is not None:
        if not any(rule.by in record.metrics for record in records):
            measured = ", ".join(sorted({name for record in records for name in record.metrics}))
            raise SearchError(f"winner.by must name something measured: {measured} (got {rule.by!r})")
        operational = rule.by.removeprefix("val_") in OPERATIONAL
        return [known.get(rule.by) or Objective(rule.by, "min" if operational else "max")]
    cheap = [each for each in goals.objectives if each.direction == "min" and each is not first]
    return cheap or [Objective(name) for name in _CHEAPEST if name != first.name]


def _best(records: Sequence[TrialRecord], goal: Objective) -> TrialRecord:
    return min(records, key=lambda record: _cost(record, goal))


def _cost(record: TrialRecord, goal: Objective) -> float:
    """A metric so that less is better; infinite where it could not be measured."""
    value = record.metrics.get(goal.name, math.nan)
    return math.inf if math.isnan(value) else rounded(value if goal.direction == "min" else -value)


def _gap(record: TrialRecord, best: TrialRecord, goal: Objective) -> float:
    return _cost(record, goal) - _cost(best, goal)


def _rewards(record: TrialRecord) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The reward of each validation example, its mean over the replicates; NaN where one was not scored."""
    rows = [[np.nan if one.reward is None else one.reward for one in each.examples] for each in record.replicates]
    return np.asarray(np.mean(np.array(rows, np.float64), axis=0))


def _name(record: TrialRecord) -> str:
    return f"trial {int(record.trial)}"


def _trials(records: Sequence[TrialRecord]) -> str:
    return "1 trial" if len(records) == 1 else f"{len(records)} trials"


def _value(record: TrialRecord, goal: Objective) -> str:
    return compact(record.metrics.get(goal.name, math.nan))


def _superlative(goal: Objective) -> str:
    return f"{'lowest' if goal.direction == 'min' else 'highest'} {metric_words(goal.name)}"
