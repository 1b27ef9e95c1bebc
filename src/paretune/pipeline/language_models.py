"""The language models of a configuration, by name, as section ``lm`` says that they are reached."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from paretune.lm.backends.local_memory import loaded_models
from paretune.lm.backends.recorded import PREFIX
from paretune.lm.env_file import load_env_file
from paretune.lm.language_model import LanguageModel
from paretune.lm.settings import declaring
from paretune.pipeline.recordings import open_recording
from paretune.pipeline.sections.lm import LmParams, ModelParams

__all__ = ["DeclaredModels"]


class DeclaredModels:
    """The language models, one object a name. Raises DataError and ConfigError for recorded replies that cannot be."""

    def __init__(self, lm: LmParams) -> None:
        if lm.env_file is not None:
            load_env_file(lm.env_file)
        loaded_models.limit = None if lm.memory_gb is None else int(lm.memory_gb * 1e9)
        self._lm = lm
        self.recording = open_recording(lm)
        #: The names of those that code of the project's own has made itself.
        self.made: set[str] = set()
        self._models: dict[str, LanguageModel] = {}

    def named(self, name: str) -> LanguageModel:
        """The language model of a name."""
        if name not in self._models:
            self._models[name] = LanguageModel(name, **self._reached(name, with_fallbacks=True))
        return self._models[name]

    def declaring(self) -> AbstractContextManager[None]:
        """A context in which what code of the project's own makes by name is reached as section ``lm`` says."""
        return declaring(self._declared)

    def _declared(self, name: str) -> dict[str, Any]:
        self.made.add(name)
        return self._reached(name, with_fallbacks=True)

    def _reached(self, name: str, with_fallbacks: bool) -> dict[str, Any]:
        """The arguments of a model, of which section ``lm`` may say something by its name."""
        own = self._lm.models.get(name)
        reached = {
            key: getattr(own, key) if own is not None and key in own.model_fields_set else getattr(self._lm, key)
            for key in ModelParams.model_fields
        }
        if reached["price"] is not None:
            reached["price"] = reached["price"].model_dump()
        if name.startswith(PREFIX):
            reached["recordings"] = self.recording
        if self._lm.gateway is not None:  # it knows the fallbacks
            return {**reached, "fallbacks": [], "gateway": self._lm.gateway}
        others = [other for other in reached["fallbacks"] if other != name] if with_fallbacks else []
        return {
            **reached,
            "fallbacks": [LanguageModel(other, **self._reached(other, with_fallbacks=False)) for other in others],
        }
