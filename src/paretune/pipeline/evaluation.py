"""The held-out test: a trial's program rebuilt, and the declared baseline, once a replicate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np

from paretune.errors import ConfigError
from paretune.files import digest
from paretune.lm.ledger.attribution import attributed_to
from paretune.metrics.measures import mean_of_replicates
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.scoring import Records
from paretune.programs.program import Program
from paretune.programs.running import Evaluation
from paretune.trials.record import TrialRecord
from paretune.tuners.building import build
from paretune.tuners.keras_api import HyperParameters

__all__ = ["baseline_program", "evaluation_rows", "rebuild", "reward_rows", "tested_baseline", "tested_trial"]

Split = tuple[Records, Records]


async def rebuild(setup: ProgramSetup, values: Mapping[str, Any], state: Mapping[str, Any]) -> Program:
    """A trial's program: built again from its hyperparameters, with its trained state."""
    hyperparameters = HyperParameters()
    hyperparameters.values = dict(values)
    program = await build(setup.build_program, hyperparameters)
    program.load_state(dict(state))
    return program


async def tested_trial(setup: ProgramSetup, record: TrialRecord, test: Split) -> Evaluation:
    """Every replicate of a trial on the test examples; see ``_tested``."""

    async def program(replicate: int) -> Program:
        return await rebuild(setup, record.values, record.replicates[replicate].state)

    return await _tested(program, len(record.replicates), record.trial, test)


async def tested_baseline(
    setup: ProgramSetup, values: Mapping[str, Any], replicates: int, train: Split, test: Split
) -> Evaluation:
    """The program of section ``program`` with some values in place, trained like a trial, on the test examples."""

    async def program(replicate: int) -> Program:
        built = await baseline_program(setup, values)
        if built.optimizer is not None:
            fit: dict[str, Any] = {"epochs": setup.search.epochs, "batch_size": setup.search.batch_size}
            with attributed_to(search="evaluate", trial="baseline"):
                await built.fit(*train, **fit, replicate=replicate, verbose=0)
        return built

    return await _tested(program, replicates, "baseline", test)


async def _tested(program: Callable[[int], Awaitable[Program]], replicates: int, name: str, test: Split) -> Evaluation:
    """The outcomes of one replicate after the other, and the measures' means over them."""
    found = []
    for replicate in range(replicates):
        built = await program(replicate)
        with attributed_to(search="evaluate", trial=name, example="test"):
            found.append(await built.evaluation(*test, replicate=replicate))
    outcomes = tuple(outcome for one in found for outcome in one.outcomes)
    return Evaluation(outcomes, tuple(mean_of_replicates([one.measures for one in found])))


async def baseline_program(setup: ProgramSetup, values: Mapping[str, Any]) -> Program:
    """The baseline before it is trained. Raises ConfigError for values that cannot be."""
    if setup.program.builder is not None:
        raise ConfigError("evaluate.baseline: program.builder declares no values to compare with; set it to null")
    return await setup.declared_program(values, "evaluate.baseline")


def evaluation_rows(evaluation: Evaluation, x: Records, y: Records) -> list[dict[str, Any]]:
    """One row an example: the input, the gold output, and what became of it; with several replicates, the rows of one
    after those of the other, each with its number."""
    rows = []
    for place, outcome in enumerate(evaluation.outcomes):
        replicate, index = divmod(place, len(y))
        number = {"replicate": replicate} if len(evaluation.outcomes) > len(y) else {}
        rows.append({**number, "x": x[index].get_json(), "y": y[index].get_json(), **outcome.row()})
    return rows


def reward_rows(winner: Evaluation, baseline: Evaluation | None, x: Records, y: Records) -> list[dict[str, Any]]:
    """One row an example: a digest of it, and the rewards of the winner and of the baseline, means over the replicates;
    None where one was not scored. By these, two commits are compared example by example."""
    named = {"winner": winner} if baseline is None else {"winner": winner, "baseline": baseline}
    rewards = {name: _rewards(evaluation) for name, evaluation in named.items()}
    return [
        {"example": digest([one.get_json(), gold.get_json()])[:16], **{name: each[i] for name, each in rewards.items()}}
        for i, (one, gold) in enumerate(zip(x, y, strict=True))
    ]


def _rewards(evaluation: Evaluation) -> list[float | None]:
    measure = next(each for each in evaluation.measures if each.name == "reward")
    return [None if np.isnan(value) else float(value) for value in measure.example_values]
