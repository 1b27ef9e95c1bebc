"""What a search for instructions finds for its calls: ``python benchmarks/instructions.py [SEEDS | --local | --cpu]``.

A scripted model's answers depend on its instructions in one of two ways. ``care``: it is right on any input with a
probability of 0.3 + 0.7/6 times the number of rules in its instructions, at most six; a proposal has one rule more than
the best instructions that it is shown three times out of four, or else one less. ``rules``: there are six kinds of
inputs; it is right on a kind that its instructions have a rule for, and with a probability of 0.3 on others; a proposal
adds the rule for a mistake that it is shown, and one time out of four forgets another one. The program comes with no
rule. Given are the true reward of the installed instructions, with its standard error over the seeds, and the calls,
proposals included, as a ratio to those of a training without a search. Examples in the prompt change nothing of this
model's answers, so RandomFewShot is what a search without instructions gets.

``--cpu`` gives the processor time of a training by its rows, for a model that no instructions change: then a search
goes on proposing to the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from paretune import DataModel, Generator, Input, LanguageModel, Program, ScriptedLanguageModel, clear_session
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.optimizers import GEPA, OPRO, Optimizer, RandomFewShot
from paretune.rewards import ExactMatch

BATCH, KINDS, BASE, FORGETS = 8, 6, 0.3, 0.25
#: Of the sample, with the bundled model: rows that it is trained on, and others.
ROWS, TESTED = 24, 40
#: Of trainings whose processor time is measured.
GROWING = (200, 1000, 2000, 10000)
EMOTIONS = ("sadness", "joy", "love", "anger", "fear", "surprise")
SEARCHES: dict[str, Callable[[int], Optimizer]] = {
    "RandomFewShot": lambda seed: RandomFewShot(1, 2, seed=seed),
    "OPRO": lambda seed: OPRO(seed=seed),
    "OPRO, every batch": lambda seed: OPRO(every=1, seed=seed),
    "GEPA": lambda seed: GEPA(seed=seed),
    "GEPA, minibatch of 6": lambda seed: GEPA(minibatch=6, seed=seed),
    "GEPA, front of a tenth": lambda seed: GEPA(pareto_share=0.1, seed=seed),
}


class Number(DataModel):
    """An input."""

    n: int


class Parity(DataModel):
    """An answer."""

    parity: Literal["even", "odd"]


class Text(DataModel):
    """An input of the sample."""

    text: str


class Emotion(DataModel):
    """Its answer."""

    label: Literal["sadness", "joy", "love", "anger", "fear", "surprise"]


def dice(*parts: Any) -> float:
    """A number in [0, 1), always the same for the same parts."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16) / 2**32


def rules_of(instructions: str) -> list[int]:
    """The kinds of inputs that the instructions have a rule for."""
    return [int(word) for word in instructions.split()[1:]]


def quality(instructions: str) -> float:
    """How often the model is right, in both worlds."""
    share = len(rules_of(instructions)) / KINDS
    return BASE + (1 - BASE) * share


def proposed(world: str, shown: dict[str, Any], chance: float) -> str:
    """New instructions, from what a question shows."""
    if world == "vain":
        return f"rules {int(chance * 1e9)}"
    rules = rules_of(shown["tried"][-1]["instructions"])
    missing = [kind for kind in range(KINDS) if kind not in rules]
    if world == "rules":
        missing = [mistake["input"]["n"] % KINDS for mistake in shown["mistakes"]]
        missing = [kind for kind in missing if kind not in rules]
    forgotten = rules[int(chance * 1000) % len(rules)] if rules and chance < FORGETS else None
    added = missing[:1] if world == "rules" or forgotten is None else []
    return " ".join(map(str, ["rules", *sorted({*rules, *added} - {forgotten})]))


def script(world: str, seed: int) -> Callable[[Request], str]:
    """The model: it answers, and proposes."""

    def reply(request: Request) -> str:
        shown = json.loads(request.messages[-1][1])
        if "tried" in shown:
            chance = dice(seed, request.messages, request.replicate)
            return json.dumps({"instructions": proposed(world, shown, chance)})
        instructions = request.messages[0][1].partition("\n")[0]
        rules = rules_of(instructions)
        certain = world == "rules" and shown["n"] % KINDS in rules
        chance = BASE if world == "rules" else quality(instructions)
        if world == "vain":
            rules, chance = [], 0.6
        right = certain or dice(seed, shown["n"], rules) < chance
        return json.dumps({"parity": "odd" if (shown["n"] % 2 == 1) is right else "even"})

    return reply


