"""What a provider's account of a call says about tokens, in the words of those who speak OpenAI's protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["billed_completion_tokens", "cached_tokens", "token_count"]


def token_count(tokens: Any) -> int:
    """A number of tokens, however it is written; 0 for what is none."""
    try:
        return max(0, int(float(tokens)))
    except (OverflowError, TypeError, ValueError):
        return 0


def cached_tokens(usage: Mapping[str, Any] | None) -> int:
    """The tokens of the prompt that were read from the provider's cache; they count among those of the prompt.

    ``prompt_tokens_details.cached_tokens`` (OpenAI), ``cache_read_input_tokens`` (Anthropic through litellm),
    ``prompt_cache_hit_tokens`` (DeepSeek), ``cached_tokens`` (Moonshot).
    """
    if not usage:
        return 0
    details = _detail(usage, "prompt_tokens_details", "cached_tokens")
    others = (usage.get(name) for name in ("cache_read_input_tokens", "prompt_cache_hit_tokens", "cached_tokens"))
    return next((count for each in (details, *others) if (count := token_count(each))), 0)


def billed_completion_tokens(completion_tokens: int, usage: Mapping[str, Any] | None) -> int:
    """The tokens of a completion with those of its reasoning: most providers count these among them, and where the
    total says that they come on top (xAI), they are added."""
    if not usage:
        return completion_tokens
    reasoning = token_count(_detail(usage, "completion_tokens_details", "reasoning_tokens"))
    prompt, total = token_count(usage.get("prompt_tokens")), token_count(usage.get("total_tokens"))
    return completion_tokens + reasoning * (total == prompt + completion_tokens + reasoning)


def _detail(usage: Mapping[str, Any], details: str, name: str) -> Any:
    found = usage.get(details)
    return found.get(name) if isinstance(found, Mapping) else None
