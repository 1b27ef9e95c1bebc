"""Optimizers: what training changes between batches."""

from paretune.optimizers.gepa import GEPA
from paretune.optimizers.opro import OPRO
from paretune.optimizers.optimizer import Observation, Optimizer
from paretune.optimizers.random_few_shot import RandomFewShot

__all__ = ["GEPA", "OPRO", "Observation", "Optimizer", "RandomFewShot"]
