"""A trace of the calls that one example makes, wherever in the program they are made."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from paretune.lm.types import Reply

__all__ = ["Call", "add_call", "current_replicate", "is_training", "tracing"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module to its language model; ``output`` is None where the reply did not validate."""

    module: str
    inputs: dict[str, Any]
    output: dict[str, Any] | None
    reply: Reply


_calls: contextvars.ContextVar[list[Call] | None] = contextvars.ContextVar("paretune_calls", default=None)
_replicate: contextvars.ContextVar[int] = contextvars.ContextVar("paretune_replicate", default=0)
_training: contextvars.ContextVar[bool] = contextvars.ContextVar("paretune_training", default=False)


@contextlib.contextmanager
def tracing(replicate: int = 0, training: bool = False) -> Iterator[list[Call]]:
    """Collect the calls made inside the block (and by the tasks it starts)."""
    calls: list[Call] = []
    tokens = _calls.set(calls), _replicate.set(replicate), _training.set(training)
    try:
        yield calls
    finally:
        _calls.reset(tokens[0])
        _replicate.reset(tokens[1])
        _training.reset(tokens[2])


def add_call(call: Call) -> None:
    """Note a call in the current trace, if there is one."""
    calls = _calls.get()
    if calls is not None:
        calls.append(call)


def current_replicate() -> int:
    """Which repetition of the same question is being asked."""
    return _replicate.get()


def is_training() -> bool:
    """Whether the example that is being run is one to learn from."""
    return _training.get()
