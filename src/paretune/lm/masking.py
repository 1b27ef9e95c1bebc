"""Keeping keys and passwords out of every text that is shown or stored."""

from __future__ import annotations

import base64
import functools
import os
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from paretune.files import digest

__all__ = ["logins_of", "masked", "place_of", "public_address", "without_login", "without_secrets"]

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


def without_secrets(value: Any, secrets: Iterable[str]) -> Any:
    """A JSON value without these secrets (of eight characters or more), in any text of it, names of fields too.

    Shorter ones are words of a reply as well.
    """
    forms = _forms(tuple(secrets))
    return _replaced(value, forms) if forms else value


@functools.lru_cache(maxsize=256)
def _forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """How secrets are written, the longest first."""
    long = {form for secret in secrets if len(secret) >= 8 for form in (secret, quote(secret, safe=""))}
    return tuple(sorted(long, key=len, reverse=True))


def _replaced(value: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _MASK)
    elif isinstance(value, dict):
        return {_replaced(name, secrets): _replaced(item, secrets) for name, item in value.items()}
    elif isinstance(value, list):
        return [_replaced(item, secrets) for item in value]
    return value


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
    """The secrets in an address: the password, plain and as HTTP sends it beside the user name (short ones are masked
    only after the word Basic), and the query."""
    if address is None:
        return ()
    parts = urlsplit(address)
    _, header = without_login(address)
    sent = header or ""
    return tuple(filter(None, (sent, sent.removeprefix("Basic "), unquote(parts.password or ""), parts.query)))


def without_login(address: str) -> tuple[str, str | None]:
    """An address without user and password, and the value of the header Authorization that stands for them."""
    parts = urlsplit(address)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (user or password):
        return address, None
    header = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), header
