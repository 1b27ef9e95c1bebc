"""Tuners: Keras-Tuner's oracles propose, a search loop of our own runs the trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paretune.lazy import lazy_dir, lazy_names

if TYPE_CHECKING:
    from paretune.tuners.keras_api import HyperParameters
    from paretune.tuners.objective import Objective
    from paretune.tuners.searches import BayesianOptimization, GridSearch, Hyperband, ParetoSearch, RandomSearch
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

# Loading Keras-Tuner takes seconds, and disable_keras_backend() lives beside it.
__getattr__ = lazy_names(
    __name__,
    {
        "BayesianOptimization": "paretune.tuners.searches",
        "GridSearch": "paretune.tuners.searches",
        "HyperParameters": "paretune.tuners.keras_api",
        "Hyperband": "paretune.tuners.searches",
        "Objective": "paretune.tuners.objective",
        "ParetoSearch": "paretune.tuners.searches",
        "RandomSearch": "paretune.tuners.searches",
        "Tuner": "paretune.tuners.tuner",
    },
)
__dir__ = lazy_dir(__name__)
