"""From params.yaml to programs: the declared one, or a user's ``build_program(hp)``, through the same code."""

from __future__ import annotations

import importlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import ValidationError

from paretune.errors import ConfigError
from paretune.lm.language_model import LanguageModel
from paretune.optimizers.base import Optimizer
from paretune.optimizers.opro import OPRO
from paretune.optimizers.random_few_shot import RandomFewShot
from paretune.pipeline.params import check_sections, section
from paretune.pipeline.scoring import Scoring
from paretune.pipeline.settings import LmParams, ProgramParams, SearchParams, SpaceParams
from paretune.programs.generator import ChainOfThought, Generator
from paretune.programs.module import Input
from paretune.programs.program import Program
from paretune.schemas.faults import did_you_mean, find_faults

__all__ = ["ProgramSetup"]

_NOT_TUNABLE = ("builder", "source")


class ProgramSetup:
    """Everything that building a program takes, read once from the params.

    Raises ConfigError for anything in the sections, the space or the named builder that cannot work, before any call
    is made.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        check_sections(params, {"lm": LmParams, "program": ProgramParams, "search": SearchParams})
        self.scoring = Scoring(params)
        self.lm = section(params, "lm", LmParams)
        self.program = section(params, "program", ProgramParams)
        self.search = section(params, "search", SearchParams)
        self._language_models: dict[str, LanguageModel] = {}
        self._builder = _load_builder(self.program.builder) if self.program.builder else None
        if self._builder is None:
            self._check_space()

    def build_program(self, hp: Any) -> Program | Awaitable[Program]:
        """The hypermodel of this configuration."""
        values = self.declare(hp)
        if self._builder is not None:
            return self._builder(hp)  # type: ignore[no-any-return]
        return self.declared_program(values)

    def declare(self, hp: Any) -> dict[str, Any]:
        """Declare the space of ``search.space`` to ``hp``; the values that it gives."""
        return {name: _declare(hp, name, kind) for name, kind in self.search.space.items()}

    async def declared_program(self, values: Mapping[str, Any], place: str = "search.space") -> Program:
        """The program of section ``program`` with some hyperparameters' values in place (errors name ``place``)."""
        settings = self._settings(values, place)
        scoring = self.scoring
        options: dict[str, Any] = {
            "instructions": scoring.task.instructions if settings.instructions is None else settings.instructions,
            "temperature": settings.temperature,
            "reasoning_effort": settings.reasoning_effort,
            "max_tokens": settings.max_tokens,
            "structured_output": settings.structured_output,
        }
        language_model = self.language_model(settings.model or self.lm.model)
        module: Generator
        if settings.chain_of_thought:
            module = ChainOfThought(scoring.output_model, language_model, max_thinking=settings.max_thinking, **options)
        else:
            module = Generator(scoring.output_model, language_model, **options)
        inputs = Input(scoring.input_model)
        program = Program(inputs, await module(inputs), name=scoring.task.name)
        optimizer: Optimizer | None = None
        if settings.few_shot:
            optimizer = RandomFewShot(
                settings.few_shot,
                settings.few_shot,
                sampling=settings.sampling,
                stratify=settings.stratify,
                seed=self.search.seed,
            )
        if settings.instruction_search:
            optimizer = OPRO(few_shot=optimizer, seed=self.search.seed)
        program.compile(reward=scoring.reward, metrics=scoring.metrics, optimizer=optimizer)
        return program

    def language_model(self, name: str) -> LanguageModel:
        """The language model of a name, one object each."""
        if name not in self._language_models:
            own = self.lm.models.get(name)
            reached = {
                key: getattr(own, key) if own is not None and key in own.model_fields_set else getattr(self.lm, key)
                for key in ("api_base", "api_key_env", "concurrency", "timeout_s", "max_attempts", "price")
            }
            if reached["price"] is not None:
                reached["price"] = reached["price"].model_dump()
            self._language_models[name] = LanguageModel(name, **reached)
        return self._language_models[name]

    def _settings(self, values: Mapping[str, Any], place: str) -> ProgramParams:
        tunable = [name for name in ProgramParams.model_fields if name not in _NOT_TUNABLE]
        for name in values:
            if name not in tunable:
                raise ConfigError(
                    f"{place}.{name}: no hyperparameter of the declared program (there are: {', '.join(tunable)})"
                    f"{did_you_mean(name, tunable)}; with program.builder the space is yours"
                )
        try:
            return ProgramParams.model_validate({**self.program.model_dump(), **values})
        except ValidationError as error:
            faults = "".join(f"\n  {place}.{fault}" for fault in find_faults(error, ProgramParams))
            raise ConfigError(f"hyperparameters {json.dumps(dict(values))} cannot be:{faults}") from None

    def _check_space(self) -> None:
        """Try every end of every hyperparameter on its own; combinations are checked when they are built."""
        for name, kind in self.search.space.items():
            for value in _ends(kind):
                self._settings({name: value}, "search.space")


def _declare(hp: Any, name: str, kind: SpaceParams) -> Any:
    """Sample one declared hyperparameter from ``hp``."""
    if kind.kind == "fixed":
        return hp.Fixed(name, kind.value)
    if kind.kind == "boolean":
        return hp.Boolean(name)
    if kind.kind == "choice":
        if set(kind.values) == {True, False} and all(isinstance(value, bool) for value in kind.values):
            return hp.Boolean(name)
        mixed = any(isinstance(value, float) for value in kind.values)
        return hp.Choice(name, [float(value) if mixed else value for value in kind.values])
    if kind.kind == "int":
        step = None if kind.step is None else int(kind.step)
        return hp.Int(name, int(kind.min), int(kind.max), step=step, sampling=kind.sampling)
    return hp.Float(name, kind.min, kind.max, step=kind.step, sampling=kind.sampling)


def _ends(kind: SpaceParams) -> list[Any]:
    if kind.kind == "fixed":
        return [kind.value]
    if kind.kind == "boolean":
        return [True, False]
    if kind.kind == "choice":
        return list(kind.values)
    return [int(end) if kind.kind == "int" else end for end in (kind.min, kind.max)]


def _load_builder(name: str) -> Callable[[Any], Any]:
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise ConfigError(
            f"program.builder: no module {error.name!r} (got {name!r}; looked for in the project's folder and src/)"
        ) from None
    builder = getattr(module, function_name, None)
    if not callable(builder):
        raise ConfigError(f"program.builder: module {module_name!r} has no function {function_name!r}")
    return builder  # type: ignore[no-any-return]
