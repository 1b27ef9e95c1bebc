"""From params.yaml to programs: the declared one, or a user's ``build_program(hp)``, through the same code."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from paretune.errors import ConfigError, UsageError
from paretune.lm.backends.local_memory import loaded_models
from paretune.lm.backends.recorded import PREFIX
from paretune.lm.env_file import load_env_file
from paretune.lm.language_model import LanguageModel
from paretune.lm.settings import declaring
from paretune.lm.types import CHAT_FORMS
from paretune.pipeline.chains import chained, optimizer_of, output_of
from paretune.pipeline.command_files import secrets_of, served_models
from paretune.pipeline.own_code import load
from paretune.pipeline.recordings import open_recording, recorded_space
from paretune.pipeline.scoring import Scoring
from paretune.pipeline.sections.base import check_sections, section
from paretune.pipeline.sections.lm import LmParams, ModelParams
from paretune.pipeline.sections.models import check_models, models_of
from paretune.pipeline.sections.program import ProgramParams, check_names, with_values
from paretune.pipeline.sections.search import SearchParams
from paretune.pipeline.sections.space import SpaceParams, check_conditions, ends, without_values
from paretune.pipeline.sections.steps import Step, chain
from paretune.programs.program import Program
from paretune.prompting.prompts import PromptWriter
from paretune.schemas.data_model import DataModel
from paretune.terminal import note
from paretune.tuners.keras_api import FailedTrialError, HyperParameters, hyperparameter_kinds
from paretune.tuners.spaces import conditional_on

if TYPE_CHECKING:
    from paretune.pipeline.own_process import OwnProcesses

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
        self._recording = open_recording(self.lm)
        with declaring(self._declared):
            self.scoring = Scoring(params, self.language_model)
            self._builder = _load_builder(self.program.builder) if self.program.builder else None
        #: What the declared program varies; a builder declares its own.
        self.space: dict[str, SpaceParams] = {} if self._builder else self.search.space
        self._processes: OwnProcesses | None = None
        if self.program.is_own_process:
            from paretune.pipeline.own_process import OwnProcesses

            self._processes = OwnProcesses(self.program, self.lm, self.space, self.scoring, self.language_model)
        if self._recording is not None:
            self.space = recorded_space(self.space, self.program, self.lm.model, self._recording.models)
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
        if self._processes is not None:
            note("one call an example is estimated: how many a program of your own makes is known when it runs")
            return
        for step in (None, *self.program.steps):
            name = "structured_output" if step is None else f"steps.{step}.structured_output"
            if name in self.space:
                await self._fit_form(name, step)

    async def _fit_form(self, name: str, step: str | None) -> None:
        """See ``fit_space``, for one hyperparameter: that of a step, or that of all which have none of their own."""
        others = {each for each, own in self.program.steps.items() if "structured_output" in own.model_fields_set}
        others |= {each for each in self.program.steps if f"steps.{each}.structured_output" in self.space}
        asking = [step] if step else [None, *(each for each in self.program.steps if each not in others)]
        models = {model: None for each in asking for model in models_of(self.program, self.space, self.lm.model, each)}
        gone = {}
        outputs = [output_of(each, self.program, self.scoring) for each in chain(self.program) if each.name in asking]
        for form in ends(self.space[name]):
            unwritable = next(filter(None, (_unwritable(output, form) for output in outputs)), None)
            reasons = [unwritable] if unwritable else [await self.language_model(model).lacks(form) for model in models]
            if all(reasons):
                gone[form] = "; ".join(filter(None, reasons))
        if len(gone) == len(ends(self.space[name])):
            form, reason = next(iter(gone.items()))
            raise ConfigError(_lacking(f"search.space.{name}", form, reason))
        for form, reason in gone.items():
            note(f"{name} {form!r} is left out of the space: {reason}")
        if gone:
            self.space = without_values(self.space, name, gone)

    async def close(self) -> None:
        """End what programs of the project's own need: their processes, and the gateway."""
        if self._processes is not None:
            await self._processes.close()

    @property
    def models(self) -> tuple[str, ...]:
        """The models that a gateway serves, the usual one first."""
        return served_models(self.lm, self.search.space)

    @property
    def secrets(self) -> list[str]:
        """The environment variables that section ``lm`` names as holding keys."""
        return secrets_of(self.lm)

    async def declared_program(self, values: Mapping[str, Any], place: str = "search.space") -> Program:
        """The program of section ``program`` with some hyperparameters' values in place (errors name ``place``)."""
        if self._processes is not None:
            return await self._processes.program(values)
        settings = with_values(self.program, values, place)
        varied = {name for name in values if place == "search.space" and self._varies(name)}
        try:
            steps = chain(settings)
        except ConfigError as error:
            if sum(name.endswith(".enabled") for name in varied) > 1:  # others of these leave steps that will do
                raise FailedTrialError(str(error)) from None
            raise
        for step in steps:
            await self._check(step, varied, place)
        scoring = self.scoring
        program = await chained(steps, settings, scoring, self._model_of)
        optimizer = optimizer_of(steps, settings, self.search.seed)
        program.compile(reward=scoring.reward, metrics=scoring.metrics, optimizer=optimizer)
        return program

    async def _check(self, step: Step, varied: Collection[str], place: str) -> None:
        """Raise for a step that its language model cannot be asked for: FailedTrialError where other values of the
        hyperparameters that are ``varied`` together would do, else ConfigError."""
        model, form = self._model_of(step), step.settings.structured_output
        _check_taken(model, step, place)
        lacking = await model.lacks(form)
        for reason, names in ((lacking, ("model", "structured_output")), (step.fault(), ("samples", "temperature"))):
            if reason is None:
                continue
            if all({name, f"steps.{step.name}.{name}"} & set(varied) for name in names):
                raise FailedTrialError(reason)
            raise ConfigError(_lacking(place, form, reason) if reason == lacking else f"{place}: {reason}")

    def _varies(self, name: str) -> bool:
        """Whether a hyperparameter has other values than one."""
        return name in self.space and len(set(ends(self.space[name]))) > 1

    def _model_of(self, step: Step) -> LanguageModel:
        return self.language_model(step.settings.model or self.lm.model)

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
        if name.startswith(PREFIX):
            reached["recordings"] = self._recording
        if self.lm.gateway is not None:  # it knows the fallbacks
            return {**reached, "fallbacks": [], "gateway": self.lm.gateway}
        others = [other for other in reached["fallbacks"] if other != name] if with_fallbacks else []
        return {**reached, "fallbacks": [self._make_language_model(other, with_fallbacks=False) for other in others]}

    def _check_space(self) -> None:
        """Try every end of every hyperparameter on its own; combinations are checked when they are built."""
        check_conditions(self.space)
        if self._processes is not None:
            check_names(self.space)
            return
        for name, kind in self.space.items():
            for value in ends(kind):
                chain(with_values(self.program, {name: value}, "search.space"))


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


def _check_taken(model: LanguageModel, step: Step, place: str) -> None:
    """Raise ConfigError for an option that is known not to be taken by a model, before anything is paid."""
    options = step.settings.options
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
                f"set {step.place}.{name} to null, or to one that it takes"
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
