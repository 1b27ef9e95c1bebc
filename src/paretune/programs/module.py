"""Modules and the symbols that they are called with: what a program is made of.

A module called with symbols adds a node to the graph; called with records it runs.
"""

from __future__ import annotations

import collections
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretune.configurable import Configurable
from paretune.errors import UsageError
from paretune.lm.language_model import LanguageModel
from paretune.prompting.trace import current_sample
from paretune.schemas.data_model import DataModel, added_names, combined_model, combined_record

__all__ = ["Combine", "Input", "Module", "Node", "Symbol", "clear_session", "inner_modules"]

_names: collections.Counter[str] = collections.Counter()

#: What ``output_models`` gives: the data model of the output, or that and the one of its gold records.
OutputModels = type[DataModel] | tuple[type[DataModel], type[DataModel]]


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
    """A record that is not there yet: its data model, the data model of its gold records, and what produces it.

    ``place`` tells which output of the node it is, where the node has several. ``a + b`` is a record with the fields
    of both; a field of ``b`` whose name is taken becomes ``name_1``, ``name_2``, …
    """

    data_model: type[DataModel]
    gold_model: type[DataModel]
    node: Node | None = None
    place: int | None = None

    def __add__(self, other: Any) -> Symbol:
        if not isinstance(other, Symbol):
            return NotImplemented
        return Combine().combine(self, other)


@dataclass(frozen=True, eq=False)
class Node:
    """One use of a module in a graph; ``listed`` when its inputs were given as one list."""

    module: Module
    inputs: tuple[Symbol, ...] = ()
    listed: bool = False


def Input(data_model: type[DataModel]) -> Symbol:
    """The place where an input record enters a program."""
    if not (isinstance(data_model, type) and issubclass(data_model, DataModel)):
        raise UsageError(f"Input needs a DataModel class (got {data_model!r})")
    return Symbol(data_model, data_model)


class Module(Configurable):
    """Base class of modules. A module of your own needs one method::

        async def call(self, inputs: Question) -> Answer | None: ...

    The annotation says what it returns; where it cannot, define ``output_models``. ``call`` may take ``training`` as
    well, which is true while ``fit`` runs training examples. Modules kept as attributes (or in lists, tuples and dicts
    that are attributes) are trained and saved with it. A record that is None is an invalid output of an earlier
    module; the default ``__call__`` passes it on.
    """

    name: str

    def __init__(self, name: str | None = None) -> None:
        base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        self.name = name or unique_name(base)

    async def __call__(self, *inputs: Any, **options: Any) -> Any:
        listed = len(inputs) == 1 and isinstance(inputs[0], list | tuple)
        flat = tuple(inputs[0]) if listed else inputs
        symbols = tuple(item for item in flat if isinstance(item, Symbol))
        if symbols:
            if not hasattr(self, "name"):
                raise UsageError(f"{type(self).__name__}.__init__ must call super().__init__()")
            if len(symbols) != len(flat) or options:
                raise UsageError(f"{self.name}: symbols cannot be mixed with records or options in one call")
            for module in (self, *inner_modules(self)):
                await module.check()
            return self.add_node(symbols, listed)
        if any(item is None for item in flat):
            return None
        if _hears_of_training(type(self).call):
            options.setdefault("training", current_sample().training)
        return await self.call(*inputs, **options)

    async def check(self) -> None:
        """Refuse, when a program is built, what cannot work when it runs. Nothing is asked of a language model."""

    def add_node(self, symbols: Sequence[Symbol], listed: bool = False) -> Any:
        """The symbol (for a program with several outputs: the list of symbols) of a call with these symbols."""
        models = self.output_models(*(symbol.data_model for symbol in symbols))
        output, gold = models if isinstance(models, tuple) else (models, models)
        return Symbol(output, gold, Node(self, tuple(symbols), listed))

    async def call(self, *inputs: Any) -> Any:
        """Turn input records into an output record, or None where no valid one could be had."""
        raise NotImplementedError(f"{type(self).__name__} must define: async def call(self, inputs)")

    def output_models(self, *inputs: type[DataModel]) -> OutputModels:
        """The data models of the output and of its gold records (or one class, for both), for given input data
        models: by default what ``call`` is annotated to return."""
        return _returned_model(type(self))

    @property
    def submodules(self) -> list[Module]:
        """The modules that this one holds itself, each once."""
        return list(dict.fromkeys(value for value in _values(vars(self)) if isinstance(value, Module)))

    @property
    def called_models(self) -> tuple[LanguageModel, ...]:
        """The language models that this module calls itself, the usual one first."""
        return ()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a module like this one, for ``Program.save``: by default those it was made with."""
        args, kwargs = self._arguments
        signature = inspect.signature(type(self).__init__)
        config: dict[str, Any] = {}
        for name, value in signature.bind(self, *args, **kwargs).arguments.items():
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL and value:
                raise UsageError(f"{self.name} cannot be saved: define get_config() for its arguments *{name}")
            config |= value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
        return {name: value for name, value in list(config.items())[1:] if name != "name"}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> typing.Self:
        """The module that ``get_config`` described."""
        return cls(**config)

    def get_state(self) -> dict[str, Any]:
        """What training has changed, as JSON values (without the submodules)."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a state that ``get_state`` gave."""
        if state:
            raise UsageError(f"{self.name} has no state, but one was given: {state!r}")


class Combine(Module):
    """The module behind ``+``: two records in, one with the fields of both out."""

    models: tuple[type[DataModel], type[DataModel]]

    def combine(self, left: Symbol, right: Symbol) -> Symbol:
        """The symbol of the combined record; gold records have their fields under the same names."""
        self.models = left.data_model, right.data_model
        gold = combined_model(left.gold_model, right.gold_model, added_names(*self.models))
        return Symbol(combined_model(*self.models), gold, Node(self, (left, right)))

    def output_models(self, *inputs: type[DataModel]) -> OutputModels:
        return combined_model(*self.models)

    async def call(self, left: DataModel, right: DataModel) -> DataModel:
        return combined_record(left, right, *self.models)


@functools.cache
def _hears_of_training(call: Callable[..., Any]) -> bool:
    """Whether a class's method ``call`` takes ``training``."""
    return "training" in inspect.signature(call).parameters


def inner_modules(module: Module) -> Iterator[Module]:
    """All modules inside a module, at any depth, in order, each once."""
    seen = {module}

    def walk(outer: Module) -> Iterator[Module]:
        for inner in outer.submodules:
            if inner not in seen:
                seen.add(inner)
                yield inner
                yield from walk(inner)

    return walk(module)


def _values(held: dict[str, Any]) -> Iterator[Any]:
    for name, value in held.items():
        if name != "_arguments":
            yield from (
                value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            )


def _returned_model(kind: type[Module]) -> type[DataModel]:
    try:
        returned = typing.get_type_hints(kind.call).get("return")
    except NameError as error:
        returned, reason = None, f" (its annotations cannot be read: {error})"
    else:
        reason = ""
    union = isinstance(returned, types.UnionType) or typing.get_origin(returned) is typing.Union
    models = [part for part in (typing.get_args(returned) if union else [returned]) if part is not type(None)]
    if len(models) == 1 and isinstance(models[0], type) and issubclass(models[0], DataModel):
        return models[0]
    raise UsageError(
        f"{kind.__name__} must say which data model it returns: `async def call(self, inputs) -> SomeDataModel | None`"
        f", or define output_models(self, *inputs){reason}"
    )
