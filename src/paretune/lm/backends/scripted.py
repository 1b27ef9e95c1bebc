"""A scripted language model: a plain function in the place of a network, for tests and dry runs.

It goes through the same client, ledger, limits and retries as a real model; only the backend differs.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

from paretune.errors import FatalError
from paretune.lm.language_model import LanguageModel
from paretune.lm.types import Answer, Price, Pricing, Request

__all__ = ["ScriptedBackend", "ScriptedLanguageModel"]

Script = Callable[[Request], str | Awaitable[str]]


class ScriptedBackend:
    """Answers by a function of the request, which may raise the errors of ``paretune.errors``.

    ``latency_s`` is the mean time a call takes; with ``jitter`` the calls come back in another order each run. Tokens
    are counted as words. With ``reasoning`` it is a model that reasons by itself, whose thought that always is.
    ``calls`` holds every request that arrived, ``peak`` the most that were in flight at once.
    """

    def __init__(
        self,
        script: Script,
        *,
        name: str = "scripted",
        latency_s: float = 0.0,
        jitter: bool = False,
        price: Price | None = None,
        reasoning_effort: bool = False,
        reasoning: str | None = None,
    ) -> None:
        self.script = script
        self.name = name
        self.latency_s = latency_s
        self.jitter = jitter
        self.calls: list[Request] = []
        self.peak = 0
        self._price = price
        self._reasoning_effort = reasoning_effort
        self._reasoning = reasoning
        self._now = 0

    def identity(self) -> dict[str, Any]:
        return {"model": f"scripted/{self.name}", "endpoint": None}

    def capabilities(self) -> dict[str, Any]:
        takes = {"structured_output": "native", "reasoning_effort": self._reasoning_effort, "grammar": True}
        return takes if self._reasoning is None else {**takes, "reasons": True}

    def price(self) -> Pricing | None:
        return self._price

    async def send(self, request: Request) -> Answer:
        self.calls.append(request)
        self._now += 1
        self.peak = max(self.peak, self._now)
        try:
            pause = self.latency_s * (random.uniform(0, 2) if self.jitter else 1.0)
            await asyncio.sleep(pause)
            reply = self.script(request)
            text = await reply if inspect.isawaitable(reply) else reply
        finally:
            self._now -= 1
        prompt_tokens, tokens = sum(len(content.split()) for _, content in request.messages), len(text.split())
        if request.body is not None:
            text = _as_completion(request, text, {"prompt_tokens": prompt_tokens, "completion_tokens": tokens})
        return Answer(text, prompt_tokens, tokens, "stop", reasoning=self._reasoning)

    async def prepare(self) -> None:
        """Nothing to get ready."""

    def close(self) -> None:
        """Nothing to release."""


def _as_completion(request: Request, text: str, usage: dict[str, int]) -> str:
    """The reply to a request that was passed on, in OpenAI's words. Nothing is embedded: raises FatalError."""
    if request.path == "/embeddings":
        raise FatalError("a scripted model embeds nothing")
    chats = request.path == "/chat/completions"
    content: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if chats else {"text": text}
    total = {**usage, "total_tokens": sum(usage.values())}
    kind = "chat.completion" if chats else "text_completion"
    choices = [{"index": 0, "finish_reason": "stop", "logprobs": None, **content}]
    return json.dumps(
        {"id": "scripted", "object": kind, "created": 0, "model": "scripted", "choices": choices, "usage": total}
    )


def ScriptedLanguageModel(script: Script, *, name: str = "scripted", **options: Any) -> LanguageModel:
    """A LanguageModel whose replies are computed by ``script``; options go to the backend or to LanguageModel."""
    own = ("latency_s", "jitter", "price", "reasoning_effort", "reasoning")
    backend = ScriptedBackend(script, name=name, **{key: options.pop(key) for key in own if key in options})
    return LanguageModel(f"scripted/{name}", backend=backend, **options)
