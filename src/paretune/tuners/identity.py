"""What a search is: everything that its trials depend on, in one digest that names its record."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from paretune.errors import UsageError
from paretune.files import canonical_json, digest
from paretune.lm.language_model import LanguageModel
from paretune.programs.module import Module, inner_modules
from paretune.programs.program import Program
from paretune.schemas.data_model import DataModel
from paretune.tuners.objective import parts_of
from paretune.tuners.oracle import ReplayableOracle

__all__ = ["fingerprint"]


def fingerprint(
    oracle: ReplayableOracle,
    build_program: Callable[[Any], Any],
    programs: Sequence[Program],
    fit: Mapping[str, Any],
    **more: Any,
) -> str:
    """The digest of a search, whatever the number of its trials.

    ``programs`` are those that the builder makes of points of the space, and count as far as they can be described:
    their modules with their settings, data models and language models, what they start from, their rewards, metrics and
    optimizers.
    ``fit`` holds the arguments of ``Program.fit``; ``more`` anything else that results depend on (JSON values).
    """
    return digest(
        _as_json(
            {
                "oracle": {"kind": type(oracle).__name__, **oracle.settings()},
                "space": oracle.get_space().get_config()["space"],
                "objectives": [part.describe() for part in parts_of(oracle.objective)],
                "builder": build_program,
                "programs": [_program(program) for program in programs],
                "fit": {name: value for name, value in fit.items() if name != "verbose"},
                **more,
            }
        )
    )


def _program(program: Program) -> dict[str, Any]:
    return {
        "modules": [_module(module) for module in inner_modules(program)],
        "flow": [[symbol.data_model for symbol in node.inputs] for node in program.graph.nodes],
        "compiled": [_part(part) for part in (program.reward, program.optimizer, *program.metrics)],
        "start": program.get_state()["modules"],
    }


def _module(module: Module) -> dict[str, Any]:
    try:
        settings = module.get_config()
    except UsageError:  # a class of the user's own that does not say how it was made
        settings = {}
    return {"name": module.name, "class": type(module), "settings": settings}


def _part(part: Any) -> Any:
    """A reward, a metric or an optimizer by its class and its settings."""
    if part is None:
        return None
    settings = {name: value for name, value in vars(part).items() if not name.startswith("_")}
    return {"class": type(part), "settings": settings}


def _as_json(value: Any) -> Any:
    """A value of any kind by what it says; what says nothing, by its class."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, type):
        return _class(value)
    if isinstance(value, LanguageModel):
        return value.identity
    if isinstance(value, Module):
        return _as_json(_module(value))
    if inspect.ismethod(value):
        return [_source(value), _as_json(type(value.__self__))]
    if inspect.isroutine(value):
        return _source(value)
    if hasattr(value, "get_json"):
        return value.get_json()
    if hasattr(value, "get_config"):
        return {"class": type(value).__name__, **_as_json(value.get_config())}
    if dataclasses.is_dataclass(value):
        return {field.name: _as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, functools.partial):
        return [_as_json(part) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, Mapping):
        return {str(name): _as_json(part) for name, part in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(canonical_json(_as_json(part)) for part in value)
    if isinstance(value, Sequence) or hasattr(value, "__iter__"):
        return [_as_json(part) for part in value]
    return _class(type(value))


def _class(kind: type) -> Any:
    """A data model by its schema, another class of the user's own by its source."""
    if issubclass(kind, DataModel):
        return {"class": kind.__name__, "schema": kind.get_schema()}
    return kind.__qualname__ if kind.__module__.startswith("paretune.") else _source(kind)


def _source(code: Any) -> str:
    """The source of a function or a class, so that a changed one starts a search of its own."""
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return str(getattr(code, "__qualname__", type(code)))
