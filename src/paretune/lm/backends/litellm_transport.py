"""litellm's replies, read like our own: none is longer, unpacks to more, or is nested deeper than a reply may be."""

from __future__ import annotations

import httpx
from litellm.llms.custom_httpx.aiohttp_transport import LiteLLMAiohttpTransport

from paretune.lm.backends.bodies import ACCEPTED, UnreadableError, read_body
from paretune.lm.backends.litellm_watch import watch

__all__ = ["limit_replies"]

#: What a body that was read and unpacked has no more.
_ON_THE_WAY = ("content-encoding", "content-length", "transfer-encoding")


def limit_replies() -> None:
    """Limit what all of litellm's clients send through, those that it has made already and those of SDKs too; nothing
    is streamed here. Call it once."""
    exchange = LiteLLMAiohttpTransport.handle_async_request

    async def limited(transport: LiteLLMAiohttpTransport, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = ACCEPTED
        if (answer := watch(request)) is not None:
            return answer
        response = await exchange(transport, request)
        headers = response.headers
        try:
            content = await read_body(response.stream, headers.get("Content-Encoding"))
        except UnreadableError as error:
            raise httpx.DecodingError(str(error), request=request) from None
        kept = [(name, value) for name, value in headers.multi_items() if name.lower() not in _ON_THE_WAY]
        return httpx.Response(response.status_code, headers=kept, content=content, request=request)

    LiteLLMAiohttpTransport.handle_async_request = limited
