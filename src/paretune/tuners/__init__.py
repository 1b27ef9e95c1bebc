"""Tuners: Keras-Tuner's oracles propose, a search loop of our own runs the trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paretune.lazy import lazy_dir, lazy_names

if TYPE_CHECKING:
    from paretune.tuners.objective import Objective
    from paretune.tuners.tuner import GridSearch, RandomSearch

__all__ = ["GridSearch", "Objective", "RandomSearch"]

# Loading Keras-Tuner takes seconds, and disable_keras_backend() lives beside it.
__getattr__ = lazy_names(
    __name__,
    {
        "GridSearch": "paretune.tuners.tuner",
        "Objective": "paretune.tuners.objective",
        "RandomSearch": "paretune.tuners.tuner",
    },
)
__dir__ = lazy_dir(__name__)
