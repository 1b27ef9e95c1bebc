"""HTTP to servers that speak OpenAI's protocol, without litellm: see decision 009."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import ssl
import urllib.request
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paretune.errors import FatalError
from paretune.eventloop import once_in_thread
from paretune.lm.backends.bodies import ACCEPTED, UnreadableError, read_body
from paretune.lm.backends.sessions import open_session
from paretune.lm.masking import public_address, without_login

if TYPE_CHECKING:
    import aiohttp
    import yarl

__all__ = ["NoReplyError", "ServerError", "connections", "exchange", "head", "post", "post_to", "status_of"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")

#: Connections belong to an event loop, and are kept as long as it is open.
_sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = weakref.WeakKeyDictionary()


class ServerError(Exception):
    """A reply that is none, by its status or by what it says: ``body`` is the error in it, as far as there is one."""

    def __init__(self, status_code: int, body: Any, headers: Mapping[str, str]) -> None:
        self.status_code, self.body, self.headers = status_code, body, headers
        super().__init__(f"status {status_code}" + (f": {body}" if body else ""))


class NoReplyError(Exception):
    """No reply came."""


async def connections() -> aiohttp.ClientSession:
    """The connections of this event loop, to whatever server; how many calls are in flight is decided elsewhere.

    Proxies are those of the environment, but never for this machine. Raises FatalError when they cannot be used.
    """
    loop = asyncio.get_running_loop()
    session = _sessions.get(loop)
    if session is None or session.closed:
        try:
            trusted = await once_in_thread(_trusted)
            middlewares = _proxies()
        except (ValueError, OSError) as error:
            raise FatalError(f"the environment's proxies or certificates cannot be used: {error}") from None
        if (session := _sessions.get(loop)) is not None and not session.closed:
            return session  # another call was faster
        import aiohttp

        session = _sessions[loop] = open_session(
            connector=aiohttp.TCPConnector(limit=0, ssl=trusted),
            cookie_jar=aiohttp.DummyCookieJar(),  # else servers would hear of each other
            middlewares=middlewares,
            auto_decompress=False,  # it has no limit
        )
    return session


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are trusted, once a process: it takes 25 ms, and the client's import 90. litellm reads the
    same variables."""
    import aiohttp  # noqa: F401
    import certifi

    wish = os.environ.get("SSL_VERIFY", "")
    if wish.lower() in ("false", "0"):
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        return unchecked
    files = [name for name in (wish, os.environ.get("SSL_CERT_FILE", "")) if os.path.isfile(name)]
    return ssl.create_default_context(cafile=files[0] if files else certifi.where())


