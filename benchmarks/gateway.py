"""Calls a second through the gateway, beside the same server without it: ``make bench``.

One server on loopback answers at once, one client process keeps 32 calls in flight: first at the server itself, then at
``paretune gateway`` in a process of its own, where each call is paid for, and then again, where the ledger has it. With
a model of an own server, and with one that litellm knows.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from loopback import loopback

ROOT = Path(__file__).resolve().parents[1]
CALLS, IN_FLIGHT = 3_000, 32
MODELS = {"own server": "openai/echo", "by litellm": "openai/gpt-4o-mini"}
KEY = "sk-benchmark"


async def rate(address: str, model: str) -> float:
    """Calls a second."""
    waiting = iter(range(CALLS))
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:

        async def ask() -> None:
            for number in waiting:
                body = {"model": model, "messages": [{"role": "user", "content": f"text {number}"}]}
                async with session.post(f"{address}/chat/completions", json=body) as response:
                    assert (await response.json())["choices"]

        started = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))
        return CALLS / (time.perf_counter() - started)


def main() -> None:
    """Print three lines a model."""
    for label, model in MODELS.items():
        measure(label, model)


def measure(label: str, model: str) -> None:
    """Run a gateway with one model."""
    with tempfile.TemporaryDirectory() as folder, loopback(0.0, IN_FLIGHT) as (api_base, _):
        own = [f"lm.api_base={api_base}", f"lm.model={model}", f"lm.concurrency={IN_FLIGHT}"]
        for name in ("conf", "data"):
            Path(folder, name).symlink_to(ROOT / name)
        paretune = [sys.executable, "-m", "paretune.commands.main"]
        subprocess.run([*paretune, "compose", "lm=openai_compatible", *own], cwd=folder, check=True)
        environment = {**os.environ, "PARETUNE_GATEWAY_KEY": KEY}
        with subprocess.Popen(
            [*paretune, "gateway"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as gateway:
            assert gateway.stdout is not None
            address = gateway.stdout.readline().strip().partition("=")[2]
            try:
                bare, paid, again = (asyncio.run(rate(each, model)) for each in (api_base, address, address))
            finally:
                gateway.terminate()
    print(f"{label}: the server alone  {bare:6.0f} calls/s")
    print(f"{label}: gateway, paid     {paid:6.0f} calls/s  {paid / bare:.2f} of it")
    print(f"{label}: gateway, served   {again:6.0f} calls/s  {again / bare:.2f} of it", flush=True)


if __name__ == "__main__":
    main()
