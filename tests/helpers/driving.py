"""What drives an oracle and a search in the tests of the proposals that depend on results."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from odd_numbers import fit_arguments, make_builder, mostly_right, rows

from paretune import ScriptedLanguageModel
from paretune.errors import FatalError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Price, Request
from paretune.trials.constraint import as_constraint
from paretune.trials.goals import Goals, Objective, as_goals
from paretune.tuners.keras_api import HyperParameters, TrialStatus
from paretune.tuners.oracles.base import ReplayableOracle
from paretune.tuners.tuner import Tuner

Judge = Callable[[Mapping[str, Any]], Mapping[str, float] | None]


def oracle_over(
    kind: type[ReplayableOracle],
    declare: Callable[[HyperParameters], Any],
    objective: Any = None,
    constraints: Any = (),
    **options: Any,
) -> Any:
    """An oracle over the space that a function declares."""
    space = HyperParameters()
    declare(space)
    goals = as_goals(objective or Objective("val_reward"))
    goals = replace(goals, constraints=tuple(map(as_constraint, constraints)))
    return kind(goals, hyperparameters=space, **{"max_trials": None, **options})


def drive(
    oracle: ReplayableOracle,
    judge: Judge,
    most: int = 10_000,
    recorded: Sequence[Mapping[str, Any]] = (),
    order: int = 0,
) -> list[dict[str, Any]]:
    """The values of the trials, by number. As many run at once as the oracle has slots, they end in a random order, and
    a trial that ``judge`` gives no metrics fails. The first ones are not proposed but taken from ``recorded``."""
    rng, found, running = random.Random(order), [], []
    while True:
        number = oracle.next_number() if len(running) < oracle.slots and len(found) < most else None
        if number is not None:
            values = recorded[number] if number < len(recorded) else oracle.propose(number)
            if values is not None:
                found.append(dict(values))
                running.append(oracle.start(number, dict(values)))
                continue
            oracle.exhausted = True
        if not running:
            return found
        trial = running.pop(rng.randrange(len(running)))
        metrics = judge(trial.hyperparameters.values)
        status = TrialStatus.FAILED if metrics is None else TrialStatus.COMPLETED
        oracle.finish(trial, status, metrics or {}, 0, None)


def two_objectives() -> Goals:
    """One to maximise and one to minimise."""
    return as_goals([Objective("val_reward"), Objective("val_cost", unit=1.0)])


def reward_and_cost(values: Mapping[str, Any]) -> dict[str, float] | None:
    """Smooth in x and y, and opposed; a few points fail."""
    x, y = float(values["x"]), float(values["y"])
    if int(1000 * (x + y)) % 7 == 3:
        return None
    return {"val_reward": x - (y - 0.3) ** 2, "val_cost": 40.0 * x**2 + y}


def square(hp: HyperParameters) -> None:
    """Two continuous hyperparameters, and some that make no difference."""
    hp.Float("x", 0.0, 1.0)
    hp.Float("y", 0.0, 1.0)
    hp.Boolean("loud")
    hp.Choice("style", ["plain", "formal", "short"])


def search(
    kind: type[Tuner],
    folder: Path,
    concurrency: int = 4,
    die_after: int | None = None,
    trials: int = 10,
    **options: Any,
) -> str | None:
    """The records of a search over sixteen points with replies in a random order; None when it dies on the way."""
    asked = []

    def script(request: Request) -> str:
        asked.append(request)
        if die_after is not None and len(asked) > die_after:
            raise FatalError("killed")
        return mostly_right(request)

    lm = ScriptedLanguageModel(
        script,
        ledger=Ledger(folder / "ledger.sqlite"),
        concurrency=concurrency,
        latency_s=0.001,
        jitter=True,
        price=Price(1.0, 2.0),
    )
    tuner = kind(
        make_builder(lm, [0.1 * step for step in range(8)]),
        ["val_reward", "val_cost"],
        max_trials=trials,
        num_initial_points=3,
        directory=folder,
        parallel_trials=3,
        verbose=False,
        **options,
    )
    try:
        tuner.search(**fit_arguments())
    except FatalError:
        return None
    return json.dumps(rows(tuner))
