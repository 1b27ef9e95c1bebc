"""The steps of a program, ``program.steps``: what each one sees, what it gives, and how it asks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from paretune.errors import ConfigError
from paretune.lm.options import CallOptions
from paretune.lm.types import StructuredOutput
from paretune.pipeline.sections.base import Params
from paretune.pipeline.sections.fields import FieldParams
from paretune.schemas.faults import did_you_mean

if TYPE_CHECKING:
    from paretune.pipeline.sections.program import ProgramParams

__all__ = ["INPUT", "ModuleParams", "Step", "StepParams", "chain"]

#: How ``reads`` names the task's input.
INPUT = "input"


class ModuleParams(CallOptions, Params):
    """How a language model is asked, and how often; each of these may be a hyperparameter."""

    model: str | None = None
    instructions: str | None = None
    chain_of_thought: bool = False
    max_thinking: int | None = Field(default=None, gt=0, le=1_000_000)
    few_shot: int = Field(default=0, ge=0, le=10_000)
    structured_output: StructuredOutput | Literal["auto"] = "auto"
    samples: int = Field(default=1, gt=0, le=1_000)

    @property
    def options(self) -> dict[str, Any]:
        """The options of a call that are set."""
        return {name: value for name, value in self.stated().items() if name in CallOptions.model_fields}


class StepParams(ModuleParams):
    """One step: a call of a language model, or several ``samples``, of which the most common answer counts.

    What it does not say of a call is as section ``program`` says; but the ``instructions`` of a step with ``fields`` of
    its own are a sentence made of these.

    ``reads`` names what the step sees: ``input`` and earlier steps (null: all of these); ``checks`` an earlier step
    whose answer it looks over and may correct. ``fields`` are what it gives (null: the layout's output; of a step that
    checks: what the other one gives). A step that is not ``enabled`` takes no part: who would read it reads what it
    checks, or else what it reads.
    """

    enabled: bool = True
    reads: tuple[str, ...] | None = Field(default=None, min_length=1)
    checks: str | None = None
    fields: dict[str, FieldParams] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _no_columns(self) -> StepParams:
        for name, field in (self.fields or {}).items():
            if field.has_source:
                raise ValueError(f"fields.{name}: a model gives it, so that it is in no column of the data")
        return self


class Step(NamedTuple):
    """A step that takes part, with all that it does not say itself: ``sees`` names ``input`` and steps before it that
    take part as well, ``draft`` the one of these whose answer it looks over, and ``fields_of`` the step whose fields it
    gives (None: the layout's output). The one call of a program without steps has no name."""

    name: str | None
    settings: ModuleParams
    sees: tuple[str, ...] = (INPUT,)
    draft: str | None = None
    fields_of: str | None = None

    def fault(self) -> str | None:
        """Why the step cannot be asked as its settings say; None where nothing is wrong with them."""
        samples = self.settings.samples
        if samples == 1 or self.settings.temperature != 0:
            return None
        return f"{samples} samples at temperature 0 would be one and the same; set {self.place}.temperature above 0"

    @property
    def place(self) -> str:
        """The place of the step's settings in params.yaml."""
        return "program" if self.name is None else f"program.steps.{self.name}"


def chain(program: ProgramParams) -> list[Step]:
    """The calls of a program in their order. Raises ConfigError for steps that cannot follow each other so."""
    if not program.steps:
        return [Step(None, program)]
    shared = {name: value for name, value in program.model_dump().items() if name in ModuleParams.model_fields}
    seen: dict[str, tuple[str, ...]] = {INPUT: (INPUT,)}  # what to read a name comes to
    gives: dict[str, str | None] = {INPUT: INPUT}
    steps = []
    for name, step in program.steps.items():
        _check(name, step, seen)
        gives[name] = None if step.fields is None else name
        if step.checks is not None:
            gives[name] = gives[step.checks]
        sees = tuple(dict.fromkeys(each for read in step.reads or seen for each in seen[read]))
        drafts = () if step.checks is None else seen[step.checks]
        seen[name] = (name,) if step.enabled else drafts or sees
        if step.enabled:
            own = step.model_dump(include=step.model_fields_set & {*ModuleParams.model_fields})
            defaults = {**shared, "instructions": None} if gives[name] else shared
            draft = drafts[0] if len(drafts) == 1 and gives[drafts[0]] == gives[name] else None
            steps.append(Step(name, ModuleParams(**{**defaults, **own}), sees, draft, gives[name]))
    if not steps or steps[-1].fields_of is not None:
        which = f"{steps[-1].name!r} gives fields of its own" if steps else "none takes part"
        raise ConfigError(f"program.steps: the last step must give the layout's output, but {which}")
    return _needed(steps, len(steps) == len(program.steps))


def _check(name: str, step: StepParams, seen: Collection[str]) -> None:
    """Raise ConfigError for a step that cannot follow those that are ``seen`` before it."""
    place = f"program.steps.{name}"
    if not name.isidentifier() or name == INPUT:
        raise ConfigError(f"{place}: a step's name must be letters, digits and underscores, and not {INPUT!r}")
    for read in (*(step.reads or ()), *([] if step.checks is None else [step.checks])):
        if read not in seen or step.checks == INPUT:
            known = ", ".join(seen)
            raise ConfigError(f"{place}: no step {read!r} before it (there are: {known}){did_you_mean(read, seen)}")
    if step.checks is not None and step.checks not in (step.reads or seen):
        raise ConfigError(f"{place}: must read {step.checks!r}, which it checks: add it to reads")
    if step.checks is not None and step.fields is not None:
        raise ConfigError(f"{place}: gives what {step.checks!r} gives, which it checks: leave out its fields")


def _needed(steps: Sequence[Step], is_all: bool) -> list[Step]:
    """The steps that the last one depends on. Raises ConfigError where it does not depend on all that is declared."""
    needed = {steps[-1].name}
    for step in reversed(steps):
        needed |= {*step.sees} if step.name in needed else set()
    for step in steps:
        if is_all and step.name not in needed:
            raise ConfigError(f"program.steps.{step.name}: no later step reads it; add it to the reads of one")
    return [step for step in steps if step.name in needed]
