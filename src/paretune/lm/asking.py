"""Who asks: the search, the trial, the example and the module on whose behalf a language model is called."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

__all__ = ["Asker", "asking", "current_asker"]


class Asker(NamedTuple):
    """On whose behalf a call is made; None where that is not known.

    ``example`` is a part and an index (``train/12``, ``val/3``), ``module`` the name of the module that asks.
    """

    search: str | None = None
    trial: str | None = None
    example: str | None = None
    module: str | None = None


_asker: ContextVar[Asker] = ContextVar("paretune_asker", default=Asker())  # noqa: B039  (a tuple cannot change)


def current_asker() -> Asker:
    """Whoever asks here."""
    return _asker.get()


@contextlib.contextmanager
def asking(
    *, search: str | None = None, trial: str | None = None, example: str | None = None, module: str | None = None
) -> Iterator[Asker]:
    """Say who asks inside the block; what is None is as outside of it. Each task sees its own."""
    given = Asker(search, trial, example, module)
    outer = _asker.get()
    asker = Asker(*(theirs if mine is None else mine for mine, theirs in zip(given, outer, strict=True)))
    token = _asker.set(asker)
    try:
        yield asker
    finally:
        _asker.reset(token)
