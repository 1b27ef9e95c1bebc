"""Save the program as it is trained."""

from __future__ import annotations

from pathlib import Path

from paretune.callbacks.callback import Callback, Logs, Mode, Monitor, file_of_trial
from paretune.errors import UsageError

__all__ = ["ProgramCheckpoint"]


class ProgramCheckpoint(Callback):
    """Save the program after each epoch, or after each epoch that is the best so far.

    Parameters
    ----------
    filepath
        Where to; may have ``{epoch}`` (from 1) and measures in it: ``"{epoch:02d}-{val_reward:.2f}.json"``. In a search
        each trial has files of its own: ``{trial}`` is its number, which else stands before the suffix.
    monitor, mode
        The measure that says what is best, and its direction; looked at with ``save_best_only``.
    save_best_only
        Keep only what is better than all before.
    save_variables_only
        Write only the state (``Program.save_state``), not the whole program (``Program.save``).
    initial_value_threshold
        With ``save_best_only``: nothing is saved that is not better than this.
    """

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_reward",
        verbose: int = 0,
        save_best_only: bool = False,
        save_variables_only: bool = False,
        mode: Mode = "auto",
        initial_value_threshold: float | None = None,
    ) -> None:
        self.filepath = str(filepath)
        self.monitor = monitor
        self.save_best_only = save_best_only
        self.save_variables_only = save_variables_only
        self.mode: Mode = mode
        self.initial_value_threshold = initial_value_threshold
        self._watch = Monitor(monitor, mode, best=initial_value_threshold)

    def set_trial(self, trial: str) -> None:
        self.filepath = file_of_trial(self.filepath, trial)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._path(1, dict.fromkeys(self.params["metrics"], 0.0))
        if self.save_best_only:
            self._watch.check(self.params)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self.save_best_only:
            value = logs[self.monitor]
            if not self._watch.better(value):
                return
            self._watch.best = value
        path = self._path(epoch + 1, logs)
        if self.save_variables_only:
            self.program.save_state(path)
        else:
            self.program.save(path)

    def _path(self, epoch: int, logs: Logs) -> Path:
        try:
            return Path(self.filepath.format(epoch=epoch, **logs))
        except KeyError as error:
            known = ", ".join(["epoch", *logs])
            raise UsageError(f"filepath={self.filepath!r} names {error}, which no epoch reports ({known})") from None
        except (ValueError, IndexError, AttributeError) as error:
            raise UsageError(f"filepath={self.filepath!r} cannot be filled in: {error}") from None
