"""What a search is: everything that its trials depend on, in one digest that names its record."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from paretune.files import digest
from paretune.programs.program import Program
from paretune.tuners.objective import parts_of
from paretune.tuners.oracle import ReplayableOracle

__all__ = ["fingerprint"]


def fingerprint(
    oracle: ReplayableOracle,
    build_program: Callable[[Any], Any],
    first: Program,
    fit: Mapping[str, Any],
    **more: Any,
) -> str:
    """The digest of a search, whatever the number of its trials.

    ``first`` is the program under the defaults: its language models count (those of its reward and its optimizer too),
    and what its modules start from.
    ``fit`` holds the arguments of ``Program.fit``; ``more`` anything else that results depend on (JSON values).
    """
    return digest(
        {
            "oracle": {"kind": type(oracle).__name__, **oracle.settings()},
            "space": oracle.get_space().get_config()["space"],
            "objectives": [part.describe() for part in parts_of(oracle.objective)],
            "builder": _source(build_program),
            "models": [generator.language_model.identity for generator in first.generators],
            "proposers": [model.identity for model in (first.optimizer.language_models if first.optimizer else ())],
            "reward": first.reward.identity,
            "start": first.get_state()["modules"],
            "fit": {name: _as_json(value) for name, value in fit.items() if name != "verbose"},
            **more,
        }
    )


def _source(function: Callable[[Any], Any]) -> str:
    """A builder's source, so that a changed builder starts a search of its own."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return repr(type(function))


def _as_json(value: Any) -> Any:
    if hasattr(value, "get_json"):
        return value.get_json()
    if hasattr(value, "get_config"):
        return {"class": type(value).__name__, **_as_json(value.get_config())}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, Mapping):
        return {str(name): _as_json(part) for name, part in value.items()}
    if isinstance(value, Sequence) or hasattr(value, "__iter__"):
        return [_as_json(part) for part in value]
    return type(value).__name__
