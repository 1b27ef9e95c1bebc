"""From a hypermodel to programs, and everything that can be wrong with one before a call is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from paretune.errors import UsageError
from paretune.metrics.measure import OPERATIONAL
from paretune.programs.module import clear_session
from paretune.programs.program import Program
from paretune.tuners.kt import HyperParameters
from paretune.tuners.objective import Constraint, MultiObjective, Objective, parts_of

__all__ = ["Builder", "as_builder", "build", "check_declared", "check_objectives", "explore", "validates"]

Builder = Callable[[Any], Any]


def as_builder(hypermodel: Any) -> Builder:
    """What a tuner takes as a hypermodel: ``build_program(hp)``, or an object with such a method ``build``."""
    builder = getattr(hypermodel, "build", hypermodel)
    if not callable(builder):
        raise UsageError(f"a hypermodel is a function build_program(hp), or has a method build (got {hypermodel!r})")
    return builder  # type: ignore[no-any-return]


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


def check_objectives(
    objective: Objective | MultiObjective,
    program: Program,
    has_validation: bool,
    constraints: Sequence[Constraint] = (),
) -> None:
    """Refuse, before the first call, an objective or a constraint that no trial can report."""
    reported = {"reward", *(metric.name for metric in program.metrics if metric.scalar), *OPERATIONAL}
    per_class = {metric.name for metric in program.metrics if not metric.scalar}
    prefix = "val_" if has_validation else ""
    known = sorted(f"{prefix}{name}" for name in reported)
    wanted = [("objective", part.name) for part in parts_of(objective)]
    wanted += [("constraint", constraint.name) for constraint in constraints]
    for what, name in wanted:
        plain = name.removeprefix("val_")
        if plain in per_class:
            raise UsageError(f"{what} {name!r} has one value per class: choose average='macro' or another")
        if name == f"val_{plain}" and plain in reported and not has_validation:
            raise UsageError(f"{what} {name!r} needs validation data: give validation_data=… or validation_split=…")
        if name not in known and not (name == plain and plain in reported):
            raise UsageError(f"{what} {name!r} is reported by no metric (there are: {', '.join(known)})")
        if plain == "cost":
            _check_prices(what, name, program)


def _check_prices(what: str, name: str, program: Program) -> None:
    models = program.language_models
    for model in (*models, *(other for one in models for other in one.fallbacks)):
        if model.price() is None:
            raise UsageError(
                f"{what} {name!r}: the price of {model.model!r} is unknown; "
                "give one (price: {prompt: …, completion: …} in US dollars per million tokens)"
            )


def validates(fit: Mapping[str, Any]) -> bool:
    """Whether these arguments of ``fit`` have validation examples."""
    return bool(fit.get("validation_data") or fit.get("validation_split"))
