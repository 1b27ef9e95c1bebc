"""What the machinery around the language model costs, as ratios within one run: ``make bench``.

A scripted language model stands in for a provider (50 ms a call, 20 calls in flight), so that what is measured is
paretune: how far a search is from the shortest time that its calls allow, and how fast the ledger serves.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import paretune
from paretune.lm.ledger import Ledger

LATENCY_S, IN_FLIGHT = 0.05, 20
MODELS, TRAIN, VALIDATION = ("small", "medium", "large"), 40, 20


class Tweet(paretune.DataModel):
    """The input."""

    text: str


class Label(paretune.DataModel):
    """The output."""

    label: Literal["joy", "sadness"]


def search(folder: Path, ledger: Ledger, latency_s: float) -> tuple[float, int, int]:
    """One grid over three models; seconds, calls paid, calls served."""
    models = {
        name: paretune.ScriptedLanguageModel(
            lambda request: '{"label": "joy"}', name=name, latency_s=latency_s, ledger=ledger, concurrency=IN_FLIGHT
        )
        for name in MODELS
    }

    async def build_program(hp: Any) -> paretune.Program:
        inputs = paretune.Input(data_model=Tweet)
        model = models[hp.Choice("model", list(MODELS))]
        outputs = await paretune.Generator(data_model=Label, language_model=model)(inputs)
        program = paretune.Program(inputs=inputs, outputs=outputs)
        program.compile(reward=paretune.rewards.ExactMatch(), optimizer=paretune.optimizers.RandomFewShot())
        return program

    x = [Tweet(text=f"text {number}") for number in range(TRAIN + VALIDATION)]
    y = [Label(label="joy" if number % 3 else "sadness") for number in range(TRAIN + VALIDATION)]
    tuner = paretune.tuners.GridSearch(
        build_program,
        "val_reward",
        seed=0,
        directory=folder,
        parallel_trials=len(MODELS),
        verbose=False,
        overwrite=True,
    )
    started = time.perf_counter()
    tuner.search(x[:TRAIN], y[:TRAIN], validation_data=(x[TRAIN:], y[TRAIN:]), epochs=1, batch_size=4)
    return time.perf_counter() - started, tuner.session.paid, tuner.session.served


async def served(ledger: Ledger, calls: int = 5_000) -> float:
    """Replies a second through LanguageModel.complete when the ledger holds them all."""
    from paretune.lm.types import Request

    model = paretune.ScriptedLanguageModel(lambda request: "ok", name="served", ledger=ledger)
    requests = [Request(messages=(("user", f"question {number}"),)) for number in range(100)]
    for request in requests:
        await model.complete(request)
    started = time.perf_counter()
    for number in range(calls):
        await model.complete(requests[number % len(requests)])
    return calls / (time.perf_counter() - started)


def main() -> None:
    """Print the measurements."""
    planned = len(MODELS) * (TRAIN + VALIDATION)
    ideal = planned * LATENCY_S / IN_FLIGHT
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        search(folder, Ledger(folder / "warm-up.sqlite"), 0.0)  # imports
        ledger = Ledger(folder / "ledger.sqlite")
        seconds, paid, _ = search(folder, ledger, LATENCY_S)
        again, paid_again, from_ledger = search(folder, ledger, LATENCY_S)
        rate = asyncio.run(served(ledger))
    print(f"grid of {len(MODELS)} models, {TRAIN} training and {VALIDATION} validation rows, batches of 4:")
    print(f"  calls paid   {paid} of {planned} planned")
    print(f"  time         {seconds / ideal:.2f} x the ideal ({IN_FLIGHT} in flight, {LATENCY_S * 1e3:.0f} ms a call)")
    print(f"  once more    {again / seconds:.3f} x that time, {paid_again} calls paid, {from_ledger} from the ledger")
    print(f"ledger         {rate:,.0f} replies a second through LanguageModel.complete")


if __name__ == "__main__":
    main()
