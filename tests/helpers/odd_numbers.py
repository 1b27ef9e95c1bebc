"""A search for the tests: which settings make a scripted language model tell odd numbers from even ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, Literal

from paretune import ChainOfThought, DataModel, Generator, Input, LanguageModel, Program
from paretune.lm.types import Request
from paretune.metrics import CategoricalF1Score
from paretune.optimizers import RandomFewShot
from paretune.tuners.tuner import Tuner


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
    return hashlib.sha256(repr((request.messages, request.options.temperature, request.replicate)).encode()).hexdigest()


def mostly_right(request: Request) -> str:
    """Right for some requests and wrong for others, always the same; better at low temperatures."""
    number, dice = asked(request), int(digest_of(request)[:4], 16) / 65536
    right = dice < 0.9 - 0.4 * (request.options.temperature or 0.0)
    parity = "odd" if (number % 2 == 1) is right else "even"
    thinking = {"thinking": f"{dice:.2f}"} if "thinking" in (request.schema or {}).get("properties", {}) else {}
    return json.dumps({**thinking, "parity": parity})


def make_builder(
    model: LanguageModel, temperatures: Iterable[float] = (0.0, 0.5, 1.0), average: Any = "macro"
) -> Callable[[Any], Any]:
    """A hypermodel of two hyperparameters; ``average`` is that of its metric."""
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
            metrics=[CategoricalF1Score(average=average, name="f1")],
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
        for replicate in row["replicates"]:
            replicate["metrics"] = {name: x for name, x in replicate["metrics"].items() if "latency" not in name}
            for example in replicate["examples"]:
                del example["latency_s"]
    return found
