"""Programs for the held-out test: the winner rebuilt, and the declared baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paretune.errors import ConfigError
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.scoring import Records
from paretune.programs.program import Program
from paretune.programs.running import Evaluation
from paretune.trials.winner import Best
from paretune.tuners.building import build
from paretune.tuners.keras_api import HyperParameters

__all__ = ["baseline", "baseline_program", "evaluation_rows", "rebuild"]


async def rebuild(setup: ProgramSetup, best: Best) -> Program:
    """The winning program: built again from its hyperparameters, with its trained state."""
    hyperparameters = HyperParameters()
    hyperparameters.values = dict(best.values)
    program = await build(setup.build_program, hyperparameters)
    program.load_state(best.state)
    return program


async def baseline(setup: ProgramSetup, values: Mapping[str, Any], train: tuple[Records, Records]) -> Program:
    """The program of section ``program`` with some values in place, trained like a trial."""
    program = await baseline_program(setup, values)
    if program.optimizer is not None:
        await program.fit(*train, epochs=setup.search.epochs, batch_size=setup.search.batch_size, verbose=0)
    return program


async def baseline_program(setup: ProgramSetup, values: Mapping[str, Any]) -> Program:
    """The baseline before it is trained. Raises ConfigError for values that cannot be."""
    if setup.program.builder is not None:
        raise ConfigError("evaluate.baseline: program.builder declares no values to compare with; set it to null")
    return await setup.declared_program(values, "evaluate.baseline")


def evaluation_rows(evaluation: Evaluation, x: Records, y: Records) -> list[dict[str, Any]]:
    """One row an example: the input, the gold output, and what became of it."""
    return [
        {"x": record.get_json(), "y": gold.get_json(), **outcome.row()}
        for record, gold, outcome in zip(x, y, evaluation.outcomes, strict=True)
    ]
