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
    """Reads the body of each request and answers 413 to one of more than ``_MAX_BYTES``, whatever its headers tell."""

    def __init__(self, app: Callable[[Any, _Receive, _Send], Awaitable[None]]) -> None:
        self._app = app

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
            if len(body) > _MAX_BYTES:
                await _too_long(send)
                return
        parts: list[_Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]
        await self._app(scope, lambda: _next(parts, receive), send)


async def _next(parts: list[_Message], receive: _Receive) -> _Message:
    return parts.pop() if parts else await receive()


async def _too_long(send: _Send) -> None:
    text = f"the body of a request may have {_MAX_BYTES >> 20} MiB"
    body = json.dumps({"detail": text, "error": {"message": text, "type": "invalid_request_error"}}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
