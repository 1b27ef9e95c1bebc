"""Metrics: pure functions of gold and predicted records."""

from paretune.metrics.base import Metric
from paretune.metrics.f1 import BinaryF1Score, CategoricalF1Score

__all__ = ["BinaryF1Score", "CategoricalF1Score", "Metric"]
