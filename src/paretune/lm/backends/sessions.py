"""aiohttp's sessions, each closed when its event loop ends, and all that are left at the end of the process."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import aiohttp

__all__ = ["open_session"]


class _OpenSession(NamedTuple):
    """A session, its loop, and what closes it."""

    session: aiohttp.ClientSession
    loop: asyncio.AbstractEventLoop
    closing: AsyncGenerator[None]


_open: list[_OpenSession] = []


def open_session(**options: Any) -> aiohttp.ClientSession:
    """A session on this event loop that is closed with it; the options are those of ``aiohttp.ClientSession``."""
    import aiohttp

    for old in [old for old in _open if old.loop.is_closed() or old.session.closed]:
        _close(old)
    session = aiohttp.ClientSession(**options)
    closing = _closing(session)
    # A loop that ends closes the asynchronous generators that were begun on it: asyncio.run() waits for that.
    _run_now(closing.__anext__())
    _open.append(_OpenSession(session, asyncio.get_running_loop(), closing))
    return session


async def _closing(session: aiohttp.ClientSession) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await session.close()


def _run_now(step: Any) -> None:
    """Run what never suspends."""
    with contextlib.suppress(StopIteration, StopAsyncIteration):
        step.__await__().send(None)


def _close(old: _OpenSession) -> None:
    """Close a session from outside of its loop, which may run, stand still, or be closed."""
    with contextlib.suppress(ValueError):  # another thread was faster
        _open.remove(old)
    if old.session.closed:
        return
    if old.loop.is_closed():
        _run_now(old.closing.aclose())
    elif old.loop.is_running():  # in another thread; at the end of the process it may lack the time
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(old.session.close(), old.loop).result(timeout=1)
    else:
        old.loop.run_until_complete(old.session.close())


@atexit.register
def _close_all() -> None:
    for old in list(_open):
        with contextlib.suppress(Exception):
            _close(old)


def _forget_parents() -> None:
    """Close nothing of the parent's in a fork: its sockets, and the selector of its loop, are shared with it."""
    for old in _open:
        connector = old.session.connector
        old.session.detach()
        if connector is not None:
            connector._conns.clear()  # else it would close them when it is forgotten
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)
