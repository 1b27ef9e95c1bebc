"""What each tuner finds among recorded configurations for equal calls.

Two spaces are made of a table: its models (a family, and which of its members: a hyperparameter that exists only with
the family, ordered by size), and cascades of two of them: a share of the items, those with the longest answers of the
first model, is answered by a second one as well, whose answer counts. Both are exact replays: what a cascade is worth
and what it takes follows from the recorded answers. The oracles are driven directly, four trials at once, on n items
that all tuners share in a search; the truth is what all items say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from paretune.tuners.oracles.hyperband import HyperbandOracle
from paretune.tuners.oracles.optuna import ParetoOracle
from paretune.tuners.oracles.random import RandomOracle
from paretune.tuners.spaces import combinations

#: With the options of conf/tuner/.
TUNERS: dict[str, tuple[type[ReplayableOracle], dict[str, Any]]] = {
    "random": (RandomOracle, {}),
    "bayesian": (BayesianOracle, {"num_initial_points": 8}),
    "pareto": (ParetoOracle, {"num_initial_points": 5}),
    "pareto, nsga2": (ParetoOracle, {"sampler": "nsga2", "num_initial_points": 5}),
    "hyperband": (HyperbandOracle, {"max_epochs": 9, "factor": 3, "hyperband_iterations": 10}),
}
REWARD = Goals((Objective("val_reward"),), listed=False)
BOTH = Goals((Objective("val_reward"), Objective("val_tokens_per_request")))
#: The shares of the items that a cascade passes on.
_PASSED = (0.0, 0.1, 0.25, 0.5)
#: After so many validations of all items a search is looked at.
BUDGETS = (20, 40)


class Space:
    """A table's models, or cascades of them, as hyperparameters."""

    def __init__(self, table: Table, cascades: bool) -> None:
        self.table = table
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
        self._limits = np.quantile(table.costs, [1 - share for share in _PASSED], axis=1).T

    def _declare(self, role: str) -> None:
        self.hyperparameters.Choice(role, sorted(self.families))
        for name, rows in self.families.items():
            if len(rows) > 1:
                with self.hyperparameters.conditional_scope(role, [name]):
                    self.hyperparameters.Int(f"{role} {name}", 0, len(rows) - 1)

    def outcome(self, values: Mapping[str, Any], items: Any = slice(None)) -> tuple[Floats, Floats]:
        """The rewards and costs of a configuration on some items."""
        first = self._row(values, "first")
        rewards, costs = self.table.rewards[first, items], self.table.costs[first, items]
        if not values.get("passed"):
            return rewards, costs
        second = self._row(values, "second")
        passed = costs >= self._limits[first, _PASSED.index(values["passed"])]
        again = self.table.rewards[second, items], self.table.costs[second, items]
        return np.where(passed, again[0], rewards), costs + passed * again[1]

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


def curve(space: Space, tuner: str, goals: Goals, items: NDArray[np.intp], seed: int) -> list[float]:
    """What a search lacks after each of the BUDGETS: of one objective the regret of its winner, of two the share of the
    true frontier's hypervolume that the frontier it measured lacks, both by true values. A validation of all n items is
    a trial's price for each epoch; training costs nothing."""
    kind, options = TUNERS[tuner]
    if kind is not HyperbandOracle:
        options = options | {"max_trials": BUDGETS[-1]}
    oracle = kind(goals, hyperparameters=space.hyperparameters, seed=seed, slots=SLOTS, **options)

    def metrics(values: Mapping[str, Any]) -> dict[str, float]:
        rewards, costs = space.outcome(values, items)
        return {"val_reward": float(rewards.mean()), "val_tokens_per_request": float(costs.mean())}

    lacking: list[float] = []
    spent, points, truths = 0, [], []
    for values, found in replay(oracle, metrics):
        spent += values.get("tuner/epochs", 1) - values.get("tuner/initial_epoch", 0)
        while len(lacking) < len(BUDGETS) and spent > BUDGETS[len(lacking)]:
            lacking.append(_lacking(space, goals, points, truths))
        points.append(goals.point(found))
        truths.append(space.truth[same_point(values)])
        if len(lacking) == len(BUDGETS):
            break
    return lacking + [_lacking(space, goals, points, truths)] * (len(BUDGETS) - len(lacking))


def _lacking(space: Space, goals: Goals, points: Sequence[Any], truths: Sequence[Any]) -> float:
    true, every = np.array(truths), np.array(list(space.truth.values()))
    if len(goals.objectives) == 1:
        return float(every[:, 0].max() - true[np.argmax(np.array(points)[:, 0]), 0])
    measured = true[non_dominated(np.array(points), goals.directions)]
    return 1 - scaled_volume(measured, space.axes) / scaled_volume(every, space.axes)


def tuner_rows(table: Table, kind: str, goals: Goals, n: int, seeds: int) -> str:
    """A row for each of the BUDGETS: what random draws lack, in points or percent, and the paired difference of each
    other tuner to them (below 0 is better), with standard errors over the searches."""
    space, found = Space(table, kind == "cascades"), []
    for seed in range(seeds):
        items = table.items(np.random.default_rng([seed, n]), n)
        found.append([curve(space, tuner, goals, items, seed) for tuner in TUNERS])
    lacking = 100 * np.array(found)  # (seeds, tuners, BUDGETS)
    rows = []
    for place, budget in enumerate(BUDGETS):
        random, *others = lacking[:, :, place].T
        cells = [_with_error(random), *(_with_error(other - random, "+") for other in others)]
        rows.append(f"| {table.name}, {len(space.truth):,} {kind}, {budget} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _with_error(values: Floats, sign: str = "") -> str:
    return f"{values.mean():{sign}.1f} ± {values.std(ddof=1) / len(values) ** 0.5:.1f}"
