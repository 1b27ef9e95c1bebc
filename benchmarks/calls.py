"""What a paid call costs beside bare clients, from 16 to 1,000 in flight: ``make bench``.

One server on loopback answers each call after the same time. The ideal is what that time and the number in flight
allow: ``calls * latency / in flight``. The latency grows with the number in flight, so that no level asks for more than
1,280 calls a second: with 50 ms and 1,000 in flight it would be 20,000, which no Python process reaches. Each client
has a process of its own, which is warmed up before it is measured, and begins no more calls after ``LIMIT_S``.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from loopback import loopback

#: In flight, seconds a call, calls.
LEVELS = ((16, 0.05, 960), (64, 0.05, 3_840), (256, 0.2, 5_120), (1_000, 1.0, 10_000))
LIMIT_S = 20.0
PROPERTIES = {name: {"type": "boolean", "description": f"whether the text expresses {name}"} for name in "abcdef"}
SCHEMA = {"type": "object", "properties": PROPERTIES, "required": list(PROPERTIES), "additionalProperties": False}
FORM = {"type": "json_schema", "json_schema": {"name": "Mood", "schema": SCHEMA, "strict": True}}
SYSTEM = "Say which of the emotions the text expresses, each by true or false. " * 5

Call = Callable[[int], Awaitable[object]]
Run = Callable[[Call], Awaitable["Measured"]]


class Measured(NamedTuple):
    """Calls done, seconds and CPU seconds of the client's process."""

    calls: int
    seconds: float
    cpu_s: float


def body(number: int) -> dict[str, Any]:
    """A request as a bare client sends it."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"text {number}"}]
    return {"messages": messages, "response_format": FORM}


# Each client makes the function of one call and has it run; what it imports, its process alone loads.


async def aiohttp_client(api_base: str, in_flight: int, run: Run) -> Measured:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(number: int) -> None:
            url = f"{api_base}/chat/completions"
            async with session.post(url, json={"model": "echo", **body(number)}) as response:
                assert (await response.json())["choices"]

        return await run(call)


async def httpx_client(api_base: str, in_flight: int, run: Run) -> Measured:
    import httpx

    async with httpx.AsyncClient(limits=httpx.Limits(), timeout=120) as client:

        async def call(number: int) -> None:
            response = await client.post(f"{api_base}/chat/completions", json={"model": "echo", **body(number)})
            assert response.json()["choices"]

        return await run(call)


async def litellm_client(api_base: str, in_flight: int, run: Run) -> Measured:
    os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_MODE="PRODUCTION")  # else it asks the network
    import litellm

    litellm.suppress_debug_info = True
    logging.disable()  # its log has errors of its own when many calls end at once

    async def call(number: int) -> None:
        own = {"api_base": api_base, "api_key": "none", "max_retries": 0, "timeout": 120}
        assert (await litellm.acompletion(model="openai/gpt-4o-mini", **own, **body(number))).choices

    return await run(call)


async def ours(name: str, api_base: str, in_flight: int, run: Run) -> Measured:
    import paretune
    from paretune.lm.ledger.ledger import Ledger
    from paretune.lm.types import Request

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite")
        model = paretune.LanguageModel(
            name, api_base=api_base, concurrency=in_flight, ledger=ledger, price={"prompt": 1, "completion": 1}
        )

        async def call(number: int) -> None:
            messages = (("system", SYSTEM), ("user", f"text {number}"))
            reply = await model.complete(Request(messages=messages, schema_name="Mood", schema=SCHEMA))
            assert reply.text and not reply.served

        try:
            return await run(call)
        finally:
            ledger.close()


CLIENTS = {
    "aiohttp": aiohttp_client,
    "httpx": httpx_client,
    "litellm": litellm_client,
    "ours": functools.partial(ours, "openai/echo"),
    "ours, litellm": functools.partial(ours, "openai/gpt-4o-mini"),
}


def measure(client: str, api_base: str, in_flight: int, calls: int) -> Measured:
    """Make the calls of one client and level in this process."""
    import paretune

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each call in flight has a connection

    async def run(call: Call) -> Measured:
        await call(-1)  # imports, and what is built at the first call
        numbers = iter(range(calls))
        done = 0
        started, cpu = time.perf_counter(), time.process_time()

        async def worker() -> None:
            nonlocal done
            for number in numbers:
                if time.perf_counter() - started > LIMIT_S:
                    return
                await call(number)
                done += 1

        await asyncio.gather(*(worker() for _ in range(in_flight)))
        return Measured(done, time.perf_counter() - started, time.process_time() - cpu)

    return paretune.run_maybe_nested(CLIENTS[client](api_base, in_flight, run))


def main() -> None:
    """Print a line for each level and client: the best of some runs, taken in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help="the best of so many is printed")
    parser.add_argument("--levels", type=int, nargs="*", default=[level[0] for level in LEVELS])
    parser.add_argument("--clients", nargs="*", choices=list(CLIENTS), default=list(CLIENTS))
    options = parser.parse_args()
    print("in flight  client          x ideal  CPU ms a call    calls  requests  peak  server CPU ms a call")
    for in_flight, latency_s, calls in LEVELS:
        if in_flight not in options.levels:
            continue
        found: dict[str, list[tuple[float, Measured, dict[str, Any]]]] = {client: [] for client in options.clients}
        for _ in range(options.runs):
            for client in options.clients:
                with (
                    loopback(latency_s, in_flight) as (api_base, counts),
                    ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process,
                ):
                    measured = process.submit(measure, client, api_base, in_flight, calls).result()
                ratio = measured.seconds / (measured.calls * latency_s / in_flight)
                found[client].append((ratio, measured, counts))
        for client, runs in found.items():
            ratio, measured, counts = min(runs, key=lambda run: run[0])
            cpu_ms = min(each.cpu_s / each.calls for _, each, _ in runs) * 1e3
            server_ms = counts["cpu_s"] / counts["requests"] * 1e3
            print(
                f"{in_flight:9,}  {client:14}  {ratio:7.2f}  {cpu_ms:13.2f}  {measured.calls:7,}"
                f"  {counts['requests']:8,}  {counts['peak']:4,}  {server_ms:8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
