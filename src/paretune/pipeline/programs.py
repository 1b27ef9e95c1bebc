"""From params.yaml to programs: the declared one, or a user's ``build_program(hp)``, through the same code."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from paretune.errors import ConfigError, UsageError
from paretune.lm.backends.local_memory import loaded_models
from paretune.lm.env_file import load_env_file
from paretune.lm.language_model import LanguageModel
from paretune.lm.settings import declaring
from paretune.lm.types import CHAT_FORMS
from paretune.optimizers.opro import OPRO
from paretune.optimizers.optimizer import Optimizer
from paretune.optimizers.random_few_shot import RandomFewShot
from paretune.pipeline.own_code import load
from paretune.pipeline.scoring import Scoring
from paretune.pipeline.sections.base import check_sections, section
from paretune.pipeline.sections.lm import LmParams, ModelParams
from paretune.pipeline.sections.models import check_models
from paretune.pipeline.sections.program import ProgramParams, with_values
from paretune.pipeline.sections.search import SearchParams
from paretune.pipeline.sections.space import SpaceParams, check_conditions, ends, without_values
from paretune.programs.generator import ChainOfThought, Generator
from paretune.programs.module import Input
from paretune.programs.program import Program
from paretune.prompting.prompts import PromptWriter
from paretune.schemas.data_model import DataModel
from paretune.terminal import note
from paretune.tuners.keras_api import FailedTrialError, HyperParameters, hyperparameter_kinds
from paretune.tuners.spaces import conditional_on

__all__ = ["ProgramSetup"]

#: What a builder finds under ``paretune`` and nothing here imports: it may run in a trial (see ``import_closure``).
_FOR_BUILDERS = ("paretune.lm.backends.scripted", "paretune.rewards.judge")


class ProgramSetup:
    """Everything that building a program takes, read once from the params.

    Raises ConfigError for anything in the sections, the space or the named builder that cannot work, before any call
    is made.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        check_sections(params, {"lm": LmParams, "program": ProgramParams, "search": SearchParams})
        self._params = params
        self.lm = section(params, "lm", LmParams)
        #: The models that code of the project's own has made by name.
        self.made_models: set[str] = set()
        if self.lm.env_file is not None:
            load_env_file(self.lm.env_file)
        loaded_models.limit = None if self.lm.memory_gb is None else int(self.lm.memory_gb * 1e9)
        self.program = section(params, "program", ProgramParams)
        self.search = section(params, "search", SearchParams)
        self._language_models: dict[str, LanguageModel] = {}
        with declaring(self._declared):
            self.scoring = Scoring(params, self.language_model)
            self._builder = _load_builder(self.program.builder) if self.program.builder else None
        #: What the declared program varies; a builder declares its own.
        self.space: dict[str, SpaceParams] = {} if self._builder else self.search.space
        self._check_space()

    def declare(self, hp: Any) -> dict[str, Any]:
        """Declare the space to ``hp``; the values that it gives."""
        return _declare_space(hp, self.space)

    def build_program(self, hp: Any) -> Awaitable[Program]:
        """The hypermodel of this configuration."""
        if self._builder is not None:
            return self._built(self._builder, hp)
        return self.declared_program(self.declare(hp))

    async def _built(self, builder: Callable[[Any], Any], hp: Any) -> Program:
        """What a builder makes; its models are reached as section ``lm`` says of their names."""
        with declaring(self._declared):
            program = builder(hp)
            return await program if inspect.isawaitable(program) else program  # type: ignore[no-any-return]

    def check_models(self, space: HyperParameters) -> None:
        """Raise ConfigError for a model in ``lm.models`` that no program uses, once all of the ``space`` is known: by
        then code of the project's own has made its models."""
        kinds = [kind for kind in space.space if isinstance(kind, hyperparameter_kinds.Choice)]
        check_models(self._params, self.made_models, {str(value) for kind in kinds for value in kind.values})

    async def fit_space(self) -> None:
        """Leave out of the space the forms of asking that none of its models has, with a line on stderr for each.

        Raises ConfigError when none is left.
        """
        if self._builder is not None and self.search.space:
            note("search.space is not used: the space is that of program.builder")
        if "structured_output" not in self.space:
            return
        models = ends(self.space["model"]) if "model" in self.space else [self.program.model or self.lm.model]
        gone = {}
        for form in ends(self.space["structured_output"]):
            unwritable = _unwritable(self.scoring.output_model, form)
            reasons = [unwritable] if unwritable else [await self.language_model(model).lacks(form) for model in models]
            if all(reasons):
                gone[form] = "; ".join(filter(None, reasons))
        if len(gone) == len(ends(self.space["structured_output"])):
            form, reason = next(iter(gone.items()))
            raise ConfigError(_lacking("search.space.structured_output", form, reason))
        for form, reason in gone.items():
            note(f"structured_output {form!r} is left out of the space: {reason}")
        if gone:
            self.space = without_values(self.space, "structured_output", gone)

    async def declared_program(self, values: Mapping[str, Any], place: str = "search.space") -> Program:
        """The program of section ``program`` with some hyperparameters' values in place (errors name ``place``)."""
        settings = self._settings(values, place)
        scoring = self.scoring
        options: dict[str, Any] = {
            "instructions": scoring.task.instructions if settings.instructions is None else settings.instructions,
            "structured_output": settings.structured_output,
            **settings.options,
        }
        language_model = self.language_model(settings.model or self.lm.model)
        _check_taken(language_model, settings, place)
        if reason := await language_model.lacks(settings.structured_output):
            if {
                "model",
                "structured_output",
            } <= values.keys() and place == "search.space":  # other models have the form
                raise FailedTrialError(reason)
            raise ConfigError(_lacking(place, settings.structured_output, reason))
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
            self._language_models[name] = self._make_language_model(name, with_fallbacks=True)
        return self._language_models[name]

    def _make_language_model(self, name: str, *, with_fallbacks: bool) -> LanguageModel:
        return LanguageModel(name, **self._reached(name, with_fallbacks))

    def _declared(self, name: str) -> dict[str, Any]:
        """How a model that code of the project's own makes by name is reached."""
        self.made_models.add(name)
        return self._reached(name, with_fallbacks=True)

    def _reached(self, name: str, with_fallbacks: bool) -> dict[str, Any]:
        """The arguments of a model, of which section ``lm`` may say something by its name."""
        own = self.lm.models.get(name)
        reached = {
            key: getattr(own, key) if own is not None and key in own.model_fields_set else getattr(self.lm, key)
            for key in ModelParams.model_fields
        }
        if reached["price"] is not None:
            reached["price"] = reached["price"].model_dump()
        others = [other for other in reached["fallbacks"] if other != name] if with_fallbacks else []
        return {**reached, "fallbacks": [self._make_language_model(other, with_fallbacks=False) for other in others]}

    def _settings(self, values: Mapping[str, Any], place: str) -> ProgramParams:
        return with_values(self.program, values, place)

    def _check_space(self) -> None:
        """Try every end of every hyperparameter on its own; combinations are checked when they are built."""
        check_conditions(self.space)
        for name, kind in self.space.items():
            for value in ends(kind):
                self._settings({name: value}, "search.space")


