"""What the machinery around the language model costs, as ratios within one run: ``make bench``.

A server on loopback stands in for a provider (50 ms a call, 8 calls at once), so that what is measured is paretune: how
far a search is from the shortest time that its calls allow, what a paid call costs beside litellm's own work, and how
fast the ledger serves.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import httpx
from loopback import loopback

import paretune
from paretune.lm.backends.litellm_errors import load_litellm
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request

LATENCY_S, IN_FLIGHT = 0.05, 8
MODELS, TRAIN, VALIDATION = ("openai/small", "openai/medium", "openai/large"), 40, 20
PAID_CALLS, SERVED_CALLS = 300, 5_000
RUNS = 5


class Tweet(paretune.DataModel):
    """The input."""

    text: str


class Label(paretune.DataModel):
    """The output."""

    label: Literal["joy", "sadness"]


def search(folder: Path, ledger: Ledger, api_base: str) -> tuple[float, int, int]:
    """One grid over three models that share a server; seconds, calls paid, calls served."""

    async def build_program(hp: Any) -> paretune.Program:
        model = paretune.LanguageModel(
            hp.Choice("model", list(MODELS)),
            api_base=api_base,
            ledger=ledger,
            concurrency=IN_FLIGHT,
            price={"prompt": 1, "completion": 1},
        )
        inputs = paretune.Input(data_model=Tweet)
        generator = paretune.Generator(data_model=Label, language_model=model)
        program = paretune.Program(inputs=inputs, outputs=await generator(inputs))
        program.compile(reward=paretune.rewards.ExactMatch(), optimizer=paretune.optimizers.RandomFewShot())
        return program

    x = [Tweet(text=f"text {number}") for number in range(TRAIN + VALIDATION)]
    y = [Label(label="joy" if number % 3 else "sadness") for number in range(TRAIN + VALIDATION)]
    tuner = paretune.tuners.GridSearch(
        build_program, "val_reward", directory=folder, parallel_trials=len(MODELS), verbose=False, overwrite=True
    )
    started = time.perf_counter()
    tuner.search(x[:TRAIN], y[:TRAIN], validation_data=(x[TRAIN:], y[TRAIN:]), epochs=1, batch_size=4)
    return time.perf_counter() - started, tuner.session.paid, tuner.session.served


async def cpu_of_calls(folder: Path) -> tuple[float, float]:
    """CPU seconds a call, of bare litellm and of ``LanguageModel.complete`` (ledger included), taken in turns."""
    litellm = load_litellm()
    bare = ours = 0.0
    with loopback(0.0, 1_000) as (api_base, _):
        model = paretune.LanguageModel("openai/echo", api_base=api_base, ledger=Ledger(folder / "cpu.sqlite"))
        messages = [{"role": "user", "content": "warm up"}]
        await litellm.acompletion(model="openai/echo", api_base=api_base, api_key="none", messages=messages)
        await model.complete(Request(messages=(("user", "warm up"),), schema={"type": "object"}))
        for number in range(PAID_CALLS):
            messages = [{"role": "user", "content": f"question {number}"}]
            form = {"type": "json_schema", "json_schema": {"name": "output", "schema": {"type": "object"}}}
            begin = time.process_time()
            await litellm.acompletion(
                model="openai/echo", api_base=api_base, api_key="none", messages=messages, response_format=form,
                max_retries=0, timeout=60,
            )  # fmt: skip
            middle = time.process_time()
            await model.complete(Request(messages=(("user", f"question {number}"),), schema={"type": "object"}))
            bare, ours = bare + middle - begin, ours + time.process_time() - middle
    return bare / PAID_CALLS, ours / PAID_CALLS


async def bare(library: str, api_base: str, calls: int) -> float:
    """Seconds that litellm or httpx alone takes for so many calls, as many at once as are allowed."""
    litellm, client = load_litellm(), httpx.AsyncClient()
    form = {"type": "json_schema", "json_schema": {"name": "Label", "schema": Label.get_schema()}}
    numbers = iter(range(calls))

    async def worker() -> None:
        for number in numbers:
            asked = {"messages": [{"role": "user", "content": f"text {number}"}], "response_format": form}
            if library == "litellm":
                options = {"api_base": api_base, "api_key": "none", "max_retries": 0, "timeout": 60}
                await litellm.acompletion(model="openai/echo", **options, **asked)
            else:
                (await client.post(f"{api_base}/chat/completions", json={"model": "echo", **asked})).json()

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    seconds = time.perf_counter() - started
    await client.aclose()
    return seconds


async def served(ledger: Ledger) -> float:
    """Replies a second through LanguageModel.complete when the ledger holds them all."""
    model = paretune.ScriptedLanguageModel(lambda request: "ok", name="served", ledger=ledger)
    requests = [Request(messages=(("user", f"question {number}"),)) for number in range(100)]
    for request in requests:
        await model.complete(request)
    started = time.perf_counter()
    for number in range(SERVED_CALLS):
        await model.complete(requests[number % len(requests)])
    return SERVED_CALLS / (time.perf_counter() - started)


def said(seconds: list[float], ideal: float) -> str:
    """The median of some times and their extremes, as ratios to the ideal one."""
    low, middle, high = (value / ideal for value in (min(seconds), statistics.median(seconds), max(seconds)))
    return f"{middle:.2f} x the ideal, {low:.2f} to {high:.2f} in {len(seconds)} runs"


def main() -> None:
    """Print the measurements."""
    planned = len(MODELS) * (TRAIN + VALIDATION)
    ideal = planned * LATENCY_S / IN_FLIGHT
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with loopback(0.0, IN_FLIGHT) as (address, _):
            search(folder, Ledger(folder / "warm-up.sqlite"), address)  # imports
        times: dict[str, list[float]] = {"search": [], "httpx": [], "litellm": []}
        for number in range(RUNS):
            ledger = Ledger(folder / f"ledger-{number}.sqlite")
            with loopback(LATENCY_S, IN_FLIGHT) as (address, counts):
                seconds, paid, _ = search(folder, ledger, address)
                again, paid_again, from_ledger = search(folder, ledger, address)
            times["search"].append(seconds)
            for library in ("httpx", "litellm"):
                with loopback(LATENCY_S, IN_FLIGHT) as (address, _):
                    times[library].append(paretune.run_maybe_nested(bare(library, address, planned)))
        rate = paretune.run_maybe_nested(served(ledger))
        litellms, ours = paretune.run_maybe_nested(cpu_of_calls(folder))
    print(f"grid of {len(MODELS)} models, {TRAIN} training and {VALIDATION} validation rows, batches of 4:")
    print(
        f"  calls paid   {paid} of {planned} planned; the server saw {counts['requests']}, refused {counts['refused']}"
    )
    print(f"  at once      {counts['peak']} of {IN_FLIGHT} allowed")
    print(f"  time         {said(times['search'], ideal)} ({IN_FLIGHT} at once, {LATENCY_S * 1e3:.0f} ms a call)")
    print(f"  httpx        {said(times['httpx'], ideal)} for as many calls without a search")
    print(f"  litellm      {said(times['litellm'], ideal)} for as many calls without a search")
    print(f"  once more    {again / seconds:.3f} x that time, {paid_again} calls paid, {from_ledger} from the ledger")
    print(f"paid call      {ours / litellms:.2f} x the CPU of a bare litellm call ({litellms * 1e3:.1f} ms)")
    print(f"ledger         {rate:,.0f} replies a second through LanguageModel.complete")


if __name__ == "__main__":
    main()
