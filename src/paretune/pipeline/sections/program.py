"""Section ``program``: the program, as far as the search does not vary it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from paretune.errors import ConfigError
from paretune.lm.options import CallOptions
from paretune.lm.types import StructuredOutput
from paretune.pipeline.sections.base import Params
from paretune.schemas.faults import did_you_mean, find_faults, shown

__all__ = ["ProgramParams", "check_names", "variable", "with_values"]

_NOT_TUNABLE = ("builder", "source", "extra", "command", "function", "workers", "timeout_s", "keep_environment")
#: How a parameter of one provider is called as a hyperparameter.
_EXTRA = "extra."


class ProgramParams(CallOptions, Params):
    """Section ``program``: the program, as far as the search does not vary it.

    Each field but ``builder`` and ``source`` may be a hyperparameter of the same name in ``search.space``; ``model``
    (null: ``lm.model``) and ``instructions`` (null: ``task.instructions``) too; of ``extra`` each parameter, as
    ``extra.name``. The options of a call are those of ``CallOptions``.

    ``command`` or ``function``: the program is another process (see ``paretune.gateway.own_program``), and only the
    four fields after them are used with it. Its hyperparameters are those of ``search.space``, under any names.
    """

    builder: str | None = Field(default=None, pattern=r"^\w+(\.\w+)*:\w+$")
    command: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(default=None, min_length=1)
    function: str | None = Field(default=None, pattern=r"^\w+(\.\w+)*:\w+$")
    workers: int | None = Field(default=None, gt=0, le=1_000)
    timeout_s: float = Field(default=600.0, gt=0, le=7 * 86_400)
    keep_environment: tuple[str, ...] = ()
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

    @model_validator(mode="after")
    def _one_kind(self) -> ProgramParams:
        given = [name for name in ("builder", "command", "function") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of builder, command and function (got {' and '.join(given)})")
        return self

    @property
    def is_own_process(self) -> bool:
        """Whether the program is another process."""
        return self.command is not None or self.function is not None

    @property
    def options(self) -> dict[str, Any]:
        """The options of a call that are set."""
        return {name: value for name, value in self.stated().items() if name in CallOptions.model_fields}


def with_values(program: ProgramParams, values: Mapping[str, Any], place: str) -> ProgramParams:
    """The section with some hyperparameters' values in place.

    Raises ConfigError, which names ``place``, for a name that the declared program has not, and a value that it cannot
    have.
    """
    tunable = [name for name in ProgramParams.model_fields if name not in _NOT_TUNABLE]
    extra = {name.removeprefix(_EXTRA): value for name, value in values.items() if name.startswith(_EXTRA)}
    values = {name: value for name, value in values.items() if not name.startswith(_EXTRA)}
    for name in values:
        if name not in tunable:
            raise ConfigError(
                f"{place}.{name}: no hyperparameter of the declared program (there are: {', '.join(tunable)})"
                f"{did_you_mean(name, tunable)}; with program.builder the space is yours"
            )
    try:
        return ProgramParams.model_validate({**program.model_dump(), "extra": {**program.extra, **extra}, **values})
    except ValidationError as error:
        faults = "".join(f"\n  {place}.{fault}" for fault in find_faults(error, ProgramParams))
        raise ConfigError(f"hyperparameters {shown(dict(values), 300)} cannot be:{faults}") from None


def variable(name: str) -> str:
    """The environment variable of a hyperparameter of another process: ``top_k`` is PARETUNE_TOP_K."""
    return f"PARETUNE_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"


def check_names(names: Iterable[str]) -> None:
    """Raise ConfigError for hyperparameters whose environment variables would be the same, or have another meaning."""
    taken = dict.fromkeys(("PARETUNE_HOME", "PARETUNE_HYPERPARAMETERS"), "paretune's own")
    for name in dict.fromkeys(names):
        if other := taken.get(variable(name)):
            raise ConfigError(f"search.space.{name}: its environment variable {variable(name)} is {other}; rename it")
        taken[variable(name)] = f"that of {name!r} as well"
