"""Calls of an OpenAI-compatible server, without litellm: exactly the request that was composed. See decision 009."""

from __future__ import annotations

from typing import Any

from paretune.lm.backends.endpoint import Endpoint
from paretune.lm.backends.http import connections
from paretune.lm.types import Pricing, Request

__all__ = ["ServerBackend"]


class ServerBackend(Endpoint):
    """A model ``openai/NAME`` on a server that the user names, of which nobody knows more than its name."""

    def __init__(self, model: str, api_base: str, **options: Any) -> None:
        super().__init__(model, api_base=api_base, **options)

    def capabilities(self) -> dict[str, Any]:
        return {"structured_output": "native", "reasoning_effort": False, "grammar": False}

    def price(self) -> Pricing | None:
        return self.fixed_price

    async def prepare(self) -> None:
        self._api_key()
        await connections()

    async def _exchange(self, request: Request) -> Any:
        return await self._post(request)

    def _count_tokens(self, text: str) -> int:
        return max(bool(text), len(text.encode()) // 4)  # its tokenizer is unknown: four bytes are about one token
