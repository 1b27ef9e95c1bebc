"""Calls by OpenAI's SDK: to servers that speak its protocol and that litellm knows nothing more about.

litellm calls such servers by the same SDK, with three to four times the CPU time around it: see decision 009.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["OpenAIClient"]

#: Clients by event loop, and by what they were made with: connections belong to a loop, and are kept as long as it is.
_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Any, AsyncOpenAI]] = weakref.WeakKeyDictionary()


@atexit.register
def _close() -> None:
    """Close what is open on loops that still run: others have closed their connections themselves."""
    for loop, clients in list(_clients.items()):
        for client in clients.values() if loop.is_running() else ():
            asyncio.run_coroutine_threadsafe(client.close(), loop).result(timeout=5)


class OpenAIClient:
    """One server, with connections that all who name it alike share."""

    def __init__(self, api_base: str | None, timeout_s: float) -> None:
        self.api_base, self.timeout_s = api_base, timeout_s

    def sdk(self, api_key: str | None) -> AsyncOpenAI:
        """The SDK's client on this event loop; it tries once."""
        from openai import AsyncOpenAI

        clients = _clients.setdefault(asyncio.get_running_loop(), {})
        key = (self.api_base, api_key, self.timeout_s)
        if key not in clients:
            clients[key] = AsyncOpenAI(base_url=self.api_base, api_key=api_key, timeout=self.timeout_s, max_retries=0)
        return clients[key]

    async def post(self, path: str, body: Mapping[str, Any], api_key: str | None) -> Any:
        """The parsed reply to one request. Raises the SDK's errors, also where the reply says that it is one."""
        import httpx
        from openai import APIResponseValidationError, APIStatusError

        response = await self.sdk(api_key).post(path, cast_to=httpx.Response, body=dict(body))
        try:
            reply = json.loads(response.content)
        except ValueError as error:
            raise APIResponseValidationError(response, None) from error
        failure = reply.get("error") if isinstance(reply, dict) else None
        if failure:  # some routers answer 200 with an error inside
            said = failure if isinstance(failure, dict) else {"message": failure}
            status = said.get("code")
            status = status if isinstance(status, int) and 400 <= status < 600 else 502
            told = httpx.Response(status, headers=response.headers, request=response.request)
            raise APIStatusError(str(said.get("message")), response=told, body=failure)
        return reply
