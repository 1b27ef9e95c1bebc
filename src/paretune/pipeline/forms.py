"""Whether language models can be asked as section ``program`` says: in its forms, with its options."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from paretune.errors import ConfigError, UsageError
from paretune.lm.language_model import LanguageModel
from paretune.lm.types import CHAT_FORMS
from paretune.pipeline.chains import output_of
from paretune.pipeline.scoring import Scoring
from paretune.pipeline.sections.models import models_of
from paretune.pipeline.sections.program import ProgramParams
from paretune.pipeline.sections.space import SpaceParams, ends, without_values
from paretune.pipeline.sections.steps import Step, chain
from paretune.prompting.prompts import PromptWriter
from paretune.schemas.data_model import DataModel
from paretune.terminal import note
from paretune.tuners.keras_api import FailedTrialError

__all__ = ["check_step", "with_known_forms"]


async def with_known_forms(
    space: dict[str, SpaceParams],
    program: ProgramParams,
    scoring: Scoring,
    default: str,
    language_model: Callable[[str], LanguageModel],
) -> dict[str, SpaceParams]:
    """A space without the forms of asking that none of its models has, with a line on stderr for each; ``default`` is
    the model where nothing else is said.

    Raises ConfigError when none is left.
    """
    for step in (None, *program.steps):
        name = "structured_output" if step is None else f"steps.{step}.structured_output"
        if name not in space:
            continue
        asking = (
            [step] if step else [None, *(each for each in program.steps if not _has_own_form(each, program, space))]
        )
        models = {model: None for each in asking for model in models_of(program, space, default, each)}
        outputs = [output_of(each, program, scoring) for each in chain(program) if each.name in asking]
        gone = {}
        for form in ends(space[name]):
            unwritable = next(filter(None, (_unwritable(output, form) for output in outputs)), None)
            reasons = [unwritable] if unwritable else [await language_model(model).lacks(form) for model in models]
            if all(reasons):
                gone[form] = "; ".join(filter(None, reasons))
        if len(gone) == len(ends(space[name])):
            form, reason = next(iter(gone.items()))
            raise ConfigError(_lacking(f"search.space.{name}", form, reason))
        for form, reason in gone.items():
            note(f"{name} {form!r} is left out of the space: {reason}")
        if gone:
            space = without_values(space, name, gone)
    return space


def _has_own_form(step: str, program: ProgramParams, space: Mapping[str, SpaceParams]) -> bool:
    own = "structured_output" in program.steps[step].model_fields_set
    return own or f"steps.{step}.structured_output" in space


def _unwritable(model: type[DataModel], form: Any) -> str | None:
    """Why records of a data model cannot be asked for in a form; None where they can."""
    try:
        _ = PromptWriter(model, model, form).grammar
    except UsageError as error:
        return str(error).partition(";")[0]
    return None


async def check_step(step: Step, model: LanguageModel, varied: Collection[str], place: str) -> None:
    """Raise for a step that its language model cannot be asked for (errors name ``place``): FailedTrialError where
    other values of the hyperparameters that are ``varied`` together would do, else ConfigError."""
    _check_taken(model, step, place)
    form = step.settings.structured_output
    lacking = await model.lacks(form)
    for reason, names in ((lacking, ("model", "structured_output")), (step.fault(), ("samples", "temperature"))):
        if reason is None:
            continue
        if all({name, f"steps.{step.name}.{name}"} & set(varied) for name in names):
            raise FailedTrialError(reason)
        raise ConfigError(_lacking(place, form, reason) if reason == lacking else f"{place}: {reason}")


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
