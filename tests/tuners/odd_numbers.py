"""A search for the tests: which settings make a scripted language model tell odd numbers from even ones.

Run as a script it searches a grid and notes every call that reaches the model, in processes that can be killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from paretune import ChainOfThought, DataModel, Generator, Input, LanguageModel, Program, ScriptedLanguageModel
from paretune.lm.ledger import Ledger
from paretune.lm.types import Request
from paretune.metrics import CategoricalF1Score
from paretune.optimizers import RandomFewShot
from paretune.tuners import GridSearch, Objective
from paretune.tuners.tuner import Tuner

#: How many calls the searches that are killed make at once.
CONCURRENCY = 4


class Number(DataModel):
    n: int


class Parity(DataModel):
    parity: Literal["odd", "even"]


def numbers(count: int, start: int = 0) -> tuple[list[Number], list[Parity]]:
    """Some numbers, and what they are."""
    every = range(start, start + count)
    return [Number(n=n) for n in every], [Parity(parity="odd" if n % 2 else "even") for n in every]


def fit_arguments(**more: Any) -> dict[str, Any]:
    """What ``search`` gets: six training and four validation examples."""
    x, y = numbers(6)
    return {"x": x, "y": y, "validation_data": numbers(4, start=100), "batch_size": 3, **more}


def asked(request: Request) -> int:
    """The number in a request."""
    return int(json.loads(request.messages[-1][1])["n"])


def digest_of(request: Request) -> str:
    """A digest of everything that is asked."""
    return hashlib.sha256(repr((request.messages, request.temperature, request.replicate)).encode()).hexdigest()


def mostly_right(request: Request) -> str:
    """Right for some requests and wrong for others, always the same; better at low temperatures."""
    number, dice = asked(request), int(digest_of(request)[:4], 16) / 65536
    right = dice < 0.9 - 0.4 * (request.temperature or 0.0)
    parity = "odd" if (number % 2 == 1) is right else "even"
    thinking = {"thinking": f"{dice:.2f}"} if "thinking" in (request.schema or {}).get("properties", {}) else {}
    return json.dumps({**thinking, "parity": parity})


def make_builder(model: LanguageModel, temperatures: Iterable[float] = (0.0, 0.5, 1.0)) -> Callable[[Any], Any]:
    """A hypermodel of two hyperparameters."""
    choices = list(temperatures)

    async def build_program(hp: Any) -> Program:
        thinks = hp.Boolean("thinks")
        temperature = hp.Choice("temperature", choices)
        inputs = Input(data_model=Number)
        module = (ChainOfThought if thinks else Generator)(
            data_model=Parity, language_model=model, temperature=temperature
        )
        program = Program(inputs=inputs, outputs=await module(inputs))
        program.compile(
            metrics=[CategoricalF1Score(average="macro", name="f1")],
            optimizer=RandomFewShot(1, 2, seed=3),
        )
        return program

    return build_program


def rows(tuner: Tuner) -> list[dict[str, Any]]:
    """The records of a search without what depends on the clock."""
    found = [json.loads(json.dumps(record.row())) for record in tuner.trial_records()]
    for row in found:
        del row["latency_s"]
        row["metrics"] = {name: value for name, value in row["metrics"].items() if "latency" not in name}
        for example in row["examples"]:
            del example["latency_s"]
    return found


def run(folder: Path, concurrency: int) -> Tuner:
    """Search the grid; every call that reaches the model is appended to ``folder/calls`` at once."""
    log = os.open(folder / "calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def script(request: Request) -> str:
        os.write(log, (digest_of(request) + "\n").encode())
        return mostly_right(request)

    model = ScriptedLanguageModel(
        script, ledger=Ledger(folder / "ledger.sqlite"), concurrency=concurrency, latency_s=0.004, jitter=True
    )
    tuner = GridSearch(
        make_builder(model),
        objective=[Objective("val_reward", "max"), Objective("val_f1", "max")],
        directory=folder,
        project_name="search",
        parallel_trials=2,
        verbose=False,
    )
    tuner.search(**fit_arguments(epochs=2))
    os.close(log)
    return tuner


def serve() -> None:
    """For each line of standard input (a folder), search it in a fork of this process, and tell when that has ended.

    Forking saves the time of the imports. The records are left in ``folder/records.json``.
    """
    for line in sys.stdin:
        folder = Path(line.strip())
        process = os.fork()
        if not process:
            (folder / "records.json").write_text(json.dumps(rows(run(folder, CONCURRENCY))))
            os._exit(0)
        print(process, flush=True)
        os.waitpid(process, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    serve()
