"""Whether the search for a frontier is worth it: what each tuner reaches with an equal budget, over twenty seeds.

The tuners' oracles are driven directly, four trials at once, on functions whose frontiers are known (ZDT1 and ZDT2 of
Zitzler, Deb and Thiele, 2000, with four variables): no language model takes part, so that the numbers are the same on
every machine but for rounding.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy.stats import binomtest

from paretune.stats.pareto import hypervolume, non_dominated
from paretune.trials.goals import Goals
from paretune.tuners import Objective
from paretune.tuners.keras_api import HyperParameters, TrialStatus
from paretune.tuners.oracles.base import ReplayableOracle
from paretune.tuners.oracles.bayesian import BayesianOracle
from paretune.tuners.oracles.optuna import ParetoOracle
from paretune.tuners.oracles.random import RandomOracle

SEEDS, TRIALS, SLOTS, VARIABLES = 20, 60, 4, 4
#: Both objectives are minimised; what is worse than this counts nothing.
REFERENCE = (1.0, 6.0)
TUNERS: dict[str, tuple[type[ReplayableOracle], dict[str, Any]]] = {
    "RandomSearch": (RandomOracle, {}),
    "ParetoSearch, tpe": (ParetoOracle, {"sampler": "tpe", "num_initial_points": 10}),
    "ParetoSearch, nsga2": (ParetoOracle, {"sampler": "nsga2", "num_initial_points": 10}),
    "BayesianOptimization": (BayesianOracle, {"num_initial_points": 10}),
}
Shape = Callable[[float, float], float]
FUNCTIONS: dict[str, Shape] = {
    "ZDT1": lambda f1, g: g * (1 - math.sqrt(f1 / g)),
    "ZDT2": lambda f1, g: g * (1 - (f1 / g) ** 2),
}


def zdt(shape: Shape, values: Mapping[str, float]) -> dict[str, float]:
    """The two objectives; on the frontier all variables but the first are 0."""
    first, *others = (values[f"x{number}"] for number in range(VARIABLES))
    g = 1 + 9 * sum(others) / len(others)
    return {"f1": first, "f2": shape(first, g)}


def replay(
    oracle: ReplayableOracle, metrics_of: Callable[[Mapping[str, Any]], Mapping[str, float]]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, float]]]:
    """Drive an oracle, ``SLOTS`` trials at once that end in their order: the values and metrics of each as it ends."""
    running: deque[Any] = deque()
    while True:
        trial = oracle.create_trial("one") if len(running) < SLOTS else None
        if trial is not None and trial.status == TrialStatus.RUNNING:
            running.append(trial)
        elif running:  # no slot is free, or no trial may start yet
            trial = running.popleft()
            metrics = metrics_of(trial.hyperparameters.values)
            oracle.finish(trial, TrialStatus.COMPLETED, metrics, 0, None)
            yield trial.hyperparameters.values, metrics
        else:
            return


def reached(
    kind: type[ReplayableOracle], options: Mapping[str, Any], shape: Shape, seed: int
) -> tuple[float, int, float]:
    """Of a search: the hypervolume, the number of points on its frontier, and their extent in the first objective."""
    space = HyperParameters()
    for number in range(VARIABLES):
        space.Float(f"x{number}", 0.0, 1.0)
    objective = Goals((Objective("f1", "min"), Objective("f2", "min")))
    oracle = kind(objective, hyperparameters=space, max_trials=TRIALS, seed=seed, slots=SLOTS, **options)
    every = [metrics for _, metrics in replay(oracle, lambda values: zdt(shape, values))]
    found = np.array([[metrics["f1"], metrics["f2"]] for metrics in every])
    frontier = found[non_dominated(found, ["min", "min"])]
    return hypervolume(found, ["min", "min"], REFERENCE), len(frontier), float(np.ptp(frontier[:, 0]))


def main() -> None:
    """Print what was reached, and how often each tuner beats random draws from the same seeds."""
    print(f"{SEEDS} seeds, {TRIALS} trials, {SLOTS} at once, {VARIABLES} variables, reference point {REFERENCE}:")
    for name, shape in FUNCTIONS.items():
        found = {
            tuner: np.array([reached(kind, options, shape, seed) for seed in range(SEEDS)])
            for tuner, (kind, options) in TUNERS.items()
        }
        for tuner, searches in found.items():
            volume, size, extent = searches.mean(axis=0)
            print(f"{name}  {tuner:22} hypervolume {volume:.3f}, frontier of {size:.1f} points, {extent:.2f} wide")
            if tuner == "RandomSearch":
                continue
            gains = searches[:, 0] - found["RandomSearch"][:, 0]
            wins = int((gains > 0).sum())
            margin = 2.09 * gains.std(ddof=1) / math.sqrt(SEEDS)  # t, 19 degrees of freedom, 95 %
            test = binomtest(wins, SEEDS, alternative="greater").pvalue
            print(
                f"      {'against RandomSearch':22} {gains.mean():+.3f} ±{margin:.3f} (95 %), "
                f"better with {wins} of {SEEDS} seeds, sign test p = {test:.2g}"
            )


if __name__ == "__main__":
    main()
