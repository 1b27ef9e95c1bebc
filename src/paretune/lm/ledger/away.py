"""What is kept on another machine may be away for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from paretune.errors import ConfigError

__all__ = ["AWAY_S", "AwayError", "patiently"]

Result = TypeVar("Result")

#: So long, in seconds, a server that is away is waited for before anything is paid for.
AWAY_S = 60.0


class AwayError(ConfigError):
    """Nobody answers there now."""


async def patiently(attempt: Callable[[], Awaitable[Result]]) -> Result:
    """The result of ``attempt``, tried again while it raises AwayError; after ``AWAY_S`` that is raised."""
    deadline, pause_s = time.monotonic() + AWAY_S, 0.05
    while True:
        try:
            return await attempt()
        except AwayError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(pause_s)
        pause_s = min(1.0, 2 * pause_s)
