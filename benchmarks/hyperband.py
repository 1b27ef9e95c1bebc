"""What Hyperband does with a program that training improves: ``python benchmarks/hyperband.py [FACTOR [MAX_EPOCHS]]``.

Prints each trial: its place in the plan, the epochs it was trained, the trial it went on from, its calls and its
reward; then the calls made and those that the plan says. The language model is scripted: it gets better with its talent
(a hyperparameter) and with each epoch.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import paretune
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request

TRAIN, VALIDATION, TALENTS = 8, 20, 40


class Number(paretune.DataModel):
    """The input."""

    n: int


class Parity(paretune.DataModel):
    """The output."""

    parity: Literal["odd", "even"]


def examples(start: int, count: int) -> tuple[list[Number], list[Parity]]:
    """Some numbers, and what they are."""
    every = range(start, start + count)
    return [Number(n=n) for n in every], [Parity(parity="odd" if n % 2 else "even") for n in every]


def search(folder: Path, max_epochs: int, factor: int) -> tuple[paretune.tuners.Hyperband, int]:
    """The finished search, and how many calls reached the language model."""

    def reply(request: Request) -> str:
        n, talent = json.loads(request.messages[-1][1])["n"], float(request.options.temperature or 0.0)
        ability = talent * ((request.epoch + 1) / max_epochs) ** 0.5
        right = (n * 7 % VALIDATION + 0.5) / VALIDATION < ability
        return json.dumps({"parity": "odd" if (n % 2 == 1) is right else "even"})

    model = paretune.ScriptedLanguageModel(reply, ledger=Ledger(folder / "ledger.sqlite"), concurrency=16)

    async def build_program(hp: Any) -> paretune.Program:
        talent = hp.Int("talent", 1, TALENTS) / TALENTS
        inputs = paretune.Input(data_model=Number)
        generator = paretune.Generator(data_model=Parity, language_model=model, temperature=talent)
        program = paretune.Program(inputs=inputs, outputs=await generator(inputs))
        program.compile(optimizer=paretune.optimizers.RandomFewShot())
        return program

    tuner = paretune.tuners.Hyperband(
        build_program, max_epochs=max_epochs, factor=factor, directory=folder, parallel_trials=4, verbose=False
    )
    x, y = examples(0, TRAIN)
    tuner.search(x, y, validation_data=examples(100, VALIDATION), batch_size=4)
    return tuner, len(model.backend.calls)


def main() -> None:
    """Print the trials."""
    factor, max_epochs = (int(text) for text in (*sys.argv[1:], *("3", "9")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        tuner, made = search(Path(folder), max_epochs, factor)
    print("trial  bracket  round  epochs  goes on from  talent  calls  reward")
    planned = 0
    for record in tuner.trial_records():
        values = record.values
        begin, end = values["tuner/initial_epoch"], values["tuner/epochs"]
        planned += (end - begin) * (TRAIN + VALIDATION)
        print(
            f"{record.trial:>5}  {values['tuner/bracket']:>7}  {values['tuner/round']:>5}  {f'{begin}-{end}':>6}  "
            f"{values.get('tuner/trial_id', '-'):>12}  {values['talent']:>6}  {record.calls:>5}  "
            f"{record.metrics['val_reward']:.2f}"
        )
    epochs = planned // (TRAIN + VALIDATION)
    print(f"{len(tuner.records)} trials, {epochs} epochs; calls made {made}, calls planned {planned}")
    assert made == planned
    best = tuner.get_best_hyperparameters()[0].values
    print(f"best: talent {best['talent']} of {TALENTS} after {best['tuner/epochs']} epochs")


if __name__ == "__main__":
    main()
