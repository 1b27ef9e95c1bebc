"""From a hypermodel to programs: one at a point of the space, and enough of them to know the whole space."""

from __future__ import annotations

import contextlib
import inspect
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from paretune.errors import UsageError
from paretune.files import canonical_json
from paretune.programs.module import clear_session
from paretune.programs.program import Program
from paretune.tuners.keras_api import FailedTrialError, HyperParameters, KerasHyperModel
from paretune.tuners.oracles.base import check_space
from paretune.tuners.spaces import Values, even_grid, grid_values

__all__ = [
    "as_hypermodel",
    "build",
    "check_declared",
    "explore",
]

#: What is looked at before a search: so many values of a hyperparameter, and so many programs.
_VALUES, _BUILT = 32, 300


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
