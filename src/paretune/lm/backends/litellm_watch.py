"""Looking at what litellm sends, and answering in the place of a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

__all__ = ["answered", "lasting_headers", "unsent", "watch"]

#: Headers that belong to one connection or one body.
_OF_ONE_CALL = ("accept-encoding", "connection", "content-length", "host", "transfer-encoding")

_watching: ContextVar[Callable[[httpx.Request], httpx.Response | None] | None] = ContextVar("watching", default=None)


def watch(request: httpx.Request) -> httpx.Response | None:
    """Show a request that litellm is about to send to whoever watches this call: the reply where that gives one, in the
    place of the server's; None where it is to be sent."""
    watching = _watching.get()
    return None if watching is None else watching(request)


async def answered(
    by_litellm: Callable[[], Awaitable[Any]], answer: Callable[[httpx.Request], httpx.Response | None]
) -> Any:
    """What a call of litellm's comes to where ``answer`` replies in the place of the server; None: it is sent."""
    token = _watching.set(answer)
    try:
        return await by_litellm()
    finally:
        _watching.reset(token)


class _NotSentError(Exception):
    """Ends a call of litellm's before anything is sent."""


async def unsent(by_litellm: Callable[[], Awaitable[Any]]) -> httpx.Request:
    """The request that a call of litellm's would send, which is not sent. Raises what litellm raises before that."""
    found: list[httpx.Request] = []

    def stop(request: httpx.Request) -> httpx.Response:
        found.append(request)
        raise _NotSentError

    try:
        await answered(by_litellm, stop)
    except Exception:
        if not found:
            raise
    return found[0]


def lasting_headers(request: httpx.Request) -> dict[str, str]:
    """The headers that do not belong to one connection or one body."""
    return {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_CALL}
