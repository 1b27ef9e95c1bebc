"""Tuners: Keras-Tuner's oracles propose, a search loop of our own runs the trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from paretune.lazy import lazy_dir, lazy_names

if TYPE_CHECKING:
    from paretune.trials.goals import Objective
    from paretune.tuners.keras_api import HyperParameters
    from paretune.tuners.oracles.bayesian import BayesianOptimization
    from paretune.tuners.oracles.grid import GridSearch
    from paretune.tuners.oracles.hyperband import Hyperband
    from paretune.tuners.oracles.optuna import ParetoSearch
    from paretune.tuners.oracles.random import RandomSearch
    from paretune.tuners.tuner import Tuner

__all__ = [
    "BayesianOptimization",
    "GridSearch",
    "HyperParameters",
    "Hyperband",
    "Objective",
    "ParetoSearch",
    "RandomSearch",
    "Tuner",
]


@dataclass(frozen=True)
class TunerEntry:
    """A tuner by its public class, and the module of ``tuners.oracles`` that defines it.

    ``options`` are the arguments of its constructor that conf/tuner/ may give, each with its type and bounds (their
    defaults are the constructor's); an option of one name has one type in all tuners. ``plans_epochs``: how many trials
    there are and how long each is trained is its own plan, so that neither ``max_trials`` nor ``epochs`` counts.
    """

    class_name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    plans_epochs: bool = False


#: The tuners by their names in conf/tuner/. Whoever reads this table loads none of them.
TUNERS = {
    "grid": TunerEntry("GridSearch", "grid"),
    "random": TunerEntry("RandomSearch", "random"),
    "bayesian": TunerEntry(
        "BayesianOptimization",
        "bayesian",
        {"num_initial_points": PositiveInt, "alpha": PositiveFloat, "beta": NonNegativeFloat},
    ),
    "hyperband": TunerEntry(
        "Hyperband",
        "hyperband",
        {"max_epochs": PositiveInt, "factor": Annotated[int, Field(ge=2)], "hyperband_iterations": PositiveInt},
        plans_epochs=True,
    ),
    "pareto": TunerEntry(
        "ParetoSearch", "optuna", {"sampler": Literal["tpe", "nsga2", "gp"], "num_initial_points": PositiveInt}
    ),
}

# Loading Keras-Tuner takes time, and disable_keras_backend() lives beside it.
__getattr__ = lazy_names(
    __name__,
    {
        "HyperParameters": "paretune.tuners.keras_api",
        "Objective": "paretune.trials.goals",
        "Tuner": "paretune.tuners.tuner",
        **{entry.class_name: f"paretune.tuners.oracles.{entry.module}" for entry in TUNERS.values()},
    },
)
__dir__ = lazy_dir(__name__)
