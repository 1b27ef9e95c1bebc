"""Which language models a configuration uses, and whether ``lm.models`` names others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from paretune.errors import ConfigError
from paretune.pipeline.sections.base import section
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.lm import LmParams
from paretune.pipeline.sections.program import ProgramParams
from paretune.pipeline.sections.search import SearchParams
from paretune.pipeline.sections.space import ends
from paretune.schemas.faults import did_you_mean

__all__ = ["check_models"]


def check_models(params: Mapping[str, Any], made: Collection[str] | None = None, choices: Collection[str] = ()) -> None:
    """Raise ConfigError for a model in ``lm.models`` that nobody uses: its settings would have no effect.

    ``made`` are the models that code of the project's own has made by name, and ``choices`` what it may make others by;
    None: nobody knows yet, so that nothing is checked where there is such code.
    """
    lm, program = section(params, "lm", LmParams), section(params, "program", ProgramParams)
    layout = section(params, "layout", LayoutParams)
    if made is None and (program.builder is not None or layout.own_code):
        return
    used = {lm.model, *lm.fallbacks, *layout.judges, *(made or ())}
    used |= {name for own in lm.models.values() for name in own.fallbacks}
    space, baseline = section(params, "search", SearchParams).space, params.get("evaluate", {}).get("baseline") or {}
    used |= {program.model, baseline.get("model"), *(ends(space["model"]) if "model" in space else ())} - {None}
    for name in lm.models:
        if name not in used and name not in choices:
            raise ConfigError(
                f"lm.models: the search uses no model {name!r}, so that its settings have no effect "
                f"(it uses: {', '.join(sorted(used))}){did_you_mean(name, used)}"
            )
