"""Keras-Tuner, with the stand-in for Keras in place, and without the parts that nobody uses here.

Its packages import every tuner and model that it has, and with these scikit-learn, SciPy, pandas and gRPC: most of the
time and the memory of a short search. So their code waits until a name of theirs is wanted that is none of their
modules, as it is by somebody who uses Keras-Tuner itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from paretune.tuners.keras_stub import disable_keras_backend

#: Whose code waits, each after its parent.
_DEFERRED = ("keras_tuner", "keras_tuner.src", "keras_tuner.src.tuners", "keras_tuner.src.protos")

_running = threading.RLock()


def _defer(name: str) -> None:
    """Put a package in place whose code is not run yet; nothing happens where it is there already."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    package: Any = importlib.util.module_from_spec(spec)
    waiting = [spec.loader]

    def get(attribute: str) -> Any:
        if importlib.util.find_spec(f"{name}.{attribute}") is not None:
            return importlib.import_module(f"{name}.{attribute}")
        with _running:  # another thread that wants a name waits for all of them
            if waiting:
                waiting.pop().exec_module(package)
        if attribute not in vars(package):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        return vars(package)[attribute]

    package.__getattr__ = get
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)


@contextlib.contextmanager
def deprecations_aside() -> Iterator[None]:
    """Keras-Tuner imports names that are deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


disable_keras_backend()
for _name in _DEFERRED:
    _defer(_name)
with deprecations_aside():
    from keras_tuner.src.engine import hyperparameters as hyperparameter_kinds
    from keras_tuner.src.engine.conditions import Parent as ParentCondition
    from keras_tuner.src.engine.hypermodel import HyperModel as KerasHyperModel
    from keras_tuner.src.engine.hyperparameters import HyperParameters
    from keras_tuner.src.engine.objective import MultiObjective as KerasMultiObjective
    from keras_tuner.src.engine.objective import Objective as KerasObjective
    from keras_tuner.src.engine.oracle import Oracle
    from keras_tuner.src.engine.trial import Trial, TrialStatus
    from keras_tuner.src.errors import FailedTrialError
    from keras_tuner.src.tuners.hyperband import HyperbandOracle as KerasHyperbandOracle

__all__ = [
    "FailedTrialError",
    "HyperParameters",
    "KerasHyperModel",
    "KerasHyperbandOracle",
    "KerasMultiObjective",
    "KerasObjective",
    "Oracle",
    "ParentCondition",
    "Trial",
    "TrialStatus",
    "deprecations_aside",
    "hyperparameter_kinds",
]
