"""The address of a server, looked at before anything is sent to it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = ["address_fault", "has_login"]

_LONGEST = 2_000
_ENDPOINTS = ("/chat/completions", "/completions", "/embeddings", "/responses", "/models")


def address_fault(address: str) -> str | None:
    """The rule that an ``api_base`` breaks, with the cure; None where it breaks none."""
    if not address.isprintable() or " " in address or len(address) > _LONGEST:
        return f"must be an address without spaces, of at most {_LONGEST:,} characters"
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", address)
    if scheme is None:
        return f"must begin with http:// or https://, for example http://{address.removeprefix('//') or 'localhost/v1'}"
    if scheme[1].lower() not in ("http", "https"):
        return f"must begin with http:// or https://, not {scheme[0]}"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"must be an address such as http://localhost:8000/v1: {error}"
    if not host:
        return "must name a server: http://localhost:8000/v1"
    path = parts.path.rstrip("/")
    for endpoint in _ENDPOINTS:
        if path.endswith(endpoint):
            return f"must be the address before {endpoint}, which is added to it: drop that"
    return None


def has_login(address: str | None) -> bool:
    """Whether a user's name or a password is part of an address."""
    return address is not None and "@" in urlsplit(address).netloc
