"""Stop a training that gets no better."""

from __future__ import annotations

from typing import Any

from paretune.callbacks.callback import Callback, Logs, Mode, Monitor

__all__ = ["EarlyStopping"]


class EarlyStopping(Callback):
    """End the training when ``monitor`` has not improved for ``patience`` epochs.

    Parameters
    ----------
    monitor
        The measure to watch.
    min_delta
        An improvement is a change for the better by more than this.
    patience
        How many epochs without improvement are allowed; the next one ends the training (0 and 1 both end it after the
        first such epoch, as in Keras).
    mode
        ``min``, ``max``, or ``auto``: the measure's own direction.
    baseline
        A value that must be beaten from the start.
    restore_best_variables
        Go back to the state of the best epoch at the end (``restore_best_weights`` is Keras's name of the same).
    start_from_epoch
        Epochs before this one are not looked at.
    """

    def __init__(
        self,
        monitor: str = "val_reward",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: Mode = "auto",
        baseline: float | None = None,
        restore_best_variables: bool = False,
        start_from_epoch: int = 0,
        *,
        restore_best_weights: bool = False,
    ) -> None:
        self.monitor = monitor
        self.min_delta = min_delta
        self.patience = patience
        self.mode: Mode = mode
        self.baseline = baseline
        self.restore_best_variables = restore_best_variables or restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._watch = Monitor(monitor, mode, min_delta)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        #: The epoch that ended the training; 0 when none did, as in Keras.
        self.stopped_epoch = 0
        self.best_epoch: int | None = None
        self._wait = 0
        self._best_state: dict[str, Any] | None = None
        self._best: float | None = None
        self._watch = Monitor(self.monitor, self.mode, self.min_delta, self.baseline)
        self._watch.check(self.params)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if epoch < self.start_from_epoch:
            return
        value = (logs or {})[self.monitor]
        self._remember(epoch, value)
        self._wait += 1
        if self._watch.better(value):
            self._watch.best, self._wait = value, 0
        elif self._wait >= self.patience:
            self.stopped_epoch = epoch
            self.program.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._best_state is not None:
            self.program.load_state(self._best_state)

    def _remember(self, epoch: int, value: float) -> None:
        """Keep the best epoch's state, also while no epoch has beaten the baseline or ``min_delta``."""
        best = Monitor(self.monitor, self.mode, best=self._best)
        best.check(self.params)
        if best.better(value):
            self._best, self.best_epoch = value, epoch
            self._best_state = self.program.get_state() if self.restore_best_variables else None
