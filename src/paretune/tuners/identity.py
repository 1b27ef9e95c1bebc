"""What a search is: everything that its trials depend on, in one digest that names its record."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import inspect
import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import numpy as np
from pydantic import BaseModel

from paretune.configurable import Configurable
from paretune.errors import UsageError
from paretune.files import canonical_json, digest
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.programs.module import Module, inner_modules
from paretune.programs.program import Program
from paretune.schemas.data_model import DataModel
from paretune.trials.goals import Goals
from paretune.tuners.oracles.base import ReplayableOracle
from paretune.tuners.race import Race

__all__ = ["Explored", "fingerprint", "scoring"]

#: Values inside of values are looked at to this depth: some hold themselves.
_DEPTH = 12
_PLAIN = bool | int | float | str | None
#: Values whose text says all of them.
_SAYS_ALL = (enum.Enum, re.Pattern, PurePath, Decimal, date)


@dataclasses.dataclass
class Explored:
    """What is kept of the programs that a builder makes of the points of a space: a digest of each, what its replies
    are scored by (its metrics, and the prices of its language models), the ledgers of these, and the first program."""

    digests: list[str] = dataclasses.field(default_factory=list)
    scoring: list[Any] = dataclasses.field(default_factory=list)
    ledgers: list[Ledger] = dataclasses.field(default_factory=list)
    first: Program | None = None

    def add(self, program: Program) -> None:
        """Look at one more."""
        self.first = self.first or program
        self.digests.append(digest(_program(program)))
        proposers = program.optimizer.language_models if program.optimizer is not None else ()
        models = (*program.language_models, *proposers)
        scoring = _as_json([program.metrics, [model.pricing for model in models]])
        if scoring not in self.scoring:
            self.scoring.append(scoring)
        for model in models:
            if model.ledger not in self.ledgers:
                self.ledgers.append(model.ledger)


def fingerprint(
    oracle: ReplayableOracle,
    build_program: Callable[[Any], Any],
    explored: Explored,
    fit: Mapping[str, Any],
    *,
    replicates: int = 1,
    race: Race | None = None,
    **more: Any,
) -> str:
    """The digest of a search, whatever the number of its trials (but a ``race`` among more of them is another race).

    ``explored`` are the programs that the builder makes of points of the space. They count as far as they can be
    described: their modules with their settings, data models and language models, what they start from, and the
    arguments of their rewards and optimizers. ``fit`` holds the arguments of ``Program.fit``; ``more`` anything else
    that results depend on (JSON values). What replies are scored by is no part of it: with other metrics, prices, units
    or constraints the same trials are scored anew (see ``scoring``).
    """
    if replicates > 1:
        more["replicates"] = replicates
    if race is not None:
        more["race"] = dataclasses.asdict(race)
    return digest(
        _as_json(
            {
                "oracle": {"kind": type(oracle).__name__, **oracle.settings()},
                "space": oracle.get_space().get_config()["space"],
                "builder": _builder(build_program),
                "programs": explored.digests,
                "fit": {name: value for name, value in fit.items() if name != "verbose"},
                **more,
            }
        )
    )


def scoring(explored: Explored, goals: Goals | None) -> str:
    """The digest of what a trial's metrics depend on beside its replies; of the ``goals`` too where they choose between
    epochs or replicates."""
    return digest(_as_json([explored.scoring, goals]))


def _builder(build_program: Any) -> Any:
    """A builder by its source; what it finds around it shows in the programs."""
    if isinstance(build_program, functools.partial):
        return [_builder(build_program.func), _as_json(build_program.args), _as_json(build_program.keywords)]
    if inspect.ismethod(build_program):
        return [_source(build_program.__func__), _source(type(build_program.__self__))]
    return _source(build_program if inspect.isroutine(build_program) else type(build_program))


def _program(program: Program) -> Any:
    return _as_json(
        {
            "modules": [_module(module) for module in inner_modules(program)],
            "flow": [[symbol.data_model for symbol in node.inputs] for node in program.graph.nodes],
            "compiled": [program.reward, program.optimizer],
            "start": program.get_state()["modules"],
        }
    )


def _module(module: Module) -> dict[str, Any]:
    try:
        settings = module.get_config()
    except UsageError:  # a class of the user's own that does not say how it was made
        settings = {}
    return {"name": module.name, "class": type(module), "settings": settings}


def _as_json(value: Any, depth: int = _DEPTH) -> Any:
    """A value of any kind by what it says; what says nothing, by its class."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, _PLAIN):
        return value
    if depth == 0:
        return _class(type(value))
    inner = functools.partial(_as_json, depth=depth - 1)
    if isinstance(value, np.generic):
        return inner(value.item())
    if isinstance(value, type):
        return _class(value)
    if isinstance(value, LanguageModel):
        return value.identity
    if isinstance(value, Module):
        return inner(_module(value))
    if isinstance(value, Configurable):
        return [_class(type(value)), *map(inner, value._arguments)]
    if inspect.isroutine(value):
        return _function(value, inner)
    if hasattr(value, "get_json"):
        return value.get_json()
    if hasattr(value, "get_config"):
        return {"class": type(value).__name__, **inner(value.get_config())}
    if dataclasses.is_dataclass(value):
        return {field.name: inner(getattr(value, field.name, None)) for field in dataclasses.fields(value)}
    if isinstance(value, BaseModel):
        return [_class(type(value)), inner(dict(value))]
    if isinstance(value, functools.partial):
        return [inner(part) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, _SAYS_ALL):
        return repr(value)
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            return inner(value.tolist())
        return [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, Mapping):
        return {str(name): inner(part) for name, part in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(canonical_json(inner(part)) for part in value)
    if isinstance(value, Collection):  # no file and no iterator, which would be read
        return [inner(part) for part in value]
    return [_class(type(value)), _scalars(getattr(value, "__dict__", {}))]


def _function(function: Any, inner: Callable[[Any], Any]) -> Any:
    """A function by its source, its defaults and the plain values that it closes over; a method with its object's."""
    if inspect.ismethod(function):
        own = function.__self__
        return [_source(function.__func__), inner(own if isinstance(own, type) else type(own)), _scalars(vars(own))]
    if not inspect.isfunction(function):
        return _source(function)
    closed = _scalars(inspect.getclosurevars(function).nonlocals)
    return [_source(function), inner(function.__defaults__), inner(function.__kwdefaults__), closed]


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _as_json(value) for name, value in values.items() if isinstance(value, _PLAIN)}


def _class(kind: type) -> Any:
    """A data model by its schema, another class of the user's own by its source."""
    if issubclass(kind, DataModel):
        strict = {"strict_labels": True} if kind.strict_labels else {}
        return {"class": kind.__name__, "schema": kind.get_schema(), **strict}
    return kind.__qualname__ if kind.__module__.startswith("paretune.") else _source(kind)


def _source(code: Any) -> Any:
    """The source of a function or a class. Where there is none, as at a prompt: what its functions do."""
    return _read(code)


@functools.lru_cache(maxsize=256)  # for a class the whole file is parsed
def _read(code: Any) -> Any:
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        pass
    if inspect.isfunction(code):
        constants = [repr(value) for value in code.__code__.co_consts if isinstance(value, bool | int | float | str)]
        return [code.__qualname__, code.__code__.co_code.hex(), constants, list(code.__code__.co_names)]
    name = str(getattr(code, "__qualname__", type(code)))
    functions = [value for value in vars(code).values() if inspect.isfunction(value)] if inspect.isclass(code) else []
    return [name, *map(_source, functions)] if functions else name
