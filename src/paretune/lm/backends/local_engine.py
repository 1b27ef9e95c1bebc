"""One llama.cpp server on loopback, and into how many of them a model is best divided on this machine."""

from __future__ import annotations

import gc
import json
import math
import os
import secrets
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Engine", "Share", "division"]

#: How long an engine that stops waits for calls that were given up, in seconds.
_IDLE_S = 120.0
#: Up to this size, in bytes, a model is computed by several engines: threads that share a bigger one's work gain more.
_SMALL = 512 * 2**20


class Share(NamedTuple):
    """What an engine has: slots, threads for a token of a reply, threads for those of prompts, of which there are many
    at once."""

    slots: int
    threads: int
    prompt_threads: int


def division(path: Path, slots: int) -> list[Share]:
    """The engines that serve a model with some slots.

    Threads that share the work on one token meet some hundred times for it, which costs a small model more than it
    gains: it has an engine a core, all with the same file of weights and the same files of slots, and one more, the
    last, which has all cores and computes what prompts share. Else one core is left free where there are more than two:
    a thread that lacks a core holds up all others.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most, is_small = min(cores, max(2, cores - 1)), path.stat().st_size <= _SMALL
    number = min(cores, slots) if is_small else 1
    if number == 1:
        return [Share(slots, 1 if is_small else most, most)]
    own = math.ceil(slots / number)  # the same for all: the state of a slot can be read where there are as many
    return [*[Share(own, 1, max(1, most // number))] * number, Share(own, 1, cores)]


class Engine:
    """llama.cpp serving one file; ``key`` is its own, so that no web page on this machine can use it.

    ``context`` is in tokens a slot; ``folder`` is where slots are saved.
    """

    def __init__(self, path: Path, share: Share, *, context: int, folder: Path) -> None:
        xllamacpp = _llama()
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        self.key = secrets.token_hex(16)
        parameters.api_keys = [self.key]
        parameters.n_parallel = share.slots
        parameters.n_ctx = context * share.slots
        parameters.cpuparams.n_threads = share.threads
        parameters.cpuparams_batch.n_threads = share.prompt_threads
        parameters.cache_ram_mib = 0  # no second cache of prompts: it grows to gigabytes
        parameters.use_jinja = True
        parameters.endpoint_slots = True
        parameters.slot_save_path = f"{folder}{os.sep}"
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

    def copy(self, slot: int, action: str, name: str) -> bool:
        """Save a slot's state to a file of the folder, or restore it; whether that worked."""
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
