"""OpenAI's protocol, which litellm and most servers speak: a request in its words, and what its replies say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from paretune.lm.types import REFUSAL, Request
from paretune.lm.usage import token_count

__all__ = ["Completion", "prompt_of", "options", "read_completion", "read_passed"]

#: No call takes so many tokens; sums of them stay within the whole numbers of SQLite.
_MOST_TOKENS = 10**12
_USUAL_TIERS = ("auto", "default", "standard")
#: Where servers put a model's thoughts: fields of the message, or parts of its content by their type.
_REASONING, _THINKING = ("reasoning_content", "reasoning"), ("thinking", "reasoning")
_THOUGHTS = re.compile(r"\A\s*<(think|thinking)>(.*?)</\1>", re.DOTALL)


class Completion(NamedTuple):
    """What a reply says: its text, why it ended there, the server's account of the tokens (empty: none), and what the
    model thought before it replied, where the server tells."""

    text: str
    finish_reason: str | None
    usage: dict[str, Any]
    reasoning: str | None = None


def prompt_of(request: Request) -> dict[str, Any]:
    """The messages of a chat, or the text to continue."""
    if request.structured_output == "completion":
        return {"prompt": request.messages[0][1]}
    return {"messages": [{"role": role, "content": content} for role, content in request.messages]}


def options(request: Request) -> dict[str, Any]:
    """Everything else that is set. A grammar is no part of the protocol, but known to servers that can use one."""
    values = request.options.stated()
    values |= values.pop("extra", {})
    if "seed" in values:
        values["seed"] = _seed(request)
    name, schema = request.schema_name, request.schema
    if request.structured_output == "native":
        form = {"name": name, "schema": schema, "strict": True}
        values["response_format"] = {"type": "json_schema", "json_schema": form}
    elif request.structured_output == "tool":
        values["tools"] = [{"type": "function", "function": {"name": name, "parameters": schema}}]
        values["tool_choice"] = {"type": "function", "function": {"name": name}}
    return values


def _seed(request: Request) -> int:
    """Another one for each replicate, epoch and draw, which have replies of their own; first the option itself."""
    own = 1_000_003 * request.replicate + 1_009 * request.epoch + 15_485_863 * request.draw
    return ((request.options.seed or 0) + own) % 2**31


def read_completion(reply: Any, request: Request) -> Completion:
    """The first choice of a reply, which is parsed JSON of any shape. Raises ValueError where it is no completion."""
    try:
        choice = reply["choices"][0]
        if error := choice.get("error"):
            raise ValueError(f"it says: {error.get('message', error) if isinstance(error, dict) else error}")
        text = choice["text"] if request.structured_output == "completion" else _text_of(choice["message"])
    except (AttributeError, IndexError, KeyError, TypeError):
        raise ValueError("it holds no choices") from None
    if not isinstance(text, str):
        raise ValueError(f"its text is a {type(text).__name__}")
    reason = choice.get("finish_reason")
    if not text and (refusal := _refusal_of(choice.get("message"))):
        text, reason = refusal, REFUSAL
    reason = reason if isinstance(reason, str) else None
    usage = _usage_of(reply.get("usage"), reply.get("service_tier"))
    return Completion(text, reason, usage, _reasoning_of(choice.get("message")))


def read_passed(reply: str, request: Request) -> Completion:
    """The whole of a reply to a request that was passed on, as its text. Raises ValueError where it is none."""
    parsed = json.loads(reply)
    name = "data" if request.path == "/embeddings" else "choices"
    listed = parsed.get(name) if isinstance(parsed, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise ValueError(f"it holds no {name}")
    if failed := next((each["error"] for each in listed if each.get("error")), None):
        raise ValueError(f"it says: {failed}")
    reason = listed[0].get("finish_reason") if listed else None
    usage = _usage_of(parsed.get("usage"), parsed.get("service_tier"))
    return Completion(reply, reason if isinstance(reason, str) else None, usage)


def _text_of(message: Mapping[str, Any]) -> Any:
    """The arguments of a tool call, or the content without the thoughts that some servers leave in it."""
    if calls := message.get("tool_calls"):
        arguments = calls[0]["function"]["arguments"]
        return json.dumps(arguments) if isinstance(arguments, dict) else arguments or ""
    content = message.get("content")
    if isinstance(content, list):  # parts, of which thoughts are others than texts
        content = "".join(part["text"] for part in content if part.get("type") in ("text", "output_text"))
    if isinstance(content, str) and not any(message.get(name) for name in _REASONING):
        content = _THOUGHTS.sub("", content)
    return content or ""


def _reasoning_of(message: Any) -> str | None:
    """The thoughts of a message: a field beside the content, parts of it, or text in tags at its beginning."""
    fields = message if isinstance(message, dict) else {}
    content = fields.get("content")
    parts = content if isinstance(content, list) else []
    thoughts = [_plain_text(part) for part in parts if isinstance(part, dict) and part.get("type") in _THINKING]
    if isinstance(content, str) and (found := _THOUGHTS.match(content)):
        thoughts.append(found[2])
    apart = (fields[name] for name in _REASONING if isinstance(fields.get(name), str))
    return next(filter(None, (*apart, "".join(thoughts).strip())), None)


def _plain_text(part: Any) -> str:
    """The text of a part of a message, which may be cut into parts itself."""
    if isinstance(part, list):
        return "".join(map(_plain_text, part))
    if isinstance(part, dict):
        return _plain_text(next((part[name] for name in ("text", *_THINKING) if name in part), None))
    return part if isinstance(part, str) else ""


def _refusal_of(message: Any) -> str | None:
    """The text in which a model refuses, which litellm hands on among the provider's own fields."""
    fields = message if isinstance(message, dict) else {}
    own = fields.get("provider_specific_fields")
    refusal = fields.get("refusal") or (own.get("refusal") if isinstance(own, dict) else None)
    return refusal if isinstance(refusal, str) else None


def _usage_of(usage: Any, service_tier: Any) -> dict[str, Any]:
    """A server's account with whole numbers of tokens, and how it served the call where that has a price of its own;
    empty where it has no tokens of the prompt, which is never empty, or where a number is beyond belief."""
    if not isinstance(usage, dict):
        return {}
    known = {name: value for name, value in usage.items() if value is not None}
    if isinstance(service_tier, str) and service_tier not in _USUAL_TIERS:
        known.setdefault("service_tier", service_tier)
    prompt, completion, total = (token_count(known.get(f"{part}_tokens")) for part in ("prompt", "completion", "total"))
    if not prompt or max(prompt, completion, total) > _MOST_TOKENS:
        return {}
    return {**known, "prompt_tokens": prompt, "completion_tokens": completion or max(0, total - prompt)}
