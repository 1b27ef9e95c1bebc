"""The only import of keras_tuner: with the stand-in for Keras in place, and its deprecation warnings aside."""

from __future__ import annotations

import warnings

from paretune.tuners.keras_stub import disable_keras_backend

disable_keras_backend()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from keras_tuner import HyperModel as KerasHyperModel
    from keras_tuner import HyperParameters
    from keras_tuner.src.engine import hyperparameters as hyperparameter_kinds
    from keras_tuner.src.engine.conditions import Parent as ParentCondition
    from keras_tuner.src.engine.objective import MultiObjective as KerasMultiObjective
    from keras_tuner.src.engine.objective import Objective as KerasObjective
    from keras_tuner.src.engine.oracle import Oracle
    from keras_tuner.src.engine.trial import Trial, TrialStatus
    from keras_tuner.src.tuners.bayesian import BayesianOptimizationOracle as KerasBayesianOracle
    from keras_tuner.src.tuners.hyperband import HyperbandOracle as KerasHyperbandOracle

__all__ = [
    "HyperParameters",
    "KerasBayesianOracle",
    "KerasHyperModel",
    "KerasHyperbandOracle",
    "KerasMultiObjective",
    "KerasObjective",
    "Oracle",
    "ParentCondition",
    "Trial",
    "TrialStatus",
    "hyperparameter_kinds",
]
