"""Local models: GGUF files served by llama.cpp inside this process, on loopback.

A server starts at the first call that the ledger does not serve, and ends with the process, however that ends, or when
another model needs its memory; then it starts again at the next call. Calls go as to any other server.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretune.errors import FatalError, TransientError
from paretune.lm.backends.gguf import context_bytes
from paretune.lm.backends.local_engine import Engine, Share, division
from paretune.lm.backends.local_memory import loaded_models
from paretune.lm.backends.local_models import find_gguf
from paretune.lm.backends.local_slots import APART, Slots, shared_part
from paretune.lm.backends.server import ServerBackend
from paretune.lm.types import Answer, Price, Pricing, Request

__all__ = ["LocalBackend"]

#: Tokens of context for each request in flight.
_CONTEXT = 2048
#: What llama.cpp takes beside the file and the context, in bytes: measured for a small model.
_SCRATCH = 64 * 2**20


class LocalBackend:
    """One GGUF file, served while this process lives."""

    def __init__(
        self, model: str, *, timeout_s: float = 120.0, slots: int = 4, fixed_price: Price | None = None
    ) -> None:
        self.model = model
        self.path = find_gguf(model)
        self.timeout_s = timeout_s
        self.slots = slots
        self._price = fixed_price or Price(0.0, 0.0)
        self._shares = division(self.path, slots)
        weights = self.path.stat().st_size  # of some kinds of weights each engine makes a copy
        context = context_bytes(self.path, _CONTEXT * sum(share.slots for share in self._shares))
        self._size = len(self._shares) * (weights + _SCRATCH) + context
        self._clients: tuple[_Server, dict[int, ServerBackend]] | None = None
        self._registered = False
        self._grammars: dict[str, str] = {}

    def identity(self) -> dict[str, Any]:
        """The file's content stands for the model: its name and place determine nothing."""
        return {"model": "gguf", "endpoint": f"sha256:{_sha256(self.path)}"}

    def capabilities(self) -> dict[str, Any]:
        return {"structured_output": "native", "reasoning_effort": False, "grammar": True}

    def price(self) -> Pricing | None:
        return self._price

    def max_output_tokens(self) -> int:
        """A completion ends where the context does."""
        return _CONTEXT

    async def prepare(self) -> None:
        async with self._served() as server:
            await self._client(server, 0).prepare()

    async def send(self, request: Request) -> Answer:
        async with self._served() as server:
            if request.grammar is not None:
                grammar = await asyncio.to_thread(self._with_tokens, request.grammar, server)
                request = replace(request, grammar=grammar)
            # A call for one token has the prompt computed.
            first = replace(request, options=request.options.model_copy(update={"max_tokens": 1}))
            async with server.slots.place(
                shared_part(request), lambda slot: self._client(server, slot).send(first)
            ) as slot:
                return await self._client(server, slot).send(request)

    def close(self) -> None:
        """Stop the server, unless another backend uses it; a later call starts it again."""
        if self._registered:
            self._registered, self._clients = False, None
            loaded_models.leave(self.path)

    def _served(self) -> contextlib.AbstractAsyncContextManager[_Server]:
        """The running server, which is not stopped for another model's sake while the block lasts."""
        if not self._registered:
            self._registered = True
            loaded_models.register(self.path)
        return loaded_models.lease(self.path, self.model, self._size, self._start)

    def _start(self) -> _Server:
        try:
            return _Server(self.path, self.slots, self._shares)
        except Exception as error:
            raise FatalError(f"{self.model}: llama.cpp cannot load {str(self.path)!r}: {error}") from error

    def _client(self, server: _Server, slot: int) -> ServerBackend:
        if self._clients is None or self._clients[0] is not server:
            self._clients = server, {}
        clients = self._clients[1]
        if slot not in clients:
            engine, number = server.at(slot)
            clients[slot] = ServerBackend(
                "openai/local",
                f"{engine.address}/v1",
                api_key=engine.key,
                timeout_s=self.timeout_s,
                label=self.model,
                extra_body={"cache_prompt": True, "id_slot": number},
            )
        return clients[slot]

    def _with_tokens(self, grammar: str, server: _Server) -> str:
        """A grammar with each ``<"text">`` replaced by the tokens that this model cuts the text into."""
        if grammar not in self._grammars:
            self._grammars[grammar] = re.sub(
                r'<("(?:[^"\\]|\\.)*")>', lambda match: self._tokens(json.loads(match[1]), server), grammar
            )
        return self._grammars[grammar]

    def _tokens(self, text: str, server: _Server) -> str:
        try:
            tokens = server.tokens(text, self.timeout_s)
        except OSError as error:
            raise TransientError(f"{self.model}: the local server does not answer: {error}") from None
        return " ".join(f"<[{token}]>" for token in tokens)


class _Server:
    """A file served by engines, over which the slots are dealt in turn; of several, the last has the slot APART."""

    def __init__(self, path: Path, slots: int, shares: Sequence[Share]) -> None:
        self._sharing = max(1, len(shares) - 1)
        self.slots = Slots(slots, self._sharing, self._copy)
        self.engines = [Engine(path, share, context=_CONTEXT, folder=self.slots.folder) for share in shares]

    def at(self, slot: int) -> tuple[Engine, int]:
        """Whose slot it is, and its number there."""
        if slot == APART:
            return self.engines[-1], 0
        number, engine = divmod(slot, self._sharing)  # as in Slots
        return self.engines[engine], number

    def tokens(self, text: str, timeout_s: float) -> list[int]:
        """The tokens of a text. Raises OSError where there is no reply."""
        found: list[int] = self.engines[0].ask("/tokenize", {"content": text}, timeout_s)["tokens"]
        return found

    def _copy(self, slot: int, action: str, name: str) -> bool:
        engine, number = self.at(slot)
        return engine.copy(number, action, name)

    def stop(self) -> None:
        """Stop listening and free the memory, after the calls that were given up."""
        while self.engines:
            self.engines.pop().stop()
        self.slots.close()


atexit.register(loaded_models.unload_all)


@functools.cache
def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
