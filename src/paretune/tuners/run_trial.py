"""One trial: build the program, train it, and say how it went."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any

from paretune.errors import UsageError
from paretune.lm.types import Reply
from paretune.metrics.measure import OPERATIONAL
from paretune.metrics.outcome import Outcome, too_many_failures
from paretune.programs.module import clear_session
from paretune.programs.program import Program
from paretune.programs.trainer import Evaluation, History
from paretune.tuners.kt import HyperParameters
from paretune.tuners.objective import MultiObjective, Objective, parts_of
from paretune.tuners.trials import TrialRecord, finite

__all__ = ["build", "check_declared", "check_objectives", "explore", "planned_calls", "run_trial"]


async def build(build_program: Callable[[Any], Any], hyperparameters: HyperParameters) -> Program:
    """Call a (sync or async) ``build_program(hp)``; raises UsageError when it gives no compiled Program."""
    clear_session()
    program = build_program(hyperparameters)
    if inspect.isawaitable(program):
        program = await program
    if not isinstance(program, Program) or not program.compiled:
        raise UsageError(f"build_program(hp) must return a compiled Program (got {program!r})")
    return program


async def explore(build_program: Callable[[Any], Any], space: HyperParameters) -> Program:
    """Build once under the defaults, and again for each conditional scope that stayed closed, until ``space`` knows
    every hyperparameter; the program under the defaults is returned."""
    first = await build(build_program, space)
    opened, seen = list(space.active_scopes), list(space.inactive_scopes)
    while (scope := next((conditions for conditions in seen if conditions not in opened), None)) is not None:
        opened.append(scope)
        point = space.copy()
        point.values.update({condition.name: condition.values[0] for condition in scope})
        for kind in point.space:
            if not point.is_active(kind):
                point.values.pop(kind.name, None)
            else:
                point.values.setdefault(kind.name, kind.default)
        await build(build_program, point)
        space.merge(point, overwrite=False)
        opened += point.active_scopes
        seen += point.inactive_scopes
    return first


def check_declared(space: HyperParameters, trial: HyperParameters) -> None:
    """Refuse a hyperparameter that shows up only in some trials: no oracle could have proposed a value for it."""
    known = {kind.name for kind in space.space}
    for kind in trial.space:
        if kind.name not in known:
            raise UsageError(
                f"hyperparameter {kind.name!r} is declared only for some values of others, so it is never varied: "
                "declare it always, or inside `with hp.conditional_scope(name, values):`"
            )


def check_objectives(objective: Objective | MultiObjective, program: Program, has_validation: bool) -> None:
    """Refuse, before the first call, an objective that no trial can report."""
    reported = {"reward", *(metric.name for metric in program.metrics if metric.scalar), *OPERATIONAL}
    per_class = {metric.name for metric in program.metrics if not metric.scalar}
    prefix = "val_" if has_validation else ""
    known = sorted(f"{prefix}{name}" for name in reported)
    for part in parts_of(objective):
        plain = part.name.removeprefix("val_")
        if plain in per_class:
            raise UsageError(f"objective {part.name!r} has one value per class: choose average='macro' or another")
        if part.name not in known and not (part.name == plain and plain in reported):
            raise UsageError(f"objective {part.name!r} is reported by no metric (there are: {', '.join(known)})")
        if plain == "cost":
            models = [generator.language_model for generator in program.generators]
            for model in (*models, *program.reward.language_models):
                if model.price() is None:
                    raise UsageError(
                        f"objective {part.name!r}: the price of {model.model!r} is unknown; "
                        "give one (price: {prompt: …, completion: …} in US dollars per million tokens)"
                    )


def planned_calls(program: Program, n_train: int, n_val: int, epochs: int, batch_size: int) -> int:
    """How many calls a trial makes: each epoch runs the training examples (with an optimizer) and the validation, and
    each run calls every generator and what the reward calls (which an invalid output saves); then there are the
    optimizer's own calls."""
    optimizer = program.optimizer
    per_epoch = (n_train if optimizer is not None else 0) + n_val
    runs = per_epoch * epochs * (len(program.generators) + program.reward.calls_per_example)
    batches = math.ceil(n_train / batch_size) * epochs
    return runs + (0 if optimizer is None else optimizer.planned_calls(program.generators, batches))


async def run_trial(
    program: Program,
    number: str,
    values: dict[str, Any],
    objective: Objective | MultiObjective,
    max_failure_rate: float,
    fit: dict[str, Any],
) -> TrialRecord:
    """Train a program and record the trial; it is FAILED when too many examples could not be scored."""
    callbacks = copy.deepcopy(fit.get("callbacks"))  # each trial has its own: they remember what they saw
    history: History = await program.fit(**{"verbose": 0, **fit, "callbacks": callbacks})
    outcomes = [outcome for part in _evaluations(history) for outcome in part.outcomes]
    proposals = [reply for replies in history.proposals for reply in replies]
    took: list[Outcome | Reply] = [*outcomes, *proposals]
    costs = [one.cost_usd for one in took]
    calls = sum(outcome.calls for outcome in outcomes) + len(proposals)
    best = _best_epoch(history, objective)
    scored = history.validation[best] or history.training[best]
    if scored is None:
        raise UsageError("a trial without validation data and without an optimizer runs no example: give fit() some")
    totals = {
        "calls": calls,
        "prompt_tokens": sum(one.prompt_tokens for one in took),
        "completion_tokens": sum(one.completion_tokens for one in took),
        "cost_usd": None if None in costs else sum(cost for cost in costs if cost is not None),
        "latency_s": round(sum(one.latency_s for one in took) / calls, 6) if calls else None,
        "n": len(scored.outcomes),
        "epoch": history.epoch[best],
    }
    metrics = finite({name: series[best] for name, series in history.history.items()})
    error = too_many_failures(scored.outcomes, max_failure_rate)
    if error is None and (missing := [part.name for part in parts_of(objective) if part.name not in metrics]):
        error = f"objective {missing[0]!r} could not be measured"
    return TrialRecord(
        trial=number,
        status="COMPLETED" if error is None else "FAILED",
        values=values,
        metrics=metrics,
        error=error,
        state={**history.states[best], "optimizer": None} if error is None else {},
        examples=[outcome.row() for outcome in scored.outcomes],
        **totals,  # type: ignore[arg-type]
    )


def _evaluations(history: History) -> list[Evaluation]:
    return [part for part in (*history.training, *history.validation) if part is not None]


def _best_epoch(history: History, objective: Objective | MultiObjective) -> int:
    """The epoch with the best scalar (the earliest of equals), so that a trial's metrics are all of one epoch."""
    logs = [{name: series[i] for name, series in history.history.items()} for i in range(len(history.epoch))]
    if len(logs) == 1:
        return 0
    if isinstance(objective, MultiObjective):
        unscaled = MultiObjective(objective.objectives)
        scores = unscaled.scores(logs)
    else:
        sign = 1.0 if objective.direction == "min" else -1.0
        scores = [sign * log[objective.name] for log in logs]
    return min(range(len(scores)), key=lambda i: (scores[i] != scores[i], scores[i]))
