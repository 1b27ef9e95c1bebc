"""OpenAI's protocol, which litellm and most servers speak: a request in its words, and what its replies say."""

from __future__ import annotations

from typing import Any, NamedTuple

from paretune.lm.types import Request

__all__ = ["Said", "asked", "options", "read_reply"]


class Said(NamedTuple):
    """What a reply says: its text, why it ended there, and the server's account of the tokens (empty: none)."""

    text: str
    finish_reason: str | None
    usage: dict[str, Any]


def asked(request: Request) -> dict[str, Any]:
    """The messages of a chat, or the text to continue."""
    if request.structured_output == "completion":
        return {"prompt": request.messages[0][1]}
    return {"messages": [{"role": role, "content": content} for role, content in request.messages]}


def options(request: Request) -> dict[str, Any]:
    """Everything else that is set. A grammar is no part of the protocol, but known to servers that can use one."""
    values: dict[str, Any] = {
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "reasoning_effort": request.reasoning_effort,
        "stop": list(request.stop) or None,
    }
    name, schema = request.schema_name, request.schema
    if request.structured_output == "native":
        form = {"name": name, "schema": schema, "strict": True}
        values["response_format"] = {"type": "json_schema", "json_schema": form}
    elif request.structured_output == "tool":
        values["tools"] = [{"type": "function", "function": {"name": name, "parameters": schema}}]
        values["tool_choice"] = {"type": "function", "function": {"name": name}}
    return {name: value for name, value in values.items() if value is not None}


def read_reply(reply: Any, request: Request) -> Said:
    """The first choice of a reply, which is parsed JSON of any shape. Raises ValueError where it is no completion."""
    try:
        choice = reply["choices"][0]
        if request.structured_output == "completion":
            text = choice["text"]
        else:
            message = choice["message"]
            calls = message.get("tool_calls")
            text = (calls[0]["function"]["arguments"] if calls else message.get("content")) or ""
    except (AttributeError, IndexError, KeyError, TypeError):
        raise ValueError("it holds no choices") from None
    if not isinstance(text, str):
        raise ValueError(f"its text is a {type(text).__name__}")
    usage = reply.get("usage")
    known = {name: value for name, value in usage.items() if value is not None} if isinstance(usage, dict) else {}
    return Said(text, choice.get("finish_reason"), known)
