"""Bayesian optimization: Keras-Tuner's Gaussian process and acquisition, on a fixed schedule and without repeats."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.optimize
import sklearn.exceptions
from threadpoolctl import ThreadpoolController

from paretune.errors import UsageError
from paretune.tuners.keras_api import Trial, deprecations_aside
from paretune.tuners.oracles.random import untried
from paretune.tuners.oracles.sequential import SequentialOracle
from paretune.tuners.spaces import UnitCube, Values, draw, listed
from paretune.tuners.tuner import Tuner

with deprecations_aside():
    from keras_tuner.src.tuners.bayesian import BayesianOptimizationOracle as KerasBayesianOracle

__all__ = ["BayesianOptimization", "BayesianOracle"]

#: Up to so many points of a finite space are all compared; beyond, the best one is searched for.
_COMPARED = 5_000
#: Random points from which that search starts: the best few of them.
_SEEDS, _STARTS = 500, 5
#: Random draws that are compared when the search ends at a point already tried.
_DRAWS = 300
#: Completed trials that a fit needs.
_FEWEST = 3
#: Keras-Tuner has 20 for a single length scale, which only costs time.
_RESTARTS = 2
#: How far the score is alike, in a cube of side 1. Keras-Tuner allows 1e-5, where a few trials easily look like mere
#: noise: then all points promise the same.
_LENGTH_SCALES = (0.1, 100.0)
_STEP = 1e-6

_silence = threading.Lock()

#: The lower confidence bound of the score at each of some vectors (n, dimensions), to be minimised.
Acquisition = Callable[[Any], Any]


class BayesianOracle(SequentialOracle, KerasBayesianOracle):  # type: ignore[misc]
    """Random draws first; then the point where Keras-Tuner's surrogate promises most.

    The surrogate is fitted anew for each proposal, to the scores of the visible completed trials, judged among
    themselves. A trial that breaks a constraint counts as the worst one seen, a pending one as its prediction plus one
    standard deviation (Keras-Tuner's guess), and a failed one not at all.
    """

    slow = True

    def __init__(self, *args: Any, **options: Any) -> None:
        initial, alpha, beta = (options.get(name) for name in ("num_initial_points", "alpha", "beta"))
        if initial is not None and initial < 1:
            raise UsageError(f"num_initial_points must be at least 1 (got {initial})")
        if alpha is not None and not alpha > 0:
            raise UsageError(f"alpha must be above 0 (got {alpha})")
        if beta is not None and not beta >= 0:
            raise UsageError(f"beta must be at least 0 (got {beta})")
        super().__init__(*args, **options)
        self._threads = ThreadpoolController()

    def settings(self) -> dict[str, Any]:
        own = {"num_initial_points": self.num_initial_points, "alpha": self.alpha, "beta": self.beta}
        return {**super().settings(), **own}

    def initial_points(self) -> int:
        return self.num_initial_points or max(3 * UnitCube(self.hyperparameters).dimensions, 3)

    def propose(self, number: int) -> Values | None:
        rng = np.random.default_rng([self.seed, number])
        completed, pending = self.visible(number)
        cube = UnitCube(self.hyperparameters)
        initial = self.initial_points()
        if number < initial or len(completed) < min(initial, _FEWEST):
            return untried(self, rng)
        points = listed(self.hyperparameters, _COMPARED)
        candidates = [values for values in points or [] if not self.tried(values)]
        if points is not None and not candidates:
            return None
        with _quiet(), self._threads.limit(limits=1):  # sums in one order, and no threads that wait for each other
            acquisition = self._acquisition(cube, completed, pending)
            if points is None:
                values = cube.values(_minimum(acquisition, cube.dimensions, rng))
                if not self.tried(values):
                    return values
                drawn = (draw(self.hyperparameters, rng) for _ in range(_DRAWS))
                candidates = [values for values in drawn if not self.tried(values)]
            if not candidates:
                return untried(self, rng)
            return candidates[int(np.argmin(acquisition([cube.vector(values) for values in candidates])))]

    def _acquisition(self, cube: UnitCube, completed: list[Trial], pending: list[Trial]) -> Acquisition:
        x, ahead = ([cube.vector(trial.hyperparameters.values) for trial in trials] for trials in (completed, pending))
        y = self._losses(completed)
        process = self._make_gpr().set_params(
            n_restarts_optimizer=_RESTARTS, kernel__length_scale_bounds=_LENGTH_SCALES
        )
        process.fit(x, y)
        if ahead:
            mean, deviation = process.predict(ahead, return_std=True)
            process = self._make_gpr().set_params(kernel=process.kernel_, optimizer=None)
            process.fit([*x, *ahead], [*y, *(mean + deviation)])

        def lower_bound(vectors: Any) -> Any:
            mean, deviation = process.predict(vectors, return_std=True)
            return mean - self.beta * deviation

        return lower_bound

    def _losses(self, completed: list[Trial]) -> list[float]:
        """What is minimised, for each trial."""
        losses = [self.loss(trial) for trial in completed]
        worst = max(losses)
        return [loss if self.feasible(trial) else worst for trial, loss in zip(completed, losses, strict=True)]


class BayesianOptimization(Tuner):
    """Random draws first, then the points where a Gaussian process, fitted to the scores so far, promises most.

    ``max_trials``: how many at most; raising it later continues a finished search. ``num_initial_points``: how many are
    drawn at random (None: three for each hyperparameter, at least three); fewer than ``max_trials``, or else the search
    is a random one. ``alpha``: the variance of the noise in the scores, relative to theirs; ``beta``: how much
    uncertainty attracts. No point comes twice, and a small finite space is covered. The other arguments are those of
    ``Tuner``.
    """

    oracle_class = BayesianOracle

    def __init__(
        self,
        hypermodel: Any,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        *more: Any,
        **options: Any,
    ) -> None:
        own = {"max_trials": max_trials, "num_initial_points": num_initial_points, "alpha": alpha, "beta": beta}
        super().__init__(hypermodel, objective, *more, oracle_options=own, **options)


def _minimum(function: Acquisition, dimensions: int, rng: np.random.Generator) -> Any:
    """The best vector that L-BFGS finds from the best of some random ones."""

    def with_slope(vector: Any) -> tuple[float, Any]:  # one prediction for a point and its differences
        values = function(np.vstack([vector, vector + _STEP * np.eye(dimensions)]))
        return float(values[0]), (values[1:] - values[0]) / _STEP

    seeds = rng.random((_SEEDS, dimensions))
    starts = seeds[np.argsort(function(seeds), kind="stable")[:_STARTS]]
    bounds = [(0.0, 1.0)] * dimensions
    found = [scipy.optimize.minimize(with_slope, x0, jac=True, method="L-BFGS-B", bounds=bounds) for x0 in starts]
    return min(found, key=lambda result: float(result.fun)).x


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves that a length scale lies at its bound (the scores do not depend on the point, or only on it),
    and that rounding made a variance negative. One thread at a time: the filters are the whole process's."""
    with _silence, warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        warnings.filterwarnings("ignore", "Predicted variances smaller than 0", UserWarning)
        yield
