"""How long the body of a request may be, before anything reads it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["BodyLimit"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_MAX_BYTES = 8 << 20


class BodyLimit:
    """Reads the body of each request and answers 413 to one of more than ``max_bytes``, whatever its headers tell."""

    def __init__(self, app: Callable[[Any, _Receive, _Send], Awaitable[None]], max_bytes: int = _MAX_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Any, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._max_bytes:
                await _too_long(send, self._max_bytes)
                return
        parts: list[_Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]
        await self._app(scope, lambda: _next(parts, receive), send)


async def _next(parts: list[_Message], receive: _Receive) -> _Message:
    return parts.pop() if parts else await receive()


async def _too_long(send: _Send, max_bytes: int) -> None:
    text = f"the body of a request may have {max_bytes >> 20} MiB"
    body = json.dumps({"detail": text, "error": {"message": text, "type": "invalid_request_error"}}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
