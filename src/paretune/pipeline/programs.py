"""From params.yaml to programs: the declared one, or a user's ``build_program(hp)``, through the same code."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from paretune.errors import ConfigError
from paretune.lm.language_model import LanguageModel
from paretune.pipeline.chains import chained, optimizer_of
from paretune.pipeline.forms import check_step, with_known_forms
from paretune.pipeline.language_models import DeclaredModels
from paretune.pipeline.own_code import load
from paretune.pipeline.recordings import recorded_space
from paretune.pipeline.scoring import Scoring
from paretune.pipeline.sections.base import check_sections, section
from paretune.pipeline.sections.lm import LmParams
from paretune.pipeline.sections.models import check_models, served_models
from paretune.pipeline.sections.program import ProgramParams, check_names, with_values
from paretune.pipeline.sections.search import SearchParams
from paretune.pipeline.sections.space import SpaceParams, check_conditions, ends
from paretune.pipeline.sections.steps import Step, chain
from paretune.programs.program import Program
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
        self._models = DeclaredModels(self.lm)
        self.program = section(params, "program", ProgramParams)
        self.search = section(params, "search", SearchParams)
        with self._models.declaring():
            self.scoring = Scoring(params, self.language_model)
            self._builder = _load_builder(self.program.builder) if self.program.builder else None
        #: What the declared program varies; a builder declares its own.
        self.space: dict[str, SpaceParams] = {} if self._builder else self.search.space
        self._processes: OwnProcesses | None = None
        if self.program.is_own_process:
            from paretune.pipeline.own_process import OwnProcesses

            self._processes = OwnProcesses(self.program, self.lm, self.space, self.scoring, self.language_model)
        if self._models.recording is not None:
            self.space = recorded_space(self.space, self.program, self.lm.model, self._models.recording.models)
        self._check_space()

    def declare(self, hp: Any) -> dict[str, Any]:
        """Declare the space to ``hp``; the values that it gives, without those that do not exist under the others."""
        values = {}
        for name, kind in self.space.items():
            with conditional_on(hp, kind.conditions):
                value = _declare(hp, name, kind)
            if value is not None:
                values[name] = value
        return values

    def build_program(self, hp: Any) -> Awaitable[Program]:
        """The hypermodel of this configuration."""
        if self._builder is not None:
            return self._built(self._builder, hp)
        return self.declared_program(self.declare(hp))

    async def _built(self, builder: Callable[[Any], Any], hp: Any) -> Program:
        """What a builder makes; its models are reached as section ``lm`` says of their names."""
        with self._models.declaring():
            program = builder(hp)
            return await program if inspect.isawaitable(program) else program  # type: ignore[no-any-return]

    def check_models(self, space: HyperParameters) -> None:
        """Raise ConfigError for a model in ``lm.models`` that no program uses, once all of the ``space`` is known: by
        then code of the project's own has made its models."""
        kinds = [kind for kind in space.space if isinstance(kind, hyperparameter_kinds.Choice)]
        check_models(self._params, self._models.made, {str(value) for kind in kinds for value in kind.values})

    async def fit_space(self) -> None:
        """Leave out of the space the forms of asking that none of its models has, with a line on stderr for each.

        Raises ConfigError when none is left.
        """
        if self._builder is not None and self.search.space:
            note("search.space is not used: the space is that of program.builder")
        if self._processes is not None:
            note("one call an example is estimated: how many a program of your own makes is known when it runs")
            return
        self.space = await with_known_forms(self.space, self.program, self.scoring, self.lm.model, self.language_model)

    async def close(self) -> None:
        """End what programs of the project's own need: their processes, and the gateway."""
        if self._processes is not None:
            await self._processes.close()

    @property
    def models(self) -> tuple[str, ...]:
        """The models that a gateway serves, the usual one first."""
        return served_models(self.lm, self.search.space)

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
            await check_step(step, self._model_of(step), varied, place)
        scoring = self.scoring
        program = await chained(steps, settings, scoring, self._model_of)
        optimizer = optimizer_of(steps, settings, self.search.seed)
        program.compile(reward=scoring.reward, metrics=scoring.metrics, optimizer=optimizer)
        return program

    def _varies(self, name: str) -> bool:
        """Whether a hyperparameter has other values than one."""
        return name in self.space and len(set(ends(self.space[name]))) > 1

    def language_model(self, name: str) -> LanguageModel:
        """The language model of a name, one object each."""
        return self._models.named(name)

    def _model_of(self, step: Step) -> LanguageModel:
        return self.language_model(step.settings.model or self.lm.model)

    def _check_space(self) -> None:
        """Try every end of every hyperparameter on its own; combinations are checked when they are built."""
        check_conditions(self.space)
        if self._processes is not None:
            check_names(self.space)
            return
        for name, kind in self.space.items():
            for value in ends(kind):
                chain(with_values(self.program, {name: value}, "search.space"))


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
