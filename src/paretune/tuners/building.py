"""From a hypermodel to programs, and everything that can be wrong with one before a call is made."""

from __future__ import annotations

import contextlib
import inspect
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from types import SimpleNamespace
from typing import Any

from paretune.errors import UsageError
from paretune.files import canonical_json
from paretune.lm.language_model import LanguageModel
from paretune.metrics.measures import measures_of
from paretune.programs.module import clear_session
from paretune.programs.program import Program
from paretune.trials.goals import Goals
from paretune.tuners.keras_api import FailedTrialError, HyperParameters, KerasHyperModel
from paretune.tuners.oracles.base import check_space
from paretune.tuners.spaces import Values, even_grid, grid_values

__all__ = [
    "as_hypermodel",
    "build",
    "check_declared",
    "check_fit",
    "check_hooks",
    "check_objectives",
    "directions_of",
    "explore",
    "validates",
]

#: What is looked at before a search: so many values of a hyperparameter, and so many programs.
_VALUES, _BUILT = 32, 300
#: What Keras-Tuner calls of a tuner's subclass, and nobody calls here.
_HOOKS = (
    *("run_trial", "load_model", "save_model"),
    *(f"on_{what}_{when}" for what in ("search", "trial", "epoch", "batch") for when in ("begin", "end")),
)


def check_hooks(tuner: type) -> None:
    """Refuse a subclass with a method that Keras-Tuner would call, and that would never be called here."""
    if own := [name for name in _HOOKS if hasattr(tuner, name)]:
        raise UsageError(
            f"{tuner.__name__}.{own[0]}() would never be called: what a trial builds belongs in build_program(hp), "
            "what happens in its training in search(…, callbacks=[…])"
        )


def as_hypermodel(hypermodel: Any) -> Any:
    """What a tuner takes as a hypermodel, as an object with a method ``build(hp)``: such an object, or a function
    ``build_program(hp)``."""
    builder = getattr(hypermodel, "build", hypermodel)
    if not callable(builder) or isinstance(hypermodel, type):
        raise UsageError(
            f"a hypermodel is a function build_program(hp), or an object with a method build (got {hypermodel!r})"
        )
    if builder is not hypermodel and getattr(type(hypermodel), "fit", None) not in (None, KerasHyperModel.fit):
        raise UsageError("a hypermodel's fit() is not called here: Program.fit trains, with the arguments of search()")
    return SimpleNamespace(build=hypermodel) if builder is hypermodel else hypermodel


async def build(build_program: Callable[[Any], Any], hyperparameters: HyperParameters) -> Program:
    """Call a (sync or async) ``build_program(hp)``; raises UsageError when it gives no compiled Program."""
    clear_session()
    with _each_once(hyperparameters):
        program = build_program(hyperparameters)
        if inspect.isawaitable(program):
            program = await program
    if not isinstance(program, Program) or not program.compiled:
        raise UsageError(f"build_program(hp) must return a compiled Program (got {program!r})")
    return program


@contextlib.contextmanager
def _each_once(hp: Any) -> Iterator[None]:
    """Refuse a hyperparameter that is declared again with other values: Keras-Tuner takes the first ones in silence.

    Under conditions that exclude each other it may have values of its own.
    """
    declared: dict[str, Any] = {}
    retrieve = hp._retrieve

    def check(kind: Any) -> Any:
        if hp.is_active(kind):
            values = {name: value for name, value in kind.get_config().items() if name != "conditions"}
            first = declared.setdefault(kind.name, (type(kind), values))
            if first != (type(kind), values):
                raise UsageError(
                    f"hyperparameter {kind.name!r} is declared twice, and not alike: first {_shown(*first)}, then "
                    f"{_shown(type(kind), values)}; give one of them another name"
                )
        return retrieve(kind)

    hp._retrieve = check
    try:
        yield
    finally:
        del hp._retrieve


def _shown(kind: type, values: Mapping[str, Any]) -> str:
    return f"{kind.__name__}({', '.join(f'{name}={value!r}' for name, value in values.items() if name != 'name')})"