def _unwritable(model: type[DataModel], form: Any) -> str | None:
    """Why records of a data model cannot be asked for in a form; None where they can."""
    try:
        _ = PromptWriter(model, model, form).grammar
    except UsageError as error:
        return str(error).partition(";")[0]
    return None


def _lacking(place: str, form: str, reason: str) -> str:
    other = CHAT_FORMS if form == "completion" else "completion"
    return f"{place}: structured_output cannot be {form!r}: {reason}; set it to {other}"


def _check_taken(model: LanguageModel, settings: ProgramParams, place: str) -> None:
    """Raise ConfigError for an option that is known not to be taken by a model, before anything is paid."""
    options = settings.options
    effort = options.pop("reasoning_effort", None)
    if effort is not None and not model.capabilities["reasoning_effort"]:
        effort = None  # the program leaves it out
    for name in ("temperature", "top_p", "stop", "seed"):
        if name not in options:
            continue
        value = options[name]
        if reason := model.refused(**{name: value, "reasoning_effort": effort}):
            shown = f"{value:g}" if isinstance(value, float) else repr(value)
            raise ConfigError(
                f"{place}: {model.model} takes no {name} {shown} ({reason}); "
                f"set program.{name} to null, or to one that it takes"
            )


def _declare_space(hp: Any, space: Mapping[str, SpaceParams]) -> dict[str, Any]:
    """Declare a space to ``hp``; the values that it gives, without those that do not exist under the others."""
    values = {}
    for name, kind in space.items():
        with conditional_on(hp, kind.conditions):
            value = _declare(hp, name, kind)
        if value is not None:
            values[name] = value
    return values


def _declare(hp: Any, name: str, kind: SpaceParams) -> Any:
    """Sample one declared hyperparameter from ``hp``; None where it does not exist."""
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


def _load_builder(name: str) -> Callable[[Any], Any]:
    builder = load(name, "program.builder")
    if not callable(builder):
        raise ConfigError(f"program.builder: {name!r} must be a function (got {builder!r})")
    return builder  # type: ignore[no-any-return]
