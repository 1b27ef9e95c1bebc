"""Which language models a configuration uses, and whether ``lm.models`` names others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from paretune.errors import ConfigError
from paretune.pipeline.sections.base import dotted, section
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.lm import LmParams
from paretune.pipeline.sections.program import ProgramParams
from paretune.pipeline.sections.search import SearchParams
from paretune.pipeline.sections.space import SpaceParams, ends
from paretune.schemas.faults import did_you_mean

__all__ = ["EVERY_RECORDED", "check_models", "models_of", "served_models"]

#: Stands for all recorded models of the file ``lm.source``.
EVERY_RECORDED = "recorded/*"


def check_models(params: Mapping[str, Any], made: Collection[str] | None = None, choices: Collection[str] = ()) -> None:
    """Raise ConfigError for a model in ``lm.models`` that nobody uses: its settings would have no effect.

    ``made`` are the models that code of the project's own has made by name, and ``choices`` what it may make others by;
    None: nobody knows yet, so that nothing is checked where there is such code.
    """
    lm, program = section(params, "lm", LmParams), section(params, "program", ProgramParams)
    if program.is_own_process:  # it may call any of them
        return
    layout = section(params, "layout", LayoutParams)
    if made is None and (program.builder is not None or layout.own_code):
        return
    used = {lm.model, *lm.fallbacks, *layout.judges, *(made or ())}
    used |= {name for own in lm.models.values() for name in own.fallbacks}
    space, baseline = section(params, "search", SearchParams).space, params.get("evaluate", {}).get("baseline") or {}
    used |= {value for name, value in dotted(baseline).items() if name == "model" or name.endswith(".model")}
    used |= {own.model for own in (program, *program.steps.values()) if own.model is not None}
    used |= {name for step in (None, *program.steps) for name in models_of(program, space, lm.model, step)}
    for name in lm.models:
        is_recorded = EVERY_RECORDED in used and name.startswith(EVERY_RECORDED[:-1])
        if name not in used and name not in choices and not is_recorded:
            raise ConfigError(
                f"lm.models: the search uses no model {name!r}, so that its settings have no effect "
                f"(it uses: {', '.join(sorted(used))}){did_you_mean(name, used)}"
            )


def models_of(
    program: ProgramParams, space: Mapping[str, SpaceParams], default: str, step: str | None = None
) -> list[str]:
    """The models that a step (None: what says nothing of its own) may ask, with these hyperparameters."""
    name = "model" if step is None else f"steps.{step}.model"
    if name in space:
        return [str(model) for model in ends(space[name])]
    if step is not None and "model" not in program.steps[step].model_fields_set:
        return models_of(program, space, default)
    own = program if step is None else program.steps[step]
    return [default if own.model is None else own.model]


def served_models(lm: LmParams, space: Mapping[str, SpaceParams]) -> tuple[str, ...]:
    """The models that requests to a gateway may name, of which the first is meant where they name none."""
    named = [str(value) for value in ends(space["model"])] if "model" in space else []
    return tuple(dict.fromkeys([lm.model, *named, *lm.models]))
