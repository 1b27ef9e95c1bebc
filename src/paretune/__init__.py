"""paretune: choose and tune a language-model program, and show why.

The library from which the pipeline is built. Everything public is here, in the module ``errors``, or in the packages
``callbacks``, ``datasets``, ``metrics``, ``optimizers``, ``rewards``, ``stats`` and ``tuners``; nothing is imported
before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paretune.lazy import lazy_dir, lazy_names

if TYPE_CHECKING:
    from paretune import callbacks, datasets, errors, metrics, optimizers, rewards, stats, tuners
    from paretune.datasets.dataset import Dataset
    from paretune.datasets.huggingface import HuggingFaceDataset
    from paretune.datasets.recording import Recording
    from paretune.estimating.estimate import estimate
    from paretune.estimating.result import Estimate
    from paretune.eventloop import run_maybe_nested
    from paretune.lm.backends.scripted import ScriptedLanguageModel
    from paretune.lm.language_model import LanguageModel
    from paretune.lm.ledger.budget import Budget, Spent
    from paretune.lm.ledger.ledger import Ledger
    from paretune.lm.options import CallOptions
    from paretune.lm.types import Price, Reply, Request
    from paretune.programs.generator import ChainOfThought, Generator
    from paretune.programs.module import Input, Module, clear_session
    from paretune.programs.program import Program
    from paretune.programs.running import Evaluation
    from paretune.programs.trainer import History
    from paretune.reporting.library import report, watch
    from paretune.schemas.data_model import DataModel, Field, Score
    from paretune.trials.record import TrialRecord
    from paretune.tuners.keras_stub import disable_keras_backend

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "CallOptions",
    "ChainOfThought",
    "DataModel",
    "Dataset",
    "Estimate",
    "Evaluation",
    "Field",
    "Generator",
    "History",
    "HuggingFaceDataset",
    "Input",
    "LanguageModel",
    "Ledger",
    "Module",
    "Price",
    "Program",
    "Recording",
    "Reply",
    "Request",
    "Score",
    "ScriptedLanguageModel",
    "Spent",
    "TrialRecord",
    "callbacks",
    "clear_session",
    "datasets",
    "disable_keras_backend",
    "errors",
    "estimate",
    "metrics",
    "optimizers",
    "report",
    "rewards",
    "run_maybe_nested",
    "stats",
    "tuners",
    "watch",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Budget": "paretune.lm.ledger.budget",
        "CallOptions": "paretune.lm.options",
        "ChainOfThought": "paretune.programs.generator",
        "DataModel": "paretune.schemas.data_model",
        "Dataset": "paretune.datasets.dataset",
        "Estimate": "paretune.estimating.result",
        "Evaluation": "paretune.programs.running",
        "Field": "paretune.schemas.data_model",
        "Generator": "paretune.programs.generator",
        "History": "paretune.programs.trainer",
        "HuggingFaceDataset": "paretune.datasets.huggingface",
        "Input": "paretune.programs.module",
        "LanguageModel": "paretune.lm.language_model",
        "Ledger": "paretune.lm.ledger.ledger",
        "Module": "paretune.programs.module",
        "Price": "paretune.lm.types",
        "Program": "paretune.programs.program",
        "Recording": "paretune.datasets.recording",
        "Reply": "paretune.lm.types",
        "Request": "paretune.lm.types",
        "Score": "paretune.schemas.data_model",
        "ScriptedLanguageModel": "paretune.lm.backends.scripted",
        "Spent": "paretune.lm.ledger.budget",
        "TrialRecord": "paretune.trials.record",
        "callbacks": "paretune.callbacks",
        "clear_session": "paretune.programs.module",
        "datasets": "paretune.datasets",
        "disable_keras_backend": "paretune.tuners.keras_stub",
        "errors": "paretune.errors",
        "estimate": "paretune.estimating.estimate",
        "metrics": "paretune.metrics",
        "optimizers": "paretune.optimizers",
        "report": "paretune.reporting.library",
        "rewards": "paretune.rewards",
        "run_maybe_nested": "paretune.eventloop",
        "stats": "paretune.stats",
        "tuners": "paretune.tuners",
        "watch": "paretune.reporting.library",
    },
)
__dir__ = lazy_dir(__name__)
