"""OpenAI's protocol as a server speaks it: bodies of requests, errors, and replies cut into events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from paretune.errors import BudgetError, ParetuneError, RefusedInputError, TransientError
from paretune.lm.passing import PATHS

__all__ = ["Refusal", "events", "fields_of", "refusal_of"]

#: What each kind of request cannot do without.
_NEEDED = dict(zip(PATHS, ("messages", "prompt", "input"), strict=True))


class Refusal(Exception):
    """What a client is told in the place of a reply: a status and an error in OpenAI's words."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": code}}


class _Kind(NamedTuple):
    status: int
    type: str
    code: str | None = None


def refusal_of(error: ParetuneError) -> Refusal:
    """What a client is told of an error. Attempts were repeated already, so none tells it to try again."""
    if isinstance(error, BudgetError):
        kind = _Kind(429, "insufficient_quota", "budget_exceeded")
    elif isinstance(error, TransientError) and error.rate_limited:
        kind = _Kind(429, "rate_limit_error", "rate_limit_exceeded")
    elif isinstance(error, TransientError):
        kind = _Kind(503, "server_error", "upstream_unavailable")
    elif isinstance(error, RefusedInputError) and error.filtered:
        kind = _Kind(400, "invalid_request_error", "content_filter")
    else:
        kind = _Kind(400, "invalid_request_error")
    return Refusal(kind.status, str(error), kind.type, kind.code)


def fields_of(path: str, content: bytes) -> dict[str, Any]:
    """The fields of a body. Raises Refusal for one that cannot be passed on."""
    try:
        fields = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Refusal(400, "the body must be a JSON object")
    needed = _NEEDED[path]
    if not isinstance(fields.get("model", ""), str) or not isinstance(fields.get("stream") or False, bool):
        raise Refusal(400, "model must be a text, and stream true or false")
    if not fields.get(needed) or (needed == "messages" and not isinstance(fields[needed], list)):
        raise Refusal(400, f"the body must have {needed}{' (a list)' if needed == 'messages' else ''}")
    return fields


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def events(path: str, reply: str, fields: Mapping[str, Any]) -> Iterator[bytes]:
    """A stored reply as server-sent events, as OpenAI streams it: of each choice a chunk with all that it says and one
    that ends it, then the usage where ``stream_options`` wants it. Raises ValueError for what is no completion."""
    whole = json.loads(reply)
    options = fields.get("stream_options")
    with_usage = isinstance(options, dict) and options.get("include_usage") is True
    base = {name: value for name, value in whole.items() if name not in ("choices", "usage")}
    if path == "/chat/completions":
        base["object"] = "chat.completion.chunk"
    if with_usage:
        base["usage"] = None
    for choice in whole["choices"]:
        for part in _parts(choice) if path == "/chat/completions" else [choice]:
            yield _event({**base, "choices": [part]})
    if with_usage:
        yield _event({**base, "choices": [], "usage": whole.get("usage")})
    yield b"data: [DONE]\n\n"


def _parts(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A choice of a chat as two chunks; calls of tools have their place in the list, as the client puts them together
    by it."""
    delta = {name: value for name, value in choice["message"].items() if value is not None}
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(calls)]
    outer = {name: value for name, value in choice.items() if name != "message"}
    yield {**outer, "delta": delta, "finish_reason": None}
    yield {"index": choice.get("index", 0), "delta": {}, "finish_reason": choice.get("finish_reason")}


def _event(value: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
