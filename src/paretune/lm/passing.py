"""Requests that a program of one's own composed in OpenAI's protocol: passed on whole, and read only for what paretune
must know of them: what they ask, how long a reply may get, and what it may cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from paretune.lm.options import CallOptions
from paretune.lm.types import Request

__all__ = ["PATHS", "links_media", "messages_in", "options_in", "passed", "reply_text"]

#: Where requests are passed on to, below the address of a server.
PATHS = ("/chat/completions", "/completions", "/embeddings")
#: What says which model, and in which form the reply is handed over: no part of the question.
_OUTER = ("model", "stream", "stream_options")
_LENGTHS = ("max_completion_tokens", "max_tokens")
#: The longest reply that a limit is taken for one.
_LONGEST = 10_000_000


def passed(path: str, fields: Mapping[str, Any], *, replicate: int = 0, epoch: int = 0, draw: int = 0) -> Request:
    """The request that passes on a body (its ``fields`` are JSON values) to one of ``PATHS``."""
    body = {name: value for name, value in fields.items() if name not in _OUTER}
    lengths = [value for name in _LENGTHS if type(value := body.get(name)) is int and 0 < value <= _LONGEST]
    longest = 1 if path == "/embeddings" else max(lengths, default=None)
    tier = body.get("service_tier")
    options = CallOptions(max_tokens=longest, extra={"service_tier": tier} if isinstance(tier, str) else {})
    messages = tuple(messages_in(body))
    return Request(messages, options=options, replicate=replicate, epoch=epoch, draw=draw, path=path, body=body)


def messages_in(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The (role, text) pairs of a body: its messages, or what is to be continued or embedded."""
    messages = body.get("messages")
    if isinstance(messages, list):
        for message in filter(lambda each: isinstance(each, dict), messages):
            yield str(message.get("role", "")), _message_text(message)
    else:
        yield "", _text(body.get("prompt", body.get("input")))


def options_in(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a body beside what is asked."""
    return {name: value for name, value in body.items() if name not in ("messages", "prompt", "input")}


def reply_text(reply: str) -> str:
    """What a whole reply says: the text of each choice and the tools that it calls; of embeddings how many they are."""
    parsed = json.loads(reply)
    if "choices" not in parsed:
        return f"{len(parsed['data'])} embeddings"
    return "\n\n".join(_message_text(each.get("message", each)) for each in parsed["choices"])


def _message_text(message: Mapping[str, Any]) -> str:
    """What a message says: its text, and the tools that it calls, as JSON names them."""
    calls = message.get("tool_calls")
    called = [each.get("function") for each in calls if isinstance(each, dict)] if isinstance(calls, list) else []
    texts = [_text(message.get("content", message.get("text")))]
    texts += [f"{call.get('name')}({call.get('arguments')})" for call in called if call]
    return "\n".join(filter(None, texts))


def links_media(request: Request) -> bool:
    """Whether a request names pictures, sounds or files that lie elsewhere, whose tokens nobody can count."""
    return request.body is not None and any(_links(request.body.get("messages")))


def _links(value: Any) -> Iterator[bool]:
    waiting = [value]
    for part in waiting:
        if isinstance(part, dict):
            yield str(part.get("url", "data:")).partition(":")[0] != "data" or "file_id" in part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _text(value: Any) -> str:
    """A text, or the texts of parts; of what is no text, nothing."""
    if isinstance(value, list):
        return "\n".join(filter(None, map(_text, value)))
    if isinstance(value, dict):
        return _text(value.get("text"))
    return value if isinstance(value, str) else ""
