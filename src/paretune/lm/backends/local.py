"""Local models: GGUF files served by llama.cpp inside this process, on loopback.

A server starts at the first call that the ledger does not serve, and ends with the process, however that ends, or when
another model needs its memory; then it starts again at the next call. Calls go as to any other server.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import gc
import hashlib
import json
import os
import re
import secrets
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretune.errors import FatalError, TransientError
from paretune.lm.backends.gguf import context_bytes
from paretune.lm.backends.local_memory import loaded_models
from paretune.lm.backends.local_models import find_gguf
from paretune.lm.backends.local_slots import Slots, shared_part
from paretune.lm.backends.server import ServerBackend
from paretune.lm.types import Answer, Price, Pricing, Request

__all__ = ["LocalBackend"]

#: How long a server that stops waits for calls that were given up, in seconds.
_IDLE_S = 120.0
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
        self._size = self.path.stat().st_size + context_bytes(self.path, _CONTEXT * slots) + _SCRATCH
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
            return _Server(self.path, self.slots)
        except Exception as error:
            raise FatalError(f"{self.model}: llama.cpp cannot load {str(self.path)!r}: {error}") from error

    def _client(self, server: _Server, slot: int) -> ServerBackend:
        if self._clients is None or self._clients[0] is not server:
            self._clients = server, {}
        clients = self._clients[1]
        if slot not in clients:
            clients[slot] = ServerBackend(
                "openai/local",
                f"{server.address}/v1",
                api_key=server.key,
                timeout_s=self.timeout_s,
                label=self.model,
                extra_body={"cache_prompt": True, "id_slot": slot},
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
            tokens = server.ask("/tokenize", {"content": text}, self.timeout_s)["tokens"]
        except OSError as error:
            raise TransientError(f"{self.model}: the local server does not answer: {error}") from None
        return " ".join(f"<[{token}]>" for token in tokens)


class _Server:
    """llama.cpp serving one file on loopback; ``key`` is its own, so that no web page on this machine can use it."""

    def __init__(self, path: Path, slots: int) -> None:
        xllamacpp = _llama()
        self.slots = Slots(slots, self._copy)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        self.key = secrets.token_hex(16)
        parameters.api_keys = [self.key]
        parameters.n_parallel = slots
        parameters.n_ctx = _CONTEXT * slots
        for threads in (parameters.cpuparams, parameters.cpuparams_batch):
            threads.n_threads = _threads()
        parameters.cache_ram_mib = 0  # no second cache of prompts: it grows to gigabytes
        parameters.use_jinja = True
        parameters.endpoint_slots = True
        parameters.slot_save_path = f"{self.slots.folder}{os.sep}"
        parameters.verbosity = -1
        self._server = xllamacpp.Server(parameters)
        self.address = self._server.listening_address
        _bypass_proxy("127.0.0.1")

    def ask(self, path: str, body: dict[str, Any] | None, timeout_s: float) -> Any:
        """The parsed reply to a POST (GET where there is no body). Raises OSError where there is none."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return json.load(response)

    def _copy(self, slot: int, action: str, name: str) -> bool:
        """Save a slot's state to a file, or restore it."""
        try:
            self.ask(f"/slots/{slot}?action={action}", {"filename": name}, _IDLE_S)
        except OSError:  # a full disk, or a model whose state cannot be copied: it is computed where it is needed
            return False
        return True

    def stop(self) -> None:
        """Stop listening and free the memory.

        A server that works on a call while it stops never ends, and it does not heed that a client has gone: a call
        that was given up is waited for.
        """
        until = time.monotonic() + _IDLE_S
        while self._is_at_work() and time.monotonic() < until:
            time.sleep(0.05)
        self._server = None
        gc.collect()  # the server stops when its last reference goes
        self.slots.close()

    def _is_at_work(self) -> bool:
        try:
            return any(slot["is_processing"] for slot in self.ask("/slots", None, _IDLE_S))
        except OSError:
            return False


def _llama() -> Any:
    """llama.cpp, whose threads wait for each other without spinning, unless the environment says how they wait.

    They meet some hundred times a token. Beside other work, one that spins keeps the other from the core that it waits
    for: such a search took five times as long. GNU's OpenMP reads this when it is loaded.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "0"
    import xllamacpp

    return xllamacpp


def _bypass_proxy(host: str) -> None:
    """Reach a host directly, whatever HTTP_PROXY says: a proxy elsewhere cannot reach this machine's loopback."""
    if urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{named},{host}" if named else host


atexit.register(loaded_models.unload_all)


def _threads() -> int:
    """All cores but one: a thread that lacks a core holds up all others. Of two cores both, which is 1.5 times as fast
    where they are idle."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, max(2, cores - 1))


@functools.cache
def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
