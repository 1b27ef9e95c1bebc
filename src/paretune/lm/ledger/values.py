"""From a reply to the values of a row and back: nothing that a backend brings may cost the reply it came with."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from paretune.files import canonical_json
from paretune.lm.types import Reply

__all__ = ["AMOUNTS", "COLUMNS", "reply_of", "row_of", "storable", "usage_text", "with_unknown"]

#: The columns of a reply, in the order of ``reply_of``.
COLUMNS = (
    "reply, prompt_tokens, completion_tokens, cost_usd, latency_s, attempts, finish_reason, model, usage, price,"
    " reasoning"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_LARGEST = 2**63 - 1
#: What may be unknown of a recorded reply.
AMOUNTS = ("prompt_tokens", "completion_tokens", "latency_s")


def storable(value: Any) -> Any:
    """A value of a column: half a character becomes U+FFFD, a whole number of more than 64 bits the nearest one."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATES.sub("\ufffd", value)
    return max(-_LARGEST, min(value, _LARGEST)) if isinstance(value, int) else value


def usage_text(usage: dict[str, Any] | None) -> str | None:
    """A provider's account as JSON text; None where there is none, or it is nested too deeply."""
    if usage is None:
        return None
    try:
        return json.dumps(usage, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(repr(usage), ensure_ascii=False)
    except RecursionError:
        return None


def row_of(key: str, model: str, request: Mapping[str, Any] | str, reply: Reply) -> tuple[Any, ...]:
    """The row of a reply that came just now, in the order of ``tables.CALLS``."""
    values = (
        key,
        model,
        request if isinstance(request, str) else canonical_json(request),
        reply.text,
        reply.prompt_tokens or 0,
        reply.completion_tokens or 0,
        reply.finish_reason,
        usage_text(with_unknown(reply)),
        None if reply.price is None else canonical_json(reply.price),
        reply.cost_usd,
        reply.latency_s or 0.0,
        reply.attempts,
        time.time(),
        reply.reasoning,
    )
    return tuple(map(storable, values))


def with_unknown(reply: Reply) -> dict[str, Any] | None:
    """The provider's account of a reply, with null for each amount that nobody knows (its column holds 0)."""
    unknown = {name: None for name in AMOUNTS if getattr(reply, name) is None}
    return {**(reply.usage or {}), **unknown} if unknown else reply.usage


def reply_of(row: Sequence[Any], key: str, served: bool = False) -> Reply:
    """The reply in the ``COLUMNS`` of a row; its cost is what was charged."""
    text, prompt, completion, cost, latency, attempts, finish, model, *accounts, reasoning = row
    usage, price = (_object(account) for account in accounts)
    if usage:
        unknown = [name in usage and usage[name] is None for name in AMOUNTS]
        amounts = zip(unknown, (prompt, completion, latency), strict=True)
        prompt, completion, latency = (None if is_unknown else amount for is_unknown, amount in amounts)
    return Reply(text, prompt, completion, cost, latency, attempts, finish, served, key, model, usage, price, reasoning)


def _object(text: str | None) -> dict[str, Any] | None:
    """A column of JSON; None where it holds no object."""
    try:
        value = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
