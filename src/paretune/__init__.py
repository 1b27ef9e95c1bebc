"""paretune: choose and tune a language-model program, and show why.

The library from which the pipeline is built. Everything public is here or in the packages ``callbacks``, ``datasets``,
``metrics``, ``optimizers``, ``rewards`` and ``tuners``; nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paretune.lazy import lazy_dir, lazy_names

if TYPE_CHECKING:
    from paretune import callbacks, datasets, metrics, optimizers, rewards, tuners
    from paretune.datasets.dataset import Dataset
    from paretune.datasets.huggingface import HuggingFaceDataset
    from paretune.estimating.estimate import estimate
    from paretune.eventloop import run_maybe_nested
    from paretune.lm.backends.scripted import ScriptedLanguageModel
    from paretune.lm.language_model import LanguageModel
    from paretune.lm.ledger.budget import Budget
    from paretune.programs.generator import ChainOfThought, Generator
    from paretune.programs.module import Input, Module, clear_session
    from paretune.programs.program import Program
    from paretune.schemas.data_model import DataModel, Field, Score
    from paretune.tuners.keras_stub import disable_keras_backend

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "ChainOfThought",
    "DataModel",
    "Dataset",
    "Field",
    "Generator",
    "HuggingFaceDataset",
    "Input",
    "LanguageModel",
    "Module",
    "Program",
    "Score",
    "ScriptedLanguageModel",
    "callbacks",
    "clear_session",
    "datasets",
    "disable_keras_backend",
    "estimate",
    "metrics",
    "optimizers",
    "rewards",
    "run_maybe_nested",
    "tuners",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Budget": "paretune.lm.ledger.budget",
        "ChainOfThought": "paretune.programs.generator",
        "DataModel": "paretune.schemas.data_model",
        "Dataset": "paretune.datasets.dataset",
        "Field": "paretune.schemas.data_model",
        "Generator": "paretune.programs.generator",
        "HuggingFaceDataset": "paretune.datasets.huggingface",
        "Input": "paretune.programs.module",
        "LanguageModel": "paretune.lm.language_model",
        "Module": "paretune.programs.module",
        "Program": "paretune.programs.program",
        "Score": "paretune.schemas.data_model",
        "ScriptedLanguageModel": "paretune.lm.backends.scripted",
        "callbacks": "paretune.callbacks",
        "clear_session": "paretune.programs.module",
        "datasets": "paretune.datasets",
        "disable_keras_backend": "paretune.tuners.keras_stub",
        "estimate": "paretune.estimating.estimate",
        "metrics": "paretune.metrics",
        "optimizers": "paretune.optimizers",
        "rewards": "paretune.rewards",
        "run_maybe_nested": "paretune.eventloop",
        "tuners": "paretune.tuners",
    },
)
__dir__ = lazy_dir(__name__)
