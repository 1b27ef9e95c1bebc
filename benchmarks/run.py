"""What a search takes beside its calls, and how fast the ledger serves: ``make bench``.

A server on loopback stands in for a provider (50 ms a call, 8 calls at once), so that what is measured is paretune: how
far a search is from the shortest time that its calls allow. What a single call costs is in ``calls.py``.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

from loopback import loopback

import paretune
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request

LATENCY_S, IN_FLIGHT = 0.05, 8
MODELS, TRAIN, VALIDATION = ("openai/small", "openai/medium", "openai/large"), 40, 20
SERVED_CALLS = 5_000
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


def main() -> None:
    """Print the measurements."""
    planned = len(MODELS) * (TRAIN + VALIDATION)
    ideal = planned * LATENCY_S / IN_FLIGHT
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with loopback(0.0, IN_FLIGHT) as (address, _):
            search(folder, Ledger(folder / "warm-up.sqlite"), address)  # imports
        times: list[float] = []
        for number in range(RUNS):
            ledger = Ledger(folder / f"ledger-{number}.sqlite")
            with loopback(LATENCY_S, IN_FLIGHT) as (address, counts):
                seconds, paid, _ = search(folder, ledger, address)
                again, paid_again, from_ledger = search(folder, ledger, address)
            times.append(seconds)
        rate = paretune.run_maybe_nested(served(ledger))
    print(f"grid of {len(MODELS)} models, {TRAIN} training and {VALIDATION} validation rows, batches of 4:")
    print(
        f"  calls paid   {paid} of {planned} planned; the server saw {counts['requests']}, refused {counts['refused']}"
    )
    print(f"  at once      {counts['peak']} of {IN_FLIGHT} allowed")
    low, middle, high = (value / ideal for value in (min(times), statistics.median(times), max(times)))
    print(
        f"  time         {middle:.2f} x the ideal, {low:.2f} to {high:.2f} in {RUNS} runs"
        f" ({IN_FLIGHT} at once, {LATENCY_S * 1e3:.0f} ms a call)"
    )
    print(f"  once more    {again / seconds:.3f} x that time, {paid_again} calls paid, {from_ledger} from the ledger")
    print(f"ledger         {rate:,.0f} replies a second through LanguageModel.complete")


if __name__ == "__main__":
    main()
