"""Who asks: the search, the trial and the example on whose behalf a language model is called."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

__all__ = ["Caller", "attributed_to", "current_caller"]


class Caller(NamedTuple):
    """On whose behalf a call is made; None where that is not known.

    ``example`` is a part and an index (``train/12``, ``val/3``).
    """

    search: str | None = None
    trial: str | None = None
    example: str | None = None


_caller: ContextVar[Caller] = ContextVar("paretune_caller", default=Caller())  # noqa: B039  (a tuple cannot change)


def current_caller() -> Caller:
    """Whoever asks here."""
    return _caller.get()


@contextlib.contextmanager
def attributed_to(
    *, search: str | None = None, trial: str | None = None, example: str | None = None
) -> Iterator[Caller]:
    """Say who asks inside the block; what is None is as outside of it. Each task sees its own."""
    given = Caller(search, trial, example)
    outer = _caller.get()
    caller = Caller(*(theirs if mine is None else mine for mine, theirs in zip(given, outer, strict=True)))
    token = _caller.set(caller)
    try:
        yield caller
    finally:
        _caller.reset(token)
