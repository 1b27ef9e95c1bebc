"""What each tuner finds among recorded configurations for equal calls.

Two spaces are made of a table: its models (a family, and which of its members: a hyperparameter that exists only with
the family, ordered by size), and cascades of two of them: the share of the items with the longest answers of the first
model is answered by a second one as well, whose answer counts. Both are exact replays: what a cascade is worth and what
it takes follows from the recorded answers. The oracles are driven directly, four trials at once, on n items that all
tuners share in a search; the truth is what all items say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pareto import SLOTS, replay
from tables import Floats, Table, family, parameters

from paretune.stats import Axis, non_dominated, scaled_volume
from paretune.trials.goals import Goals, Objective
from paretune.tuners.keras_api import HyperParameters
from paretune.tuners.oracles.base import ReplayableOracle, same_point
from paretune.tuners.oracles.bayesian import BayesianOracle
from paretune.tuners.oracles.grid import GridOracle
from paretune.tuners.oracles.hyperband import HyperbandOracle
from paretune.tuners.oracles.optuna import ParetoOracle
from paretune.tuners.oracles.random import RandomOracle
from paretune.tuners.spaces import combinations

#: With the options of conf/tuner/.
TUNERS: dict[str, tuple[type[ReplayableOracle], dict[str, Any]]] = {
    "random": (RandomOracle, {}),
    "grid": (GridOracle, {}),
    "bayesian": (BayesianOracle, {"num_initial_points": 8}),
    "pareto": (ParetoOracle, {"num_initial_points": 5}),
    "pareto, nsga2": (ParetoOracle, {"sampler": "nsga2", "num_initial_points": 5}),
    "hyperband": (HyperbandOracle, {"max_epochs": 9, "factor": 3, "hyperband_iterations": 10}),
}
REWARD = Goals((Objective("val_reward"),), listed=False)
BOTH = Goals((Objective("val_reward"), Objective("val_tokens_per_request")))
#: The shares of the items that a cascade passes on.
_PASSED = (0.0, 0.1, 0.25, 0.5)
#: Whose trials have one epoch each.
_ONE = {"tuner/initial_epoch": 0, "tuner/epochs": 1}


class Space:
    """A table's models, or cascades of them, as hyperparameters."""

    def __init__(self, table: Table, cascades: bool) -> None:
        self.table = table
        self.costs = np.zeros_like(table.rewards) if table.costs is None else table.costs
        self.families: dict[str, list[int]] = {}
        for row in sorted(range(table.size), key=lambda row: parameters(table.configurations[row])):
            self.families.setdefault(family(table.configurations[row]), []).append(row)
        self.hyperparameters = HyperParameters()
        self._declare("first")
        if cascades:
            self.hyperparameters.Choice("passed", list(_PASSED))
            with self.hyperparameters.conditional_scope("passed", list(_PASSED[1:])):
                self._declare("second")
        #: From so long an answer on, (models, shares), it is passed on.
        self._limits = np.quantile(self.costs, [1 - share for share in _PASSED], axis=1).T

    def _declare(self, role: str) -> None:
        self.hyperparameters.Choice(role, sorted(self.families))
        for name, rows in self.families.items():
            if len(rows) > 1:
                with self.hyperparameters.conditional_scope(role, [name]):
                    self.hyperparameters.Int(f"{role} {name}", 0, len(rows) - 1)

    def outcome(self, values: Mapping[str, Any], items: Any = slice(None)) -> tuple[Floats, Floats]:
        """The rewards and costs of a configuration on some items."""
        first = self._row(values, "first")
        rewards, costs = self.table.rewards[first, items], self.costs[first, items]
        if not values.get("passed"):
            return rewards, costs
        second = self._row(values, "second")
        passed = costs >= self._limits[first, _PASSED.index(values["passed"])]
        return np.where(passed, self.table.rewards[second, items], rewards), costs + passed * self.costs[second, items]

    def _row(self, values: Mapping[str, Any], role: str) -> int:
        name = values[role]
        return self.families[name][values.get(f"{role} {name}", 0)]

    @cached_property
    def truth(self) -> dict[str, tuple[float, float]]:
        """What each point is truly worth, and what it costs."""
        every = ((point, self.outcome(point)) for point in combinations(self.hyperparameters))
        return {same_point(point): (float(rewards.mean()), float(costs.mean())) for point, (rewards, costs) in every}

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        """From the worst to the best of all points."""
        rewards, costs = np.array(list(self.truth.values())).T
        return Axis(rewards.min(), rewards.max()), Axis(costs.max(), costs.min(), log=True)


