"""A search that keeps 1,000 calls in flight, and for how long its event loop stands still: ``make bench``.

One server on loopback answers each call after a second; the search has the ledger, a budget and the notes of who asked,
as every search. Two trials of 5,000 validation examples each are 10,000 calls. A task on the loop sleeps 5 ms at a time
and looks how late it wakes up, and how much CPU time the loop's thread took meanwhile: where other processes want the
machine's cores as well, the second is what is our own.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from loopback import loopback

EXAMPLES, TRIALS, IN_FLIGHT, LATENCY_S = 5_000, 2, 1_000, 1.0
NAP_S = 0.005
ANSWER = '{"a": true, "b": false, "c": false, "d": true, "e": false, "f": false}'
_MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn"}
_ANTHROPIC = {"content": [{"type": "text", "text": ANSWER}], "usage": {"input_tokens": 100, "output_tokens": 10}}
#: A model's name, and what the server answers.
MODELS: dict[str, tuple[str, Any]] = {
    "own server": ("openai/echo", ANSWER),
    "litellm": ("openai/gpt-4o-mini", ANSWER),
    "Anthropic": ("anthropic/claude-sonnet-4-5", {**_MESSAGE, **_ANTHROPIC}),
}


class Measured(NamedTuple):
    """Seconds of the whole search, CPU seconds of its process, calls, and of each nap the seconds that it was too long,
    with the CPU seconds of the loop's thread."""

    seconds: float
    cpu_s: float
    calls: int
    late: list[tuple[float, float]]


async def watch(late: list[tuple[float, float]]) -> None:
    """Note of each nap how much too long it was, and how much of that the loop's thread worked."""
    while True:
        began, cpu = time.perf_counter(), time.thread_time()
        await asyncio.sleep(NAP_S)
        too_long = time.perf_counter() - began - NAP_S
        late.append((too_long, min(too_long, time.thread_time() - cpu)))


def search(name: str, api_base: str, in_flight: int, examples: int) -> Measured:
    """The search, in a process of its own."""
    import paretune
    from paretune.lm.ledger.budget import Budget
    from paretune.lm.ledger.ledger import Ledger

    class Text(paretune.DataModel):
        text: str

    class Mood(paretune.DataModel):
        a: bool = paretune.Field(description="whether the text expresses joy")
        b: bool = paretune.Field(description="whether the text expresses sadness")
        c: bool = paretune.Field(description="whether the text expresses anger")
        d: bool = paretune.Field(description="whether the text expresses fear")
        e: bool = paretune.Field(description="whether the text expresses love")
        f: bool = paretune.Field(description="whether the text expresses surprise")

    x = [Text(text=f"text {number} of some length, as people write them") for number in range(examples)]
    y = [Mood(a=True, b=bool(number % 2), c=False, d=True, e=False, f=False) for number in range(examples)]
    late: list[tuple[float, float]] = []

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite")
        price = {"prompt": 1, "completion": 1}
        model = paretune.LanguageModel(name, api_base=api_base, concurrency=in_flight, ledger=ledger, price=price)

        async def build_program(hp: Any) -> paretune.Program:
            inputs = paretune.Input(data_model=Text)
            generator = paretune.Generator(
                data_model=Mood,
                language_model=model,
                temperature=hp.Choice("temperature", [number / TRIALS for number in range(TRIALS)]),
                max_tokens=100,
            )
            program = paretune.Program(inputs=inputs, outputs=await generator(inputs))
            program.compile(reward=paretune.rewards.ExactMatch(), metrics=[paretune.metrics.BinaryF1Score("macro")])
            return program

        tuner = paretune.tuners.GridSearch(
            build_program,
            "val_reward",
            directory=folder,
            parallel_trials=TRIALS,
            verbose=False,
            budget=Budget(calls=10**6, usd=1e6, ledger=ledger),
        )

        async def run() -> Measured:
            watching = asyncio.create_task(watch(late))
            began, cpu = time.perf_counter(), time.process_time()
            await tuner.search_async(x[:10], y[:10], validation_data=(x, y))
            took = time.perf_counter() - began, time.process_time() - cpu
            watching.cancel()
            return Measured(*took, ledger.session.paid, late)

        try:
            return paretune.run_maybe_nested(run())
        finally:
            ledger.close()


def main() -> None:
    """Print a line for each way to a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--in-flight", type=int, default=IN_FLIGHT)
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    options = parser.parse_args()
    print("model       calls  x ideal  CPU ms a call  worst stall, ms: own, all  above 50 ms")
    for label in options.models:
        name, answer = MODELS[label]
        with (
            loopback(LATENCY_S, options.in_flight, answer) as (api_base, _),
            ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process,
        ):
            found = process.submit(search, name, api_base, options.in_flight, options.examples).result()
        ideal = found.calls * LATENCY_S / options.in_flight
        own, whole = (1e3 * max(late[place] for late in found.late) for place in (1, 0))
        above = sum(late[1] > 0.05 for late in found.late)
        print(
            f"{label:10}  {found.calls:5}  {found.seconds / ideal:7.2f}  {1e3 * found.cpu_s / found.calls:13.2f}"
            f"  {own:20.0f}, {whole:.0f}  {above:11}",
            flush=True,
        )


if __name__ == "__main__":
    main()
