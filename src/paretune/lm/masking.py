"""Keeping keys and passwords out of every text that is shown or stored."""

from __future__ import annotations

import base64
import functools
import os
import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from paretune.files import digest

__all__ = ["logins_of", "masked", "place_of", "public_address", "without_login"]

_MASK = "***"
_MARKED = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")
_LOGIN = re.compile(r"//[^/\s]*@")


def masked(text: str, *known: str | None) -> str:
    """A text without the ``known`` secrets, without anything that the environment calls a key, a token, a secret or a
    password (of eight characters or more), and without the logins of addresses."""
    values = {value.strip() for name, value in os.environ.items() if _MARKED.search(name.upper())}
    values = {value for value in values if len(value) >= 8} | {value for value in known if value}
    values |= {quote(value, safe="") for value in values}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, _MASK)
    return _LOGIN.sub("//", text)


def public_address(address: str | None) -> str | None:
    """An address as it may be shown: without user, password, query and fragment."""
    if address is None:
        return None
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def place_of(address: str | None) -> str | None:
    """What an address adds to the identity of a model: the public part, and a digest of the query."""
    query = "" if address is None else urlsplit(address).query
    return f"{public_address(address)}?sha256:{digest(query)}" if query else public_address(address)


@functools.lru_cache(maxsize=256)
def logins_of(address: str | None) -> tuple[str, ...]:
    """The secrets in an address: the password, plain and as HTTP sends it beside the user name, and the query."""
    if address is None:
        return ()
    parts = urlsplit(address)
    _, header = without_login(address)
    sent = (header or "").removeprefix("Basic ")
    return tuple(filter(None, (unquote(parts.password or ""), sent, parts.query)))


def without_login(address: str) -> tuple[str, str | None]:
    """An address without user and password, and the value of the header Authorization that stands for them."""
    parts = urlsplit(address)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (user or password):
        return address, None
    header = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), header
