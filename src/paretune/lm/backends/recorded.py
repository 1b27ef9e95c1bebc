"""Recorded replies as a language model: anyone's logs, looked up by the input of an example. Nothing is sent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from paretune.errors import FatalError, NotRecordedError
from paretune.files import digest
from paretune.lm.types import Answer, Price, Pricing, Reply, Request
from paretune.wording import shortened

__all__ = ["PREFIX", "Recorded", "RecordedBackend", "Recordings"]

PREFIX = "recorded/"


class Recorded(NamedTuple):
    """A reply, and what it took, as far as that was recorded: tokens, US dollars, seconds."""

    text: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_s: float | None = None


class Recordings(Protocol):
    """Replies by model, then by what they are looked up by; several of one key are those of its replicates."""

    #: The field of the input that holds the key; None: the only one.
    field: str | None

    def of(self, model: str) -> Mapping[str, Sequence[Recorded]]:
        """The replies of a model. Raises ConfigError where there is none of that name."""


class _RecordedPrice:
    """What the recording says that each call has cost."""

    def describe(self) -> dict[str, Any]:
        return {"recorded": True}

    def cost(self, answer: Answer | Reply) -> float:
        return float((answer.usage or {}).get("cost_usd", math.nan))

    def most(self, prompt_tokens: int, completion_tokens: int, service_tier: Any = None) -> float:
        return 0.0


class RecordedBackend:
    """The model ``recorded/NAME``: a reply depends on the input and the replicate alone, whatever the prompt is."""

    def __init__(self, model: str, recordings: Recordings, fixed_price: Price | None = None) -> None:
        self.model = model
        self._field = recordings.field
        self._replies = recordings.of(model.removeprefix(PREFIX))
        self._price: Pricing | None = fixed_price
        if fixed_price is None and any(one.cost_usd is not None for one in self._all()):
            self._price = _RecordedPrice()
        self._digest: str | None = None

    def identity(self) -> dict[str, Any]:
        """The replies themselves stand for the model."""
        if self._digest is None:
            self._digest = digest({key: list(map(list, replies)) for key, replies in self._replies.items()})
        return {"model": self.model, "endpoint": f"sha256:{self._digest}"}

    def capabilities(self) -> dict[str, Any]:
        return {"structured_output": "native", "reasoning_effort": False, "grammar": False}

    def price(self) -> Pricing | None:
        return self._price

    def unmeasured(self) -> dict[str, str]:
        """Which operational measures cannot be told, and why: by name."""
        count, found = len(self._all()), {}
        for name, lacking in (("tokens_per_request", _lacks_tokens), ("latency", _lacks_latency)):
            if lacks := sum(map(lacking, self._all())):
                found[name] = f"{lacks:,} of the {count:,} replies of {self.model!r} have none recorded"
        if "tokens_per_request" in found and isinstance(self._price, Price):
            found["cost"] = f"its price is by tokens, and {found['tokens_per_request']}"
        lacks = sum(each.cost_usd is None for each in self._all())
        if lacks and isinstance(self._price, _RecordedPrice):
            found["cost"] = f"{lacks:,} of the {count:,} replies of {self.model!r} have none recorded"
        return found

    def read(self, request: Request) -> tuple[Answer, float | None]:
        """The recorded reply to a request, and its seconds.

        Raises NotRecordedError where there is none, FatalError where nobody knows which part of the input it is looked
        up by.
        """
        key = self._key(request)
        replies = self._replies.get(key)
        if replies is None:
            known = f"{len(self._replies):,} are, such as {_short(next(iter(self._replies)))}"
            raise NotRecordedError(f"{self.model}: no reply is recorded for {_short(key)} ({known})")
        if request.replicate >= len(replies):
            raise NotRecordedError(
                f"{self.model}: replicate {request.replicate + 1} needs another reply to {_short(key)}, of which "
                f"{len(replies)} recorded"
            )
        found = replies[request.replicate]
        usage = None if found.cost_usd is None else {"cost_usd": found.cost_usd}
        return Answer(found.text, found.prompt_tokens, found.completion_tokens, usage=usage), found.latency_s

    async def send(self, request: Request) -> Answer:
        return self.read(request)[0]

    async def prepare(self) -> None:
        """Nothing to get ready."""

    def close(self) -> None:
        """Nothing to release."""

    def _key(self, request: Request) -> str:
        record = request.record or {}
        field = self._field or (next(iter(record)) if len(record) == 1 else None)
        if field is None or field not in record:
            raise FatalError(
                f"{self.model}: recorded replies are looked up by a field of the input: name it, recording.field "
                f"(it is {self._field!r}, the input has {', '.join(map(repr, record)) or 'none'})"
            )
        return str(record[field]).strip()

    def _all(self) -> list[Recorded]:
        return [one for replies in self._replies.values() for one in replies]


def _lacks_tokens(one: Recorded) -> bool:
    return one.prompt_tokens is None or one.completion_tokens is None


def _lacks_latency(one: Recorded) -> bool:
    return one.latency_s is None


def _short(text: str) -> str:
    return repr(shortened(text, 80))