def curve(
    space: Space, tuner: str, goals: Goals, items: NDArray[np.intp], seed: int, budgets: Sequence[int]
) -> list[float]:
    """What a search misses after so many validations of all items: of one objective the regret of its winner, of two
    the share of the true frontier's hypervolume that the frontier it measured lacks, by true values."""
    kind, options = TUNERS[tuner]
    if kind is not HyperbandOracle:
        options = options | {"max_trials": max(budgets)}
    oracle = kind(goals, hyperparameters=space.hyperparameters, seed=seed, slots=SLOTS, **options)

    def metrics(values: Mapping[str, Any]) -> dict[str, float]:
        rewards, costs = space.outcome(values, items)
        return {"val_reward": float(rewards.mean()), "val_tokens_per_request": float(costs.mean())}

    missed, spent, points, truths = [], 0, [], []
    for values, found in replay(oracle, metrics):
        training = _ONE | {name: values[name] for name in _ONE if name in values}
        spent += training["tuner/epochs"] - training["tuner/initial_epoch"]
        while len(missed) < len(budgets) and spent > budgets[len(missed)]:
            missed.append(_missed(space, goals, points, truths))
        if len(missed) == len(budgets):
            return missed
        points.append(goals.point(found))
        truths.append(space.truth[same_point(values)])
    return missed + [_missed(space, goals, points, truths)] * (len(budgets) - len(missed))


def _missed(
    space: Space, goals: Goals, points: Sequence[Sequence[float]], truths: Sequence[tuple[float, float]]
) -> float:
    true = np.array(truths)
    if len(goals.objectives) == 1:
        best = max(reward for reward, _ in space.truth.values())
        return float(best - true[np.argmax(np.array(points)[:, 0]), 0]) if points else best
    if not points:
        return 1.0
    measured = true[non_dominated(np.array(points), goals.directions)]
    return 1 - scaled_volume(measured, space.axes) / scaled_volume(np.array(list(space.truth.values())), space.axes)


def tuner_rows(
    table: Table, cascades: bool, goals: Goals, n: int, budgets: Sequence[float], seeds: int
) -> Iterator[str]:
    """The rows of a space and goals, one a tuner: what is missed at each budget with its standard error, in points or
    percent; and the paired difference to random draws at all but the first and last, with its standard error. Budgets
    below 2 are shares of the space."""
    space, found = Space(table, cascades), dict[str, Floats]()
    trials = [max(2, round(each * len(space.truth))) if each < 2 else round(each) for each in budgets]
    what = "frontier" if goals.listed else "reward"
    for tuner in TUNERS:
        rows = []
        for seed in range(seeds):
            items = table.items(np.random.default_rng([seed, n]), n)
            rows.append(curve(space, tuner, goals, items, seed, trials))
        found[tuner] = 100 * np.array(rows)
        gains = (found[tuner] - found["random"])[:, 1:-1]
        cells = [f"{mean:.1f} ± {error:.1f}" for mean, error in _summary(found[tuner])]
        cells += [f"{mean:+.1f} ± {error:.1f}" if error else "" for mean, error in _summary(gains)]
        yield f"| {table.name} ({len(space.truth):,}), {what} | {tuner} | " + " | ".join(cells) + " |"


def _summary(rows: Floats) -> Iterator[tuple[float, float]]:
    """The mean of each column, and its standard error."""
    return zip(rows.mean(axis=0), rows.std(axis=0, ddof=1) / np.sqrt(len(rows)), strict=True)
