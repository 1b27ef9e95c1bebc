"""A trace of the calls that one example makes, wherever in the program they are made."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from paretune.lm.types import Reply

__all__ = ["Call", "Sample", "add_call", "current_sample", "tracing"]


class Sample(NamedTuple):
    """Which sample of a question is drawn: each replicate of a training, and each of its epochs, asks anew.

    ``training``: the example that is run is one to learn from.
    """

    replicate: int = 0
    epoch: int = 0
    training: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module to its language model; ``output`` is None where the reply did not validate. ``chosen`` is
    False of a sample that the module did not pass on (see ``prompting.voting``)."""

    module: str
    inputs: dict[str, Any]
    output: dict[str, Any] | None
    reply: Reply
    chosen: bool = True


_FIRST = Sample()
_calls: contextvars.ContextVar[list[Call] | None] = contextvars.ContextVar("paretune_calls", default=None)
_sample: contextvars.ContextVar[Sample] = contextvars.ContextVar("paretune_sample", default=_FIRST)


@contextlib.contextmanager
def tracing(sample: Sample | None = None) -> Iterator[list[Call]]:
    """Collect the calls made inside the block (and by the tasks it starts), which draw ``sample``, or the same one as
    outside the block. A trace around this one hears nothing of them."""
    calls: list[Call] = []
    tokens = _calls.set(calls), _sample.set(current_sample() if sample is None else sample)
    try:
        yield calls
    finally:
        _calls.reset(tokens[0])
        _sample.reset(tokens[1])


def add_call(call: Call) -> None:
    """Note a call in the current trace, if there is one."""
    calls = _calls.get()
    if calls is not None:
        calls.append(call)


def current_sample() -> Sample:
    """The sample that calls draw here; outside ``fit`` and ``evaluate`` the first one."""
    return _sample.get()
