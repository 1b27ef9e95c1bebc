"""Metrics: pure functions of gold and predicted records."""

from paretune.metrics.classification import (
    BinaryAccuracy,
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
    CategoricalAccuracy,
    CategoricalF1Score,
    CategoricalPrecision,
    CategoricalRecall,
)
from paretune.metrics.field_f1 import FieldF1
from paretune.metrics.metric import Metric
from paretune.metrics.outcome import Outcome
from paretune.metrics.text import F1Score
from paretune.metrics.wrapper import MeanMetricWrapper
from paretune.stats.measure import Measure

__all__ = [
    "BinaryAccuracy",
    "BinaryF1Score",
    "BinaryPrecision",
    "BinaryRecall",
    "CategoricalAccuracy",
    "CategoricalF1Score",
    "CategoricalPrecision",
    "CategoricalRecall",
    "F1Score",
    "FieldF1",
    "MeanMetricWrapper",
    "Measure",
    "Metric",
    "Outcome",
]