async def explore(
    build_program: Callable[[Any], Any],
    declared: HyperParameters,
    look: Callable[[Program], object],
    *,
    tune_new: bool = True,
    allow_new: bool = True,
) -> HyperParameters:
    """The whole space: the hyperparameters that are declared beforehand, and those that the hypermodel declares.

    Build under the defaults; then in each conditional scope, and with each other value of each hyperparameter (of a
    number, with both ends), one at a time, until every hyperparameter is known. Each program is looked at, that of the
    defaults first. With ``tune_new=False`` those that only the hypermodel declares keep their defaults; without
    ``allow_new`` UsageError is raised where there are any.

    What a search would meet in some trial is so met before it begins: nothing is called. There is an end to it: the
    first ``_VALUES`` values of a choice, and ``_BUILT`` programs beside those that open scopes. What the hypermodel
    rejects (Keras-Tuner's FailedTrialError) is passed over; raises UsageError when that is everything.
    """
    rejected: list[FailedTrialError] = []
    built = 0
    given, space = {kind.name for kind in declared.space}, declared.copy()

    def fixed(kind: Any) -> bool:
        return not tune_new and kind.name not in given

    async def attempt(point: HyperParameters) -> None:
        nonlocal built
        try:
            program = await build(build_program, point)
        except FailedTrialError as error:
            rejected.append(error)
            return
        look(program)
        built += 1

    await attempt(space)
    check_space(space)
    seen = {canonical_json(space.values)}
    scopes, waiting = deque(space.inactive_scopes), deque(_variations(space, 0, fixed))
    while scopes or (waiting and len(seen) < _BUILT):
        point = _point(space, _within(space, scopes.popleft()) if scopes else waiting.popleft())
        if canonical_json(point.values) in seen:
            continue
        seen.add(canonical_json(point.values))
        await attempt(point)
        check_declared(space, [kind for kind in point.space if not kind.conditions])
        known = len(space.space)
        space.merge(point, overwrite=False)
        check_space(space)
        scopes += point.inactive_scopes
        waiting += _variations(space, known, fixed)
    if not built:
        raise UsageError(f"the hypermodel rejects every combination that was tried; the first one: {rejected[0]}")
    new = [kind.name for kind in space.space if kind.name not in given]
    if new and not allow_new:
        raise UsageError(f"allow_new_entries=False, but the hypermodel declares {new} beside `hyperparameters`")
    return space


def _variations(space: HyperParameters, known: int, fixed: Callable[[Any], bool]) -> Iterator[Values]:
    """What gives each hyperparameter from a place on each of its values."""
    for kind in space.space[known:]:
        for value in () if fixed(kind) else _values(kind):
            yield {**_within(space, kind.conditions), kind.name: value}


def _values(kind: Any) -> Sequence[Any]:
    if hasattr(kind, "min_value"):
        return [kind.min_value, (even_grid(kind) or [kind.max_value])[-1]]
    return grid_values(kind)[:_VALUES]


def _within(space: HyperParameters, conditions: Sequence[Any]) -> Values:
    """Values that open a scope, and the scopes around those that they belong to."""
    values: Values = {}
    waiting = list(conditions)
    while waiting:
        condition = waiting.pop()
        if condition.name not in values:
            values[condition.name] = condition.values[0]
            waiting += next((kind.conditions for kind in space.space if kind.name == condition.name), ())
    return values


def _point(space: HyperParameters, wanted: Values) -> HyperParameters:
    """The point of a space with the wanted values, and the defaults elsewhere."""
    point = space.copy()
    point.values = {}
    for kind in point.space:
        if point.is_active(kind):
            point.values[kind.name] = wanted.get(kind.name, kind.default)
    return point


def check_declared(space: HyperParameters, met: Sequence[Any]) -> None:
    """Refuse a hyperparameter that shows up only in some trials: no oracle could have proposed a value for it."""
    known = {kind.name for kind in space.space}
    for kind in met:
        if kind.name not in known:
            raise UsageError(
                f"hyperparameter {kind.name!r} is declared only for some values of others, so it is never varied: "
                "declare it always, or inside `with hp.conditional_scope(name, values):`"
            )


