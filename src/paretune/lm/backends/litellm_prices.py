"""What calls cost by litellm's list: computed by litellm, which is loaded where it takes more than two products."""

from __future__ import annotations

import functools
import importlib.metadata
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from paretune.files import digest
from paretune.lm.backends.litellm_errors import load_litellm
from paretune.lm.backends.litellm_names import contains_listed, entry_of
from paretune.lm.types import Answer, Reply

__all__ = ["ListedPrice", "listed_price"]

#: Subscriptions: a token costs nothing by itself, and litellm would log in to tell.
_SUBSCRIBED = ("github_copilot", "chatgpt")
#: Of these litellm would ask a server what it knows of a model.
_ASKED = ("huggingface", "ollama", "ollama_chat")
#: Prices that depend on the length of the prompt begin above so many tokens at the earliest.
_BELOW_ALL_TIERS = 100_000
#: Prices that are no matter of tokens of prompt and completion alone.
_MORE = re.compile(r"tiered_pricing|off_peak|per_(request|second|character)")
#: Of providers with rules of their own.
_RULES = ("bedrock_mantle", "perplexity")
_PLAIN = {"prompt_tokens", "completion_tokens", "total_tokens"}
_TIER = re.compile(r"_(batches|flex|balanced|priority|fast|ultrafast|decisions)$")
_OF_PROMPTS = ("input_cost_per_token", "cache_read_input_token_cost", "cache_creation_input_token_cost")
_OF_COMPLETIONS = ("output_cost_per_token", "output_cost_per_reasoning_token")


class ListedPrice:
    """The price of a model that litellm lists. ``prompt`` and ``completion`` are its usual rates, in US dollars per
    million tokens; caches, tiers, reasoning and the like have rates of their own."""

    def __init__(self, model: str, rates: Mapping[str, Any], prompt: float, completion: float) -> None:
        self.model = model
        self.rates = rates
        self.prompt, self.completion = (float(f"{rate * 1e6:.12g}") for rate in (prompt, completion))
        odd = str(rates.get("litellm_provider")).startswith(_RULES) or any(map(_MORE.search, rates))
        self._is_usual = not odd
        by = digest([importlib.metadata.version("litellm"), model, rates])[:16]
        self._described = {"prompt": self.prompt, "completion": self.completion, "listed": by}

    def describe(self) -> dict[str, Any]:
        """The usual rates, and a digest of all, with the version of litellm that computes by them."""
        return self._described

    def cost(self, answer: Answer | Reply) -> float:
        """What ``litellm.completion_cost`` says of an answer's usage."""
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        if prompt is None or completion is None:
            return math.nan
        counts = {"prompt_tokens": round(prompt), "completion_tokens": round(completion)}  # an estimate has means
        usage = {name: value for name, value in (answer.usage or {}).items() if name != "estimated"}
        if usage.keys() <= _PLAIN and self._is_usual and prompt <= _BELOW_ALL_TIERS:
            return self._plain(prompt, completion)
        whole = sum(counts.values())
        for account in ({**usage, **counts}, {**counts, "total_tokens": whole}):
            try:
                if not all(0 <= part <= whole for part in _parts(account)):
                    continue
                cost = load_litellm().completion_cost({"model": self.model, "usage": account}, model=self.model)
            except Exception:  # litellm raises all kinds for accounts and for names that it cannot place
                continue
            if isinstance(cost, int | float) and 0 <= cost < math.inf:
                return float(cost)
        return self._plain(prompt, completion)

    def _plain(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6

    def most(self, prompt_tokens: int, completion_tokens: int, service_tier: Any = None) -> float:
        """All tokens at the dearest rate of their kind; those of other service tiers count where one is asked for."""
        rates = list(_rates(self.rates, bool(service_tier)))
        of_prompts, of_completions = (
            max((rate for name, rate in rates if name.startswith(kinds)), default=0.0)
            for kinds in (_OF_PROMPTS, _OF_COMPLETIONS)
        )
        request = max((rate for name, rate in rates if name == "input_cost_per_request"), default=0.0)
        bound = prompt_tokens * of_prompts + completion_tokens * of_completions + request
        if self._is_usual:
            return bound
        account = {"service_tier": service_tier} if service_tier else None
        return max(bound, self.cost(Answer("", prompt_tokens, completion_tokens, usage=account)))


def _parts(usage: Mapping[str, Any]) -> Iterator[float]:
    """The numbers of tokens of each kind, wherever they stand in an account: none is larger than the whole."""
    for name, value in usage.items():
        if isinstance(value, Mapping):
            yield from _parts(value)
        elif isinstance(value, int | float) and name.endswith("_tokens") and name != "total_tokens":
            yield value


def _rates(rates: Any, tiers: bool) -> Iterator[tuple[str, float]]:
    """All rates by name, also those inside of others."""
    for name, value in rates.items() if isinstance(rates, Mapping) else ():
        for each in value if isinstance(value, list) else [value]:
            yield from _rates(each, tiers)
        if isinstance(value, int | float) and (tiers or not _TIER.search(name)):
            yield name, float(value)


@functools.cache
def listed_price(model: str) -> ListedPrice | None:
    """What a model costs by litellm's list; None where it lists no price per token."""
    entry = entry_of(model) or _entry_by_rules(model)
    if entry is None or entry.get("litellm_provider") in _SUBSCRIBED:
        return None
    first = (entry.get("tiered_pricing") or [{}])[0]
    usual = [entry.get(name, first.get(name)) for name in ("input_cost_per_token", "output_cost_per_token")]
    if not all(isinstance(rate, int | float) for rate in usual):
        return None
    return ListedPrice(model, entry, *usual)


def _entry_by_rules(model: str) -> Mapping[str, Any] | None:
    """The entry that litellm's rules find for a name with something around a listed one (a region, a fine-tuning)."""
    if not contains_listed(model) or model.partition("/")[0] in (*_SUBSCRIBED, *_ASKED):
        return None
    try:
        return entry_of(load_litellm().get_model_info(model)["key"])  # for some it makes one up, at no cost
    except Exception:  # litellm raises all kinds for models that it does not list
        return None
