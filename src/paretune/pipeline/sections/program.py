"""Section ``program``: the program, as far as the search does not vary it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from paretune.errors import ConfigError
from paretune.lm.types import StructuredOutput
from paretune.pipeline.sections.base import Params
from paretune.schemas.faults import did_you_mean, find_faults, shown

__all__ = ["ProgramParams", "with_values"]

_NOT_TUNABLE = ("builder", "source")


class ProgramParams(Params):
    """Section ``program``: the program, as far as the search does not vary it.

    Each field but ``builder`` and ``source`` may be a hyperparameter of the same name in ``search.space``; ``model``
    (null: ``lm.model``) and ``instructions`` (null: ``task.instructions``) too.
    """

    builder: str | None = Field(default=None, pattern=r"^\w+(\.\w+)*:\w+$")
    source: str
    model: str | None = None
    instructions: str | None = None
    chain_of_thought: bool = False
    max_thinking: int | None = Field(default=None, gt=0, le=1_000_000)
    few_shot: int = Field(default=0, ge=0, le=10_000)
    stratify: bool = True
    sampling: Literal["softmax", "random"] = "softmax"
    instruction_search: bool = False
    structured_output: StructuredOutput | Literal["auto"] = "auto"
    temperature: float | None = Field(default=None, ge=0, le=2)
    reasoning_effort: str | None = None
    max_tokens: int | None = Field(default=None, gt=0, le=10_000_000)


def with_values(program: ProgramParams, values: Mapping[str, Any], place: str) -> ProgramParams:
    """The section with some hyperparameters' values in place.

    Raises ConfigError, which names ``place``, for a name that the declared program has not, and a value that it cannot
    have.
    """
    tunable = [name for name in ProgramParams.model_fields if name not in _NOT_TUNABLE]
    for name in values:
        if name not in tunable:
            raise ConfigError(
                f"{place}.{name}: no hyperparameter of the declared program (there are: {', '.join(tunable)})"
                f"{did_you_mean(name, tunable)}; with program.builder the space is yours"
            )
    try:
        return ProgramParams.model_validate({**program.model_dump(), **values})
    except ValidationError as error:
        faults = "".join(f"\n  {place}.{fault}" for fault in find_faults(error, ProgramParams))
        raise ConfigError(f"hyperparameters {shown(dict(values), 300)} cannot be:{faults}") from None
