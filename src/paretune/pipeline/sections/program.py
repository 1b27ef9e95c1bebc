"""Section ``program``: the program, as far as the search does not vary it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from paretune.errors import ConfigError
from paretune.pipeline.sections.steps import ModuleParams, StepParams
from paretune.schemas.faults import did_you_mean, find_faults, shown

__all__ = ["ProgramParams", "check_names", "variable", "with_values"]

#: The settings that are no hyperparameters themselves, of the program and of its steps.
_NOT_TUNABLE = (
    *("builder", "source", "extra", "command", "function", "workers", "timeout_s", "keep_environment"),
    *("steps", "reads", "checks", "fields"),
)
#: A hyperparameter's name: the step that it is of, and whether it is a parameter of one provider.
_NAME = re.compile(r"(?:steps\.(?P<step>[^.]+)\.)?(?P<extra>extra\.)?(?P<name>.*)", re.DOTALL)


class ProgramParams(ModuleParams):
    """Section ``program``: the program, as far as the search does not vary it.

    Each field but ``builder``, ``source`` and ``steps`` may be a hyperparameter of the same name in ``search.space``;
    ``model`` (null: ``lm.model``) and ``instructions`` (null: ``task.instructions``) too; of ``extra`` each parameter,
    as ``extra.name``; of a step ``steps.step.name``. The options of a call are those of ``CallOptions``. ``steps`` are
    in the order in which they run; without any the program is one call.

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
    stratify: bool = True
    sampling: Literal["softmax", "random"] = "softmax"
    instruction_search: Literal["none", "opro", "gepa"] = "none"
    steps: dict[str, StepParams] = Field(default_factory=dict)

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


def with_values(program: ProgramParams, values: Mapping[str, Any], place: str) -> ProgramParams:
    """The section with some hyperparameters' values in place.

    Raises ConfigError, which names ``place``, for a name that the declared program has not, and a value that it cannot
    have.
    """
    declared = program.model_dump(exclude_unset=True)
    for name, value in values.items():
        settings, own = _settings(program, declared, name, place)
        settings[own] = value
    try:
        return ProgramParams.model_validate(declared)
    except ValidationError as error:
        faults = "".join(f"\n  {place}.{fault}" for fault in find_faults(error, ProgramParams))
        raise ConfigError(f"hyperparameters {shown(dict(values), 300)} cannot be:{faults}") from None


def _settings(program: ProgramParams, declared: dict[str, Any], name: str, place: str) -> tuple[dict[str, Any], str]:
    """Where in the declared section a hyperparameter's value goes, and under which name."""
    found = _NAME.fullmatch(name)
    assert found is not None
    step, extra, own = found.group("step", "extra", "name")
    if step is not None and step not in program.steps:
        known = ", ".join(program.steps) or "none"
        raise ConfigError(f"{place}.{name}: no step {step!r} (there are: {known}){did_you_mean(step, program.steps)}")
    kind = ProgramParams if step is None else StepParams
    tunable = [each for each in kind.model_fields if each not in _NOT_TUNABLE]
    if extra is None and own not in tunable:
        whose = "the declared program" if step is None else f"step {step!r}"
        raise ConfigError(
            f"{place}.{name}: no hyperparameter of {whose} (there are: {', '.join(tunable)})"
            f"{did_you_mean(own, tunable)}; with program.builder the space is yours"
        )
    settings = declared if step is None else declared["steps"][step]
    if extra is not None:
        settings["extra"] = settings = dict(settings.get("extra") or {})
    return settings, own


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
