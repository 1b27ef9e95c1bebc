"""Requests, replies and errors as JSON values, for language models that are called from another process or machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from paretune import errors
from paretune.errors import FatalError, ParetuneError
from paretune.lm.options import CallOptions
from paretune.lm.types import Reply, Request

__all__ = ["error_of", "error_values", "reply_of", "reply_values", "request_of", "request_values"]

_FIELDS = [each.name for each in fields(Request) if each.name != "options"]
_REPLY = {each.name for each in fields(Reply)}
#: What some errors say beside their message.
_DETAILS = ("retry_after", "rate_limited", "filtered")


def request_values(request: Request) -> dict[str, Any]:
    """A request as JSON values, whole: ``request_of`` makes the same one again, with the same key in a ledger."""
    values = {name: getattr(request, name) for name in _FIELDS}
    return {**values, "messages": [list(pair) for pair in request.messages], "options": request.options.stated()}


def request_of(values: Mapping[str, Any]) -> Request:
    """The request of some values. Raises TypeError, ValueError or KeyError for what is none."""
    if unknown := set(values) - {*_FIELDS, "options"}:
        raise ValueError(f"no {min(unknown)!r} is known of a request")
    pairs = tuple((str(role), str(content)) for role, content in values["messages"])
    return Request(**{**values, "messages": pairs, "options": CallOptions(**values.get("options", {}))})


def reply_values(reply: Reply) -> dict[str, Any]:
    """A reply as JSON values."""
    return asdict(reply)


def reply_of(values: Mapping[str, Any]) -> Reply:
    """The reply of some values. Raises TypeError for what is none."""
    return Reply(**{name: value for name, value in values.items() if name in _REPLY})


def error_values(error: ParetuneError) -> dict[str, Any]:
    """An error as JSON values."""
    details = {name: getattr(error, name) for name in _DETAILS if hasattr(error, name)}
    return {"kind": type(error).__name__, "message": str(error), **details}


def error_of(values: Mapping[str, Any]) -> ParetuneError:
    """The error of some values: of its kind where that is one of ``paretune.errors``, else a FatalError."""
    kind = values.get("kind")
    found = getattr(errors, kind) if kind in errors.__all__ else FatalError
    details = {name: values[name] for name in _DETAILS if name in values}
    error: ParetuneError = found(str(values.get("message", values)), **details)
    return error