def _proxies() -> tuple[Any, ...]:
    """What sends each request, after redirects too, through the proxy that the environment names for its address.

    Raises ValueError for a proxy that does not speak HTTP. aiohttp's own reading of the environment knows no ALL_PROXY,
    and takes a thread for each request.
    """
    import yarl

    named = urllib.request.getproxies()
    proxies = {
        scheme: yarl.URL(place if "://" in place else f"http://{place}")
        for scheme in ("http", "https", "all")
        if (place := named.get(scheme))
    }
    for proxy in proxies.values():
        if proxy.scheme not in ("http", "https"):
            raise ValueError(f"a proxy of the kind {proxy.scheme!r}")

    @functools.cache
    def proxy_of(scheme: str, host: str) -> yarl.URL | None:
        direct = host in _LOOPBACK or urllib.request.proxy_bypass(host)
        return None if direct else proxies.get(scheme, proxies.get("all"))

    async def through_proxy(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.update_proxy(proxy_of(request.url.scheme, request.url.host or ""), None, None)
        return await send(request)

    return (through_proxy,) if proxies else ()


@functools.lru_cache(maxsize=256)
def _place(address: str, path: str) -> tuple[yarl.URL, str | None]:
    """Where requests go (the path is added before the query), and the login in the address, as a header has it.

    Raises aiohttp.InvalidURL.
    """
    import aiohttp
    import yarl

    try:
        address, login = without_login(address)
        base = yarl.URL(address)
        if base.scheme not in ("http", "https") or not base.host:
            raise ValueError("it begins with http:// or https://, and a host")
    except ValueError as error:
        raise aiohttp.InvalidURL(public_address(address) or "", str(error)) from None
    return base.with_path(base.raw_path.rstrip("/") + path, encoded=True, keep_query=True), login


async def post(address: str, path: str, fields: Mapping[str, Any], key: str, timeout_s: float) -> tuple[Any, str]:
    """The reply to one request, parsed and as it came. Raises ServerError, NoReplyError, and aiohttp's errors; nothing
    is tried again.

    ``address`` may hold a login, which is sent in the place of the key, and end with a query, which stays at the end.
    """
    url, headers = head(address, path, key)
    return await post_to(url, headers, fields, timeout_s)


async def post_to(
    url: yarl.URL | str, headers: Mapping[str, str], fields: Mapping[str, Any], timeout_s: float
) -> tuple[Any, str]:
    """The reply to one request with these headers; an address that is a text is sent as it is. Raises what ``post``
    raises."""
    status, headers, raw = await exchange(url, headers, fields, timeout_s)
    failed = status >= 400
    reply, unreadable = None, ""
    try:
        reply = json.loads(raw, parse_int=_integer)
    except ValueError as error:
        unreadable = f"the server's reply is no completion ({error})"
    if unreadable:  # raised out here, without that error as its context
        status, body = (status, raw.decode(errors="replace")) if failed else (502, unreadable)
        raise ServerError(status, body, headers)
    failure = reply.get("error") if isinstance(reply, dict) else None
    if failed or failure:  # some routers answer 200 with an error inside
        raise ServerError(status if failed else _status_in(failure), failure or reply, headers)
    return reply, raw.decode(json.detect_encoding(raw), "replace")


async def exchange(
    url: yarl.URL | str, headers: Mapping[str, str], fields: Mapping[str, Any], timeout_s: float
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of the reply to one request, whatever they say. Raises NoReplyError, ServerError for a
    body that cannot be read, and aiohttp's errors."""
    content = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return await _exchange(url, headers, content, timeout_s)


async def status_of(address: str, path: str, key: str, timeout_s: float) -> int:
    """The status of the reply to a request that says nothing, which no server can take for a question: it costs
    nothing, and tells whether there is such a path. Raises what ``post`` raises."""
    await connections()  # what it takes is imported
    status, _, _ = await _exchange(*head(address, path, key), b"", timeout_s)
    return status


def head(address: str, path: str, key: str) -> tuple[yarl.URL, dict[str, str]]:
    """Where a request goes, and its headers."""
    url, login = _place(address, path)
    return url, {"Authorization": login or f"Bearer {key}", "Content-Type": "application/json"}


async def _exchange(
    url: yarl.URL | str, headers: Mapping[str, str], content: bytes, timeout_s: float
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of a reply."""
    import aiohttp
    import yarl

    headers = {**headers, "Accept-Encoding": ACCEPTED}
    url = yarl.URL(url, encoded=True) if isinstance(url, str) else url
    try:
        session = await connections()
        async with session.post(
            url, data=content, headers=headers, timeout=_timeout(timeout_s), max_redirects=20
        ) as response:
            body = await read_body(response.content.iter_any(), response.headers.get("Content-Encoding"))
            return response.status, response.headers, body
    except TimeoutError:
        raise NoReplyError("the call timed out") from None
    except UnreadableError as error:
        raise ServerError(502, str(error), {}) from None
    except aiohttp.TooManyRedirects:
        raise NoReplyError("Connection error: too many redirects") from None


def _integer(digits: str) -> int | float:
    """A number that Python reads as an integer only up to some thousands of digits."""
    return int(digits) if len(digits) < 1000 else float(digits)


@functools.cache
def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    import aiohttp

    return aiohttp.ClientTimeout(total=seconds)


def _status_in(failure: Any) -> int:
    """The status that an error inside a reply names; else that of a bad gateway."""
    try:
        status = int(failure["code"])
    except (KeyError, OverflowError, TypeError, ValueError):
        return 502
    return status if 400 <= status < 600 else 502
