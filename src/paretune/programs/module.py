"""Modules and the symbolic graph: what a program is made of.

A module called with symbols adds a node to the graph; called with records it runs.
"""

from __future__ import annotations

import collections
import re
from dataclasses import dataclass, field
from typing import Any

from paretune.errors import UsageError
from paretune.schemas.data_model import DataModel

__all__ = ["Input", "Module", "Node", "Symbol", "clear_session"]

_names: collections.Counter[str] = collections.Counter()


def clear_session() -> None:
    """Reset automatic names, so that every trial of a search names its modules like the first one."""
    _names.clear()


def unique_name(base: str) -> str:
    """``generator``, ``generator_1``, … in the order of creation since the last clear_session()."""
    number = _names[base]
    _names[base] += 1
    return f"{base}_{number}" if number else base


@dataclass(frozen=True, eq=False)
class Symbol:
    """A record that is not there yet: its data model, the data model of its gold records, and what produces it."""

    data_model: type[DataModel]
    gold_model: type[DataModel]
    node: Node | None = None


@dataclass(frozen=True, eq=False)
class Node:
    """One use of a module in a graph."""

    module: Module
    inputs: tuple[Symbol, ...] = field(default=())


def Input(data_model: type[DataModel]) -> Symbol:
    """The place where a program's input record enters."""
    if not (isinstance(data_model, type) and issubclass(data_model, DataModel)):
        raise UsageError(f"Input needs a DataModel class (got {data_model!r})")
    return Symbol(data_model, data_model)


class Module:
    """Base class of modules: define ``call`` (async, records in, record out) and ``output_models``.

    A record that is None is an invalid output of an earlier module; the default ``__call__`` passes it on.
    """

    def __init__(self, name: str | None = None) -> None:
        base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        self.name = name or unique_name(base)

    async def __call__(self, *inputs: Any) -> Any:
        symbols = [item for item in inputs if isinstance(item, Symbol)]
        if symbols:
            if len(symbols) != len(inputs):
                raise UsageError(f"{self.name}: symbols and records cannot be mixed in one call")
            output, gold = self.output_models(*(symbol.data_model for symbol in symbols))
            return Symbol(output, gold, Node(self, tuple(symbols)))
        if any(item is None for item in inputs):
            return None
        return await self.call(*inputs)

    async def call(self, *inputs: Any) -> Any:
        """Turn input records into an output record, or None where no valid one could be had."""
        raise NotImplementedError(f"{type(self).__name__} must define: async def call(self, inputs)")

    def output_models(self, *inputs: type[DataModel]) -> tuple[type[DataModel], type[DataModel]]:
        """The data models of the output and of its gold records, for given input data models."""
        raise NotImplementedError(f"{type(self).__name__} must define: def output_models(self, *inputs)")

    def get_state(self) -> dict[str, Any]:
        """What training has changed, as JSON values."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a state that ``get_state`` gave."""
        if state:
            raise UsageError(f"{self.name} has no state, but one was given: {state!r}")
