"""Programs from the JSON files that ``Program.save`` wrote. Classes come from the caller, never from the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paretune.errors import DataError
from paretune.lm.language_model import LanguageModel
from paretune.programs.module import Combine, Input, Module, Symbol, inner_modules
from paretune.programs.program import Program
from paretune.programs.saved_models import model_from_schema, schema_of
from paretune.programs.saving import KNOWN, read_saved
from paretune.schemas.data_model import DataModel

__all__ = ["load_program"]


def load_program(path: str | Path, custom_objects: Mapping[str, Any] | None = None) -> Program:
    """Build the program of a file again, with its state; see ``Program.load``."""
    saved = read_saved(path)
    program = _Reader(str(path), saved, custom_objects or {}).program(saved["program"])
    program.load_state(saved["state"])
    return program


class _Reader:
    def __init__(self, path: str, saved: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> None:
        self.path = path
        self.custom_objects = custom_objects
        self.data_models = {key: self._data_model(entry) for key, entry in saved["data_models"].items()}
        self.language_models = [self._language_model(entry) for entry in saved["language_models"]]
        self.modules: list[Module] = []
        for entry in saved["modules"]:
            self.modules.append(self._module(entry))

    def program(self, entry: Mapping[str, Any]) -> Program:
        graph = entry["graph"]
        inputs = [Input(self.data_models[key]) for key in graph["inputs"]]
        built: list[Any] = []

        def symbol(reference: Mapping[str, int]) -> Symbol:
            if "input" in reference:
                return inputs[reference["input"]]
            made = built[reference["node"]]
            found: Symbol = made[reference["place"]] if "place" in reference else made
            return found

        for node in graph["nodes"]:
            module, sources = self.modules[node["module"]], [symbol(reference) for reference in node["inputs"]]
            if isinstance(module, Combine):
                built.append(module.combine(*sources))
            else:
                built.append(module.add_node(sources, node["listed"]))
        return Program(inputs, [symbol(reference) for reference in graph["outputs"]], name=entry["name"])

    def _module(self, entry: Mapping[str, Any]) -> Module:
        if entry["class"] == "Program":
            return self.program(entry)
        kind = {**KNOWN, **self.custom_objects}.get(entry["class"])
        if not (isinstance(kind, type) and issubclass(kind, Module)):
            raise self._missing("module class", entry["class"])
        module = kind.from_config({name: self._value(value) for name, value in entry["config"].items()})
        inner = list(inner_modules(module))
        if len(inner) != len(entry["inner"]):
            raise DataError(
                f"{self.path!r}: {entry['name']!r} was saved with the modules {entry['inner']}, {entry['class']!r} now "
                f"makes {[part.name for part in inner]}"
            )
        for part, name in zip((module, *inner), (entry["name"], *entry["inner"]), strict=True):
            part.name = name
        return module

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "$data_model" in value:
            return self.data_models[value["$data_model"]]
        if "$language_model" in value:
            return self.language_models[value["$language_model"]]
        if "$module" in value:
            return self.modules[value["$module"]]
        return {name: self._value(part) for name, part in value.items()}

    def _data_model(self, entry: Mapping[str, Any]) -> type[DataModel]:
        name = entry["class"]
        given = self.custom_objects.get(name)
        if given is None and not entry["rebuildable"]:
            raise self._missing("data model (it has code or types of its own)", name)
        model: type[DataModel] = model_from_schema(entry["schema"]) if given is None else given
        if schema_of(model) != entry["schema"]:
            raise DataError(f"{self.path!r} was saved with another data model {name!r} than the one given")
        return model

    def _language_model(self, entry: Mapping[str, Any]) -> LanguageModel:
        given = self.custom_objects.get(entry["model"])
        if isinstance(given, LanguageModel):
            return given
        if entry["arguments"] is None:
            raise self._missing("language model (it has a backend of its own)", entry["model"])
        return _language_model_of(entry["arguments"])

    def _missing(self, what: str, name: str) -> DataError:
        return DataError(f"{self.path!r} needs the {what} {name!r}: give custom_objects={{{name!r}: …}}")


def _language_model_of(arguments: Mapping[str, Any]) -> LanguageModel:
    return LanguageModel(
        **{**arguments, "fallbacks": [_language_model_of(other) for other in arguments.get("fallbacks", ())]}
    )