async def search(optimizer: Optimizer | None, world: str, seed: int, n: int, epochs: int) -> tuple[float, int]:
    """The true reward of what a training installs, and its calls."""
    clear_session()
    with tempfile.TemporaryDirectory() as folder:
        model = ScriptedLanguageModel(script(world, seed), ledger=Ledger(Path(folder) / "ledger.sqlite"))
        inputs = Input(data_model=Number)
        outputs = await Generator(data_model=Parity, language_model=model, instructions="rules")(inputs)
        program = Program(inputs=inputs, outputs=outputs)
        program.compile(optimizer=optimizer)
        x, y = [Number(n=i) for i in range(n)], [Parity(parity="odd" if i % 2 else "even") for i in range(n)]
        history = await program.fit(x, y, epochs=epochs, batch_size=BATCH, verbose=0)
    calls = sum(outcome.calls for part in history.training if part for outcome in part.outcomes)
    proposals = sum(len(part) for part in history.proposals)
    return quality(str(program.generators[0].instructions)), calls + proposals


async def search_local(optimizer: Optimizer, rows: int, tested: int) -> tuple[float, float, int, str]:
    """The bundled model's reward on other rows than it was trained on, its error, calls, the instructions."""
    clear_session()
    sample = Path(__file__).parent.parent / "data" / "sample" / "train.jsonl"
    read = [json.loads(line) for line in sample.read_text().splitlines()[: rows + tested]]
    x, y = [Text(text=row["text"]) for row in read], [Emotion(label=EMOTIONS[row["label"]]) for row in read]
    with tempfile.TemporaryDirectory() as folder:
        model = LanguageModel("local/smollm2-135m-instruct", ledger=Ledger(Path(folder) / "ledger.sqlite"))
        inputs = Input(data_model=Text)
        generator = Generator(
            data_model=Emotion,
            language_model=model,
            instructions="Classify the emotion of each text.",
            structured_output="completion",
        )
        program = Program(inputs=inputs, outputs=await generator(inputs))
        program.compile(optimizer=optimizer, reward=ExactMatch())
        history = await program.fit(x[:rows], y[:rows], epochs=1, batch_size=4, verbose=0)
        result = await program.evaluate(x[rows:], y[rows:], verbose=0)
    calls = sum(outcome.calls for part in history.training if part for outcome in part.outcomes)
    error = (result["reward"] * (1 - result["reward"]) / tested) ** 0.5
    proposals = sum(len(part) for part in history.proposals)
    return result["reward"], error, calls + proposals, str(program.generators[0].instructions)


async def local() -> None:
    """Print the table of the bundled model."""
    own: dict[str, Any] = {"seed": 0, "max_tokens": 100}
    searches = {
        "RandomFewShot": RandomFewShot(1, 2, seed=0),
        "OPRO": OPRO(every=1, **own),
        "GEPA": GEPA(**own),
    }
    print("| search | reward | calls | instructions |\n|---|---|---|---|")
    for name, optimizer in searches.items():
        reward, error, calls, text = await search_local(optimizer, ROWS, TESTED)
        print(f"| {name} | {reward:.2f} ± {error:.2f} | {calls} | {text} |", flush=True)


async def cpu() -> None:
    """Print the table of processor time: the best of three trainings of one epoch each."""
    print("| rows | search | calls | CPU s | CPU ms a call |\n|---|---|---|---|---|")
    for n in GROWING:
        for name in ("RandomFewShot", "OPRO", "GEPA"):
            took, calls = [], 0
            for _ in range(3):
                began = time.process_time()
                calls = (await search(SEARCHES[name](0), "vain", 0, n, 1))[1]
                took.append(time.process_time() - began)
            print(f"| {n:,} | {name} | {calls:,} | {min(took):.2f} | {1000 * min(took) / calls:.2f} |", flush=True)


async def main(seeds: int) -> None:
    """Print the table."""
    print("| model | rows, epochs | search | reward | calls |\n|---|---|---|---|---|")
    for world in ("care", "rules"):
        for n, epochs in ((40, 2), (40, 6), (120, 4)):
            print(f"| {world} | {n}, {epochs} | none | {quality('rules'):.2f} | 0 |")
            for name, make in SEARCHES.items():
                found = [await search(make(seed), world, seed, n, epochs) for seed in range(seeds)]
                rewards, calls = zip(*found, strict=True)
                error = statistics.stdev(rewards) / seeds**0.5
                ratio = statistics.mean(calls) / (n * epochs)
                reward = f"{statistics.mean(rewards):.2f} ± {error:.2f}"
                print(f"| {world} | {n}, {epochs} | {name} | {reward} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    if "--local" in sys.argv:
        asyncio.run(local())
    elif "--cpu" in sys.argv:
        asyncio.run(cpu())
    else:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
