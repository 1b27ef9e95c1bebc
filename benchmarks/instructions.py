"""What a search for instructions finds for its calls: ``python benchmarks/instructions.py [SEEDS]``, by default 40.

A scripted model is right as often as its instructions deserve: ``care k`` for 0.3 + 0.06 k, k from 0 to 10, always the
same for a question; the program comes with ``care 0``. Two proposers: ``informed`` steps up from the best instructions
that it is shown, three times out of four; ``blind`` writes any ``care k``. Given are the true reward of the
installed instructions, with its standard error over the seeds, and the calls, proposals included, as a ratio to those of
a training without a search. Examples in the prompt change nothing of this model's answers, so RandomFewShot is what a
search without instructions gets.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import sys
from collections.abc import Callable
from typing import Any, Literal

from paretune import DataModel, Generator, Input, Program, ScriptedLanguageModel, clear_session
from paretune.lm.types import Request
from paretune.optimizers import GEPA, OPRO, Optimizer, RandomFewShot

BATCH = 8
SEARCHES: dict[str, Callable[[int], Optimizer]] = {
    "RandomFewShot": lambda seed: RandomFewShot(1, 2, seed=seed),
    "OPRO": lambda seed: OPRO(seed=seed),
    "OPRO, every batch": lambda seed: OPRO(every=1, seed=seed),
    "GEPA": lambda seed: GEPA(seed=seed),
    "GEPA, minibatch 6": lambda seed: GEPA(minibatch=6, seed=seed),
}


class Number(DataModel):
    """An input."""

    n: int


class Parity(DataModel):
    """An answer."""

    parity: Literal["even", "odd"]


def dice(*parts: Any) -> float:
    """A number in [0, 1), always the same for the same parts."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16) / 2**32


def quality(care: int) -> float:
    """How often the model is right."""
    return 0.3 + 0.06 * care


def script(proposer: str, seed: int) -> Callable[[Request], str]:
    """The model: it answers, and proposes."""

    def reply(request: Request) -> str:
        shown = json.loads(request.messages[-1][1])
        if "tried" in shown:
            chance = dice(seed, request.messages, request.replicate)
            best = int(shown["tried"][-1]["instructions"].split()[1])
            step = (1 + int(chance * 8) % 2) * (1 if chance < 0.75 else -1)
            care = min(10, max(0, best + step)) if proposer == "informed" else int(chance * 11)
            return json.dumps({"instructions": f"care {care}"})
        care = int(request.messages[0][1].split()[1])
        right = dice(seed, shown["n"], care) < quality(care)
        return json.dumps({"parity": "odd" if (shown["n"] % 2 == 1) is right else "even"})

    return reply


async def search(optimizer: Optimizer | None, proposer: str, seed: int, n: int, epochs: int) -> tuple[float, int]:
    """The true reward of what a training installs, and its calls."""
    clear_session()
    model = ScriptedLanguageModel(script(proposer, seed))
    inputs = Input(data_model=Number)
    outputs = await Generator(data_model=Parity, language_model=model, instructions="care 0")(inputs)
    program = Program(inputs=inputs, outputs=outputs)
    program.compile(optimizer=optimizer)
    x, y = [Number(n=i) for i in range(n)], [Parity(parity="odd" if i % 2 else "even") for i in range(n)]
    history = await program.fit(x, y, epochs=epochs, batch_size=BATCH, verbose=0)
    calls = sum(outcome.calls for part in history.training if part for outcome in part.outcomes)
    proposals = sum(len(part) for part in history.proposals)
    return quality(int(str(program.generators[0].instructions).split()[1])), calls + proposals


async def main(seeds: int) -> None:
    """Print the table."""
    print("| proposer | rows, epochs | search | reward | calls |\n|---|---|---|---|---|")
    for proposer in ("informed", "blind"):
        for n, epochs in ((40, 2), (40, 6), (120, 4)):
            print(f"| {proposer} | {n}, {epochs} | none | {quality(0):.2f} | 0 |")
            for name, make in SEARCHES.items():
                found = [await search(make(seed), proposer, seed, n, epochs) for seed in range(seeds)]
                rewards, calls = zip(*found, strict=True)
                error = statistics.stdev(rewards) / seeds**0.5
                ratio = statistics.mean(calls) / (n * epochs)
                reward = f"{statistics.mean(rewards):.2f} ± {error:.2f}"
                print(f"| {proposer} | {n}, {epochs} | {name} | {reward} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
