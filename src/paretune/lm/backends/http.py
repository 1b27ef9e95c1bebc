"""HTTP to servers that speak OpenAI's protocol and of whose models litellm knows nothing: see decision 009."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import os
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from paretune.errors import FatalError

if TYPE_CHECKING:
    import httpx

__all__ = ["ServerError", "connections", "post"]

#: Connections belong to an event loop, and are kept as long as it is open: forgotten when a new one asks.
_clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
os.register_at_fork(after_in_child=_clients.clear)


class ServerError(Exception):
    """A reply that is none, by its status or by what it says: ``body`` is the error in it, as far as there is one."""

    def __init__(self, status_code: int, body: Any, response: httpx.Response) -> None:
        self.status_code, self.body, self.response = status_code, body, response
        super().__init__(f"status {status_code}" + (f": {body}" if body else ""))


def connections() -> httpx.AsyncClient:
    """The connections of this event loop, to whatever server; how many calls are in flight is decided elsewhere.

    Proxies are those of the environment, but never for this machine. Raises FatalError when they cannot be used.
    """
    import httpx

    loop = asyncio.get_running_loop()
    if loop not in _clients:
        for ended in [each for each in list(_clients) if each.is_closed()]:
            _clients.pop(ended, None)
        try:
            _clients[loop] = httpx.AsyncClient(
                verify=_trusted(),
                follow_redirects=True,
                limits=httpx.Limits(),
                mounts={"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None},
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # else servers would hear of each other
            )
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            raise FatalError(f"the environment's proxies or certificates cannot be used: {error}") from None
    return _clients[loop]


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are trusted, once a process: it takes 25 ms. litellm reads the same variables."""
    import httpx

    wish = os.environ.get("SSL_VERIFY", "")
    if wish.lower() in ("false", "0"):
        return httpx.create_ssl_context(verify=False)
    files = [name for name in (wish, os.environ.get("SSL_CERT_FILE", "")) if os.path.isfile(name)]
    return ssl.create_default_context(cafile=files[0]) if files else httpx.create_ssl_context(trust_env=False)


async def post(address: str, path: str, body: Mapping[str, Any], key: str, timeout_s: float) -> Any:
    """The parsed reply to one request. Raises ServerError, and httpx's errors; nothing is tried again.

    ``address`` may end with a query, which stays at the end.
    """
    import httpx

    base = httpx.URL(address)
    place, mark, query = base.raw_path.partition(b"?")
    url = base.copy_with(raw_path=place.rstrip(b"/") + path.encode() + mark + query)
    headers = {"Authorization": f"Bearer {key}"}
    if (url.port or 0) > 65535:
        raise httpx.InvalidURL(f"port {url.port} is none")
    response = await connections().post(url, json=dict(body), headers=headers, timeout=timeout_s)
    reply, unreadable = None, ""
    try:
        reply = json.loads(response.content)
    except (ValueError, RecursionError) as error:
        unreadable = f"the server's reply is no completion ({error})"
    if unreadable:
        status, said = (response.status_code, response.text) if response.is_error else (502, unreadable)
        raise ServerError(status, said, response)
    failure = reply.get("error") if isinstance(reply, dict) else None
    if response.is_error or failure:  # some routers answer 200 with an error inside
        status = response.status_code if response.is_error else _status_in(failure)
        raise ServerError(status, failure or reply, response)
    return reply


def _status_in(failure: Any) -> int:
    """The status that an error inside a reply names; else that of a bad gateway."""
    try:
        status = int(failure["code"])
    except (KeyError, OverflowError, TypeError, ValueError):
        return 502
    return status if 400 <= status < 600 else 502


@atexit.register
def _close() -> None:
    """Close what is open on loops that still run, if they have the time; the others' connections end with them."""
    for loop, client in list(_clients.items()):
        if loop.is_running():
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(timeout=1)
