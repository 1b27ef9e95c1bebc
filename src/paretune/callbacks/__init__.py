"""Callbacks: what happens between the epochs and batches of a training."""

from paretune.callbacks.callback import Callback
from paretune.callbacks.csv_logger import CSVLogger
from paretune.callbacks.early_stopping import EarlyStopping
from paretune.callbacks.program_checkpoint import ProgramCheckpoint

__all__ = ["CSVLogger", "Callback", "EarlyStopping", "ProgramCheckpoint"]
