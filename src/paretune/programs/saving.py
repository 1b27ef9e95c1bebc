"""Programs as JSON files: no code goes in, and none comes out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune.errors import DataError, UsageError
from paretune.files import read_json, write_json
from paretune.lm.language_model import LanguageModel
from paretune.lm.masking import public_address
from paretune.programs.generator import ChainOfThought, Generator
from paretune.programs.module import Combine, Module, Symbol, inner_modules
from paretune.programs.saved_models import is_rebuildable, schema_of
from paretune.programs.select import Select
from paretune.schemas.data_model import DataModel

if TYPE_CHECKING:
    from paretune.programs.graph import Graph
    from paretune.programs.program import Program

__all__ = ["FORMAT", "KNOWN", "Writer", "read_saved", "write_program"]

FORMAT = {"format": "paretune.program", "version": 1}
#: The module classes that need not be given when a program is loaded.
KNOWN: dict[str, type[Module]] = {kind.__name__: kind for kind in (ChainOfThought, Combine, Generator, Select)}


def write_program(program: Program, path: str | Path) -> None:
    """Write a program's graph, its modules' settings, its data models and its state."""
    writer = Writer()
    saved = writer.program(program)
    write_json(
        path,
        {
            **FORMAT,
            "program": saved,
            "modules": writer.modules,
            "data_models": writer.data_models,
            "language_models": writer.language_models,
            "state": program.get_state(),
        },
    )


def read_saved(path: str | Path) -> dict[str, Any]:
    """The content of a file that ``write_program`` wrote; raises DataError for any other."""
    saved = read_json(path)
    if not isinstance(saved, dict) or saved.get("format") != FORMAT["format"]:
        raise DataError(f"{str(path)!r} holds no program that Program.save wrote")
    if saved.get("version") != FORMAT["version"]:
        raise DataError(
            f"{str(path)!r} has the form {saved.get('version')!r} of saved programs, this version reads "
            f"{FORMAT['version']}"
        )
    return saved


class Writer:
    """Turns modules into JSON values; what they share is written once, in tables."""

    def __init__(self) -> None:
        self.modules: list[dict[str, Any]] = []
        self.data_models: dict[str, dict[str, Any]] = {}
        self.language_models: list[dict[str, Any]] = []
        self._places: dict[Module | LanguageModel, int] = {}
        self._keys: dict[type[DataModel], str] = {}

    def program(self, program: Program) -> dict[str, Any]:
        """A program, whose modules are in the table."""
        return {"name": program.name, "graph": self._graph(program.graph)}

    def _graph(self, graph: Graph) -> dict[str, Any]:
        places = {node: place for place, node in enumerate(graph.nodes)}

        def reference(symbol: Symbol) -> dict[str, int]:
            if symbol in graph.inputs or symbol.node is None:
                return {"input": graph.inputs.index(symbol)}
            place = {} if symbol.place is None else {"place": symbol.place}
            return {"node": places[symbol.node], **place}

        return {
            "inputs": [self._data_model(symbol.data_model) for symbol in graph.inputs],
            "nodes": [
                {
                    "module": self._module(node.module),
                    "inputs": [reference(symbol) for symbol in node.inputs],
                    "listed": node.listed,
                }
                for node in graph.nodes
            ],
            "outputs": [reference(symbol) for symbol in graph.outputs],
        }

    def _module(self, module: Module) -> int:
        if module not in self._places:
            saved = self._saved_module(module)
            self._places[module] = len(self.modules)
            self.modules.append(saved)
        return self._places[module]

    def _saved_module(self, module: Module) -> dict[str, Any]:
        from paretune.programs.program import Program

        kind = type(module).__name__
        if isinstance(module, Program):
            return {"class": "Program", **self.program(module)}
        if kind == "Program" or KNOWN.get(kind, type(module)) is not type(module):
            raise UsageError(f"{module.name} cannot be saved: its class {kind!r} has the name of one of paretune's own")
        config = {name: self._value(value, module, name) for name, value in module.get_config().items()}
        inner = [part.name for part in inner_modules(module)]
        return {"class": kind, "name": module.name, "config": config, "inner": inner}

    def _value(self, value: Any, module: Module, name: str) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, type) and issubclass(value, DataModel):
            return {"$data_model": self._data_model(value)}
        if isinstance(value, LanguageModel):
            return {"$language_model": self._language_model(value)}
        if isinstance(value, Module):
            return {"$module": self._module(value)}
        if isinstance(value, list | tuple):
            return [self._value(part, module, name) for part in value]
        if isinstance(value, Mapping) and all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: self._value(part, module, name) for key, part in value.items()}
        raise UsageError(
            f"{module.name} cannot be saved: its argument {name!r} is a {type(value).__name__}; define get_config(), "
            "or save only the state with save_state()"
        )

    def _data_model(self, model: type[DataModel]) -> str:
        if model not in self._keys:
            key, number = model.__name__, 1
            while key in self.data_models:
                key, number = f"{model.__name__}_{number}", number + 1
            self._keys[model] = key
            self.data_models[key] = {
                "class": model.__name__,
                "rebuildable": is_rebuildable(model),
                "schema": schema_of(model),
            }
        return self._keys[model]

    def _language_model(self, model: LanguageModel) -> int:
        if model not in self._places:
            self._places[model] = len(self.language_models)
            arguments = model.arguments
            if arguments is not None:
                arguments = _without_logins(arguments)
            self.language_models.append({"model": model.model, "arguments": arguments})
        return self._places[model]


def _without_logins(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a language model again, its fallbacks' too, with addresses that hold no secret."""
    fallbacks = [_without_logins(other) for other in arguments.get("fallbacks", ())]
    return {**arguments, "api_base": public_address(arguments["api_base"]), "fallbacks": fallbacks}
