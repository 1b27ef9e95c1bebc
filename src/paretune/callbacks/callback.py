"""What a callback is, and how the trainer calls several of them."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from paretune.errors import UsageError

__all__ = ["Callback", "CallbackList", "Logs", "Mode", "Monitor", "Trained", "file_of_trial"]

#: Measures by name, the same names as in the history.
Logs = Mapping[str, float]
Mode = Literal["auto", "min", "max"]


class Trained(Protocol):
    """What callbacks may do with the program that is trained."""

    name: str
    stop_training: bool

    def get_state(self) -> dict[str, Any]: ...
    def load_state(self, state: dict[str, Any]) -> None: ...
    def save(self, path: str | Path) -> None: ...
    def save_state(self, path: str | Path) -> None: ...


class Callback:
    """Base class: override the methods you need; they may be async.

    ``self.program`` is the program; setting ``self.program.stop_training = True`` ends the training. ``self.params``
    holds ``epochs``, ``steps`` (batches an epoch) and ``metrics`` (the direction, ``min`` or ``max``, by the name of
    each measure that an epoch's logs will have). Logs are an epoch's measures; those of a batch are the batch's own.
    """

    program: Trained
    params: Mapping[str, Any]

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Hear what is known of the training before it begins."""
        self.params = params

    def set_program(self, program: Trained) -> None:
        """Hear which program is trained."""
        self.program = program

    def set_trial(self, trial: str) -> None:
        """Hear in which trial of a search the training is; never called outside of one."""

    def get_config(self) -> dict[str, Any]:
        """The settings of this callback, as JSON values: a search with other settings is another search."""
        return {
            name: value
            for name, value in vars(self).items()
            if isinstance(value, str | int | float | None) and not name.startswith("_")
        }

    def on_train_begin(self, logs: Logs | None = None) -> Any: ...
    def on_train_end(self, logs: Logs | None = None) -> Any: ...
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> Any: ...
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> Any: ...
    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> Any: ...
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> Any: ...


def file_of_trial(name: str, trial: str) -> str:
    """A name of the trial's own, so that trials keep each other's files: ``{trial}`` is filled in, or the trial stands
    before the suffix."""
    if "{trial}" in name:
        return name.replace("{trial}", trial)
    suffix = re.search(r"(\.[A-Za-z]\w*)?$", name)
    assert suffix is not None, "the pattern matches the empty end"
    return f"{name[: suffix.start()]}-{trial}{suffix[0]}"


class CallbackList:
    """Calls callbacks in their order; an object that lacks a method is not called there."""

    def __init__(self, callbacks: Sequence[Any], program: Trained, params: Mapping[str, Any]) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            for method, value in (("set_params", params), ("set_program", program)):
                getattr(callback, method, _ignore)(value)

    async def call(self, method: str, *arguments: Any) -> None:
        """Call one method of each callback, one after another."""
        for callback in self.callbacks:
            result = getattr(callback, method, _ignore)(*arguments)
            if inspect.isawaitable(result):
                await result


def _ignore(*_: Any) -> None:
    """In the place of a method that a callback does not have."""


class Monitor:
    """A measure that a callback watches, and what counts as better.

    ``auto`` takes the measure's own direction. ``best`` is None until there is something to compare with.
    """

    def __init__(self, name: str, mode: Mode = "auto", min_delta: float = 0.0, best: float | None = None) -> None:
        if mode not in ("auto", "min", "max"):
            raise UsageError(f"mode must be 'auto', 'min' or 'max' (got {mode!r})")
        self.name = name
        self.mode = mode
        self.min_delta = abs(min_delta)
        self.best = best

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise UsageError when no epoch will report the measure: before any call is made."""
        known: Mapping[str, str] = params["metrics"]
        if self.name not in known:
            raise UsageError(f"monitor={self.name!r} is reported by no epoch (there are: {', '.join(known) or 'none'})")
        self._sign = 1.0 if (known[self.name] if self.mode == "auto" else self.mode) == "max" else -1.0

    def better(self, value: float) -> bool:
        """Whether a value is better than the best so far by more than ``min_delta``; NaN never is."""
        if math.isnan(value):
            return False
        return self.best is None or self._sign * (value - self.best) > self.min_delta
