"""The rules by which a winner is chosen: fixed before the search, as pure functions of numbers.

No rule depends on the range of a metric over the trials, so that a trial that loses to another one in everything never
decides between two others. Numbers are compared to ten significant digits.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from paretune.errors import UsageError
from paretune.metrics.measures import OPERATIONAL
from paretune.stats.measure import Array
from paretune.stats.pareto import non_dominated, rounded
from paretune.trials.goals import Goals, Objective

__all__ = ["Pick", "Rule", "RuleName", "Standings", "as_rule", "pick", "second_goals"]

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

    @property
    def reach(self) -> float:
        """How far below the best reward the winner may be, where that is known beforehand; else 0."""
        return min(self.epsilon, 0.999) if self.name == "epsilon" else 0.0

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
class Standings:
    """What the rules compare: the metrics of t trials in each of d draws, by name, shape (d, t), NaN where one was not
    measured; and for ``one_standard_error`` the rewards of the n examples, (t, n), and their weights in each draw,
    (d, n)."""

    metrics: Mapping[str, Array]
    rewards: Array
    weights: Array

    def cost(self, goal: Objective) -> Array:
        """A metric so that less is better, infinite where it was not measured: (d, t)."""
        known = next(iter(self.metrics.values()))
        values = self.metrics.get(goal.name, np.full_like(known, np.nan))
        return np.where(np.isnan(values), np.inf, rounded(values if goal.direction == "min" else -values))


class Pick(NamedTuple):
    """The places of the winners, (d,), -1 where no trial keeps the constraints; of the best by the first objective,
    (d,); and which trials were close enough to that one to win, (d, t)."""

    winners: NDArray[np.intp]
    best: NDArray[np.intp]
    close: NDArray[np.bool_]


def as_rule(given: RuleName | Rule) -> Rule:
    """What a tuner takes as ``rule``: a name or a Rule."""
    return given if isinstance(given, Rule) else Rule(given)


def second_goals(rule: Rule, goals: Goals, measured: Container[str]) -> list[Objective]:
    """By what trials that are close in the first objective are told apart, in this order. What is not named and not
    ``measured``, as the cost without a price, is left out."""
    first = goals.objectives[0]
    if rule.by is not None:
        known = {each.name: each for each in goals.objectives}
        operational = rule.by.removeprefix("val_") in OPERATIONAL
        return [known.get(rule.by) or Objective(rule.by, "min" if operational else "max")]
    cheap = [each for each in goals.objectives if each.direction == "min" and each is not first]
    return cheap or [Objective(name) for name in _CHEAPEST if name != first.name and name in measured]


def pick(rule: Rule, goals: Goals, standings: Standings) -> Pick:
    """Which trial wins in each draw. Raises UsageError for a ``knee`` whose second goal has no logarithm."""
    first, seconds = goals.objectives[0], second_goals(rule, goals, standings.metrics)
    feasible = goals.kept(standings.metrics)
    cost = np.where(feasible, standings.cost(first), np.inf)
    others = [standings.cost(each) for each in seconds]
    best = _first_of([cost, *others])
    close = feasible
    if rule.name == "best_score":
        winners = _first_of([~feasible, _scalar(goals, standings)])
    elif rule.name == "constraint":
        winners = best
    elif rule.name == "knee":
        if not seconds:
            raise UsageError("the rule 'knee' needs a second goal: name one as winner.by")
        winners = _knees(cost, others[0], seconds[0])
    else:
        near = _within(cost, rule.epsilon) if rule.name == "epsilon" else _within_an_error(standings, cost, best)
        close = feasible & near
        winners = _first_of([~close, *others, cost])
    return Pick(np.where(feasible.any(axis=1), winners, -1), best, close)


def _first_of(keys: Sequence[NDArray[Any]]) -> NDArray[np.intp]:
    """The place of the least in each draw, by the first key, of equals by the next; of equals in all, the first."""
    return np.asarray(np.lexsort(list(keys)[::-1], axis=-1)[:, 0])


def _within(cost: Array, epsilon: float) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):  # where nothing was measured, inf - inf
        return np.asarray(rounded(cost - cost.min(axis=1, keepdims=True)) <= rounded(epsilon))


def _within_an_error(standings: Standings, cost: Array, best: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whose mean paired difference to the best one's rewards is at most its standard error, sd / sqrt(n), over the
    examples that both have scored."""
    rewards = standings.rewards
    scored, filled = (~np.isnan(rewards)).astype(np.float64), np.nan_to_num(rewards)
    close = np.zeros(cost.shape, dtype=np.bool_)
    for draw, (weights, top) in enumerate(zip(standings.weights, best, strict=True)):
        both = scored * scored[top] * weights  # (t, n)
        n = both.sum(axis=1)
        differences = filled[top] - filled
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = (both * differences).sum(axis=1) / n
            variance = (both * differences**2).sum(axis=1) / n - mean**2
            error = np.sqrt(np.maximum(variance, 0.0) / (n - 1))  # the sample's variance has n / (n - 1) times as much
        close[draw] = (rounded(mean) <= rounded(error)) & (n >= 2)
        close[draw, top] = True
    return close


def _scalar(goals: Goals, standings: Standings) -> Array:
    """The scalar of the objectives so that less is better; see ``Goals.score``."""
    if not goals.listed:
        return standings.cost(goals.objectives[0])
    return rounded(sum((standings.cost(each) / each.unit for each in goals.objectives), start=np.zeros(())))


def _knees(cost: Array, second: Array, goal: Objective) -> NDArray[np.intp]:
    if goal.direction != "min" or not (second[np.isfinite(cost)] > 0).all():
        raise UsageError(
            f"the rule 'knee' takes the logarithm of {goal.name}, which must be minimised and above 0 in every trial; "
            "name another metric as winner.by"
        )
    return np.array([_knee(*draw) for draw in zip(cost, second, strict=True)], dtype=np.intp)


def _knee(cost: Array, second: Array) -> int:
    front = np.flatnonzero(non_dominated(np.stack([np.where(np.isfinite(cost), second, np.nan), cost], 1), ["min"] * 2))
    if not len(front):
        return 0
    line = front[np.lexsort((front, second[front]))]
    across, up = np.log(second[line]), -cost[line]
    slope = (up[-1] - up[0]) / (across[-1] - across[0]) if across[-1] > across[0] else 0.0
    return int(line[np.argmax(rounded(up - up[0] - slope * (across - across[0])))])