def directions_of(program: Program) -> dict[str, str]:
    """Which way is better of each measure that a program reports, by name without ``val_``."""
    return {measure.name: measure.direction for measure in measures_of([], [], program.metrics)}


def check_objectives(goals: Goals, program: Program, has_validation: bool, by: str | None = None) -> None:
    """Refuse, before the first call, an objective, a constraint or a rule's second goal that no trial can report."""
    reported = directions_of(program)
    per_class = {metric.name: metric.classes for metric in program.metrics if not metric.scalar}
    prefix = "val_" if has_validation else ""
    known = sorted(f"{prefix}{name}" for name in reported)
    wanted = [("objective", part.name) for part in goals.objectives]
    wanted += [("constraint", constraint.name) for constraint in goals.constraints]
    wanted += [] if by is None else [("winner.by", by)]
    for what, name in wanted:
        plain = name.removeprefix("val_")
        if plain in per_class:
            one = f"{name}_{per_class[plain][0]}"
            raise UsageError(f"{what} {name!r} has one value per class: choose average='macro', or one such as {one!r}")
        if name == f"val_{plain}" and plain in reported and not has_validation:
            raise UsageError(f"{what} {name!r} needs validation data: give validation_data=… or validation_split=…")
        if name == plain and plain in reported and program.optimizer is None:
            raise UsageError(f"{what} {name!r} is of the training examples, which run with an optimizer only")
        if name not in known and not (name == plain and plain in reported):
            raise UsageError(f"{what} {name!r} is reported by no metric (there are: {', '.join(known)})")
        if plain == "cost":
            _check_prices(what, name, program)
        for model in _asked(program):
            unmeasured: Callable[[], Mapping[str, str]] = getattr(model.backend, "unmeasured", dict)
            if reason := unmeasured().get(plain):  # a backend need not know
                raise UsageError(
                    f"{what} {name!r} cannot be told: {reason}; leave it out, or say what has it (lm.recording)"
                )


def _check_prices(what: str, name: str, program: Program) -> None:
    for model in _asked(program):
        if model.price() is None:
            fault = model.name_fault()
            raise UsageError(
                f"{what} {name!r}: the price of {model.model!r} is unknown{f' ({fault})' if fault else ''}; "
                "give one (price: {prompt: …, completion: …} in US dollars per million tokens)"
            )


def _asked(program: Program) -> list[LanguageModel]:
    """The language models of a program, and their fallbacks."""
    models = program.language_models
    return [*models, *(other for one in models for other in one.fallbacks)]


def validates(fit: Mapping[str, Any]) -> bool:
    """Whether these arguments of ``fit`` have validation examples."""
    return fit.get("validation_data") is not None or bool(fit.get("validation_split"))


def check_fit(program: Program, fit: Mapping[str, Any]) -> None:
    """Refuse arguments that a program's ``fit`` would refuse, or that train nothing."""
    known = [name for name in inspect.signature(program.fit).parameters if name != "replicate"]
    if unknown := [name for name in fit if name not in known]:
        raise UsageError(f"search() takes the arguments of Program.fit, not {unknown} (there are: {', '.join(known)})")
    given = fit.get("validation_data")
    if given is not None and not (isinstance(given, list | tuple) and len(given) == 2):
        raise UsageError("validation_data must be a pair (x, y) of inputs and gold records")
    epochs = {name: fit.get(name, usual) for name, usual in (("epochs", 1), ("initial_epoch", 0))}
    for name, value in epochs.items():
        if not isinstance(value, Integral):
            raise UsageError(f"{name} must be a whole number (got {value!r})")
    if not 0 <= epochs["initial_epoch"] < epochs["epochs"]:
        raise UsageError(
            f"epochs must be at least 1, and initial_epoch below it (got {epochs['epochs']}, {epochs['initial_epoch']})"
        )
