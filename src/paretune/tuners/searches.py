"""The tuners that people choose from: each is an oracle and the arguments of its constructor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paretune.tuners.oracles.bayesian import BayesianOracle
from paretune.tuners.oracles.grid import GridOracle
from paretune.tuners.oracles.hyperband import HyperbandOracle
from paretune.tuners.oracles.optuna import ParetoOracle, Sampler
from paretune.tuners.oracles.random import RandomOracle
from paretune.tuners.tuner import Tuner

__all__ = ["BayesianOptimization", "GridSearch", "Hyperband", "ParetoSearch", "RandomSearch"]


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


class GridSearch(Tuner):
    """Every combination of the hyperparameters exactly once.

    ``max_trials``: how many at most; raising it later continues a finished search. The other arguments are those of
    ``Tuner``.
    """

    oracle_class = GridOracle

    def __init__(
        self, hypermodel: Any, objective: Any = None, max_trials: int | None = None, *more: Any, **options: Any
    ) -> None:
        super().__init__(hypermodel, objective, *more, oracle_options={"max_trials": max_trials}, **options)


class Hyperband(Tuner):
    """Many configurations trained for a short time, the best of them longer (Li et al., 2018).

    The plan is Keras-Tuner's: brackets of rounds, from one in which very many begin to one in which all are trained for
    ``max_epochs`` at once; in each round one of ``factor`` goes on from the state it had reached, to ``factor`` times
    the epochs. ``hyperband_iterations``: how often all that is done; raising it later continues a finished search. How
    many trials there are and how long each is trained is the plan's, so ``epochs`` in ``search`` has no effect. The
    other arguments are those of ``Tuner``.
    """

    oracle_class = HyperbandOracle

    def __init__(
        self,
        hypermodel: Any,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        *more: Any,
        **options: Any,
    ) -> None:
        plan = {"max_epochs": max_epochs, "factor": factor, "hyperband_iterations": hyperband_iterations}
        super().__init__(hypermodel, objective, *more, oracle_options=plan, **options)

    async def search_async(self, x: Sequence[Any], y: Sequence[Any], **fit: Any) -> None:
        planned = ("epochs", "initial_epoch")
        await super().search_async(x, y, **{name: value for name, value in fit.items() if name not in planned})


class ParetoSearch(Tuner):
    """Search for the whole frontier of several objectives: proposals follow from each of them, not from their sum.

    ``max_trials``: how many at most; raising it later continues a finished search. ``sampler``: Optuna's ``tpe``,
    ``nsga2``, or ``gp`` (which needs PyTorch). ``num_initial_points``: how many completed trials are drawn at random
    before the sampler learns from them (for ``nsga2`` also the number of parents); fewer than ``max_trials``, or else
    the search is a random one. No point comes twice, and a small finite space is covered. Weights and ``scale`` count
    only for the ranking of the trials. The other arguments are those of ``Tuner``. Needs the extra
    ``paretune[pareto]``.
    """

    oracle_class = ParetoOracle

    def __init__(
        self,
        hypermodel: Any,
        objective: Any = None,
        max_trials: int | None = 10,
        sampler: Sampler = "tpe",
        num_initial_points: int = 5,
        *more: Any,
        **options: Any,
    ) -> None:
        own = {"max_trials": max_trials, "sampler": sampler, "num_initial_points": num_initial_points}
        super().__init__(hypermodel, objective, *more, oracle_options=own, **options)


class RandomSearch(Tuner):
    """Independent uniform draws without repeats; a small finite space is covered completely.

    ``max_trials``: how many at most (None: all points of a finite space); raising it later continues a finished search.
    The other arguments are those of ``Tuner``.
    """

    oracle_class = RandomOracle

    def __init__(
        self, hypermodel: Any, objective: Any = None, max_trials: int | None = 10, *more: Any, **options: Any
    ) -> None:
        super().__init__(hypermodel, objective, *more, oracle_options={"max_trials": max_trials}, **options)
