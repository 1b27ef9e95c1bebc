"""What goes to a model, by event loop: who may call within its limits, and what is being asked."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from paretune.files import canonical_json
from paretune.lm.limiter import Limiter, Places
from paretune.lm.sending import Sending
from paretune.lm.settings import Settings

__all__ = ["Lane", "Traffic"]

Each = TypeVar("Each")

_Shared = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakValueDictionary[str, Any]]
#: On each event loop, the limiter of all models that are made alike, and the places of all models of a server.
_limiters: _Shared = weakref.WeakKeyDictionary()
_places: _Shared = weakref.WeakKeyDictionary()


class Lane(NamedTuple):
    """The traffic of a model on one event loop."""

    limiter: Limiter
    #: What is being asked, by key.
    on_the_way: dict[str, Sending]


class Traffic:
    """The traffic of a model; what is not ``shared`` has limits of its own."""

    def __init__(self, model: str, settings: Settings, *, shared: bool) -> None:
        server, key = settings.api_base, settings.api_key_env
        self._limits = (settings.concurrency, settings.requests_per_minute, settings.tokens_per_minute)
        self._alike = canonical_json([model, server, key, *self._limits]) if shared else None
        self._server = None
        if shared and server is not None:
            self._server = canonical_json([server.rstrip("/"), settings.concurrency])
        self._lanes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Lane] = weakref.WeakKeyDictionary()

    def here(self, pause: Callable[[float], Awaitable[object]]) -> Lane:
        """That on the running event loop, where a limiter waits by ``pause``."""
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None:
            lane = self._lanes[loop] = Lane(self._limiter(pause), {})
        return lane

    def _limiter(self, pause: Callable[[float], Awaitable[object]]) -> Limiter:
        concurrency = self._limits[0]
        places = None if self._server is None else _one_for_all(_places, self._server, lambda: Places(concurrency))

        def make() -> Limiter:
            return Limiter(*self._limits, pause=pause, places=places)

        return make() if self._alike is None else _one_for_all(_limiters, self._alike, make)


def _one_for_all(shared: _Shared, alike: str, make: Callable[[], Each]) -> Each:
    known = shared.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
    found: Each | None = known.get(alike)
    if found is None:
        found = known[alike] = make()
    return found
