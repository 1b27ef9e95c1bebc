"""Section ``program``: the program, as far as the search does not vary it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from paretune.lm.types import StructuredOutput
from paretune.pipeline.sections.base import Params

__all__ = ["ProgramParams"]


class ProgramParams(Params):
    """Section ``program``: the program, as far as the search does not vary it.

    Each field but ``builder`` and ``source`` may be a hyperparameter of the same name in ``search.space``; ``model``
    (null: ``lm.model``) and ``instructions`` (null: ``task.instructions``) too.
    """

    builder: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")
    source: str
    model: str | None = None
    instructions: str | None = None
    chain_of_thought: bool = False
    max_thinking: PositiveInt | None = None
    few_shot: NonNegativeInt = 0
    stratify: bool = True
    sampling: Literal["softmax", "random"] = "softmax"
    instruction_search: bool = False
    structured_output: StructuredOutput | Literal["auto"] = "auto"
    temperature: float | None = Field(default=None, ge=0, le=2)
    reasoning_effort: str | None = None
    max_tokens: PositiveInt | None = None
