"""The space of a search, as ``search.space`` declares it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from paretune.errors import ConfigError
from paretune.pipeline.sections.base import Params
from paretune.schemas.faults import did_you_mean

__all__ = ["SpaceParams", "check_conditions", "ends", "of_enabled_steps", "without_values"]

#: Beyond 2**53 not every whole number is a float, which Keras-Tuner makes of it.
_LARGEST = 2**53
_MOST_STEPS = 1_000_000  # a grid lists them
Number = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]


def _exact(value: bool | int | float | str) -> bool | int | float | str:
    if not isinstance(value, str) and abs(value) > _LARGEST:
        raise ValueError(f"must be from {-_LARGEST} to {_LARGEST}")
    return value


Scalar = Annotated[bool | int | float | str, AfterValidator(_exact)]


class ConditionalParams(Params):
    """A hyperparameter that exists only ``when`` others, declared before it, have one of the values given."""

    when: dict[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)

    @property
    def conditions(self) -> dict[str, tuple[Scalar, ...]]:
        """For each of those others the values under which this one exists."""
        return {name: values if isinstance(values, tuple) else (values,) for name, values in self.when.items()}


class ChoiceParams(ConditionalParams):
    """One of some values; the first one is the default."""

    kind: Literal["choice"]
    values: tuple[Scalar, ...] = Field(min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _of_one_type(self) -> ChoiceParams:
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)
        if not numbers and len({type(value) for value in self.values}) > 1:
            raise ValueError(f"values must be of one type (got {list(self.values)})")
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"values must differ (got {list(self.values)})")
        return self


class RangeParams(ConditionalParams):
    """Numbers from ``min`` to ``max``, both included, in steps of ``step`` where it is given."""

    kind: Literal["int", "float"]
    min: Number
    max: Number
    step: float | None = Field(default=None, gt=0, le=_LARGEST)
    sampling: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _in_order(self) -> RangeParams:
        if self.min >= self.max:
            raise ValueError(f"min must be < max (got {self.min:g} and {self.max:g})")
        if self.sampling == "log" and (self.min <= 0 or self.step is not None):
            raise ValueError("log sampling needs min > 0 and no step")
        if self.kind == "int" and any(value is not None and value % 1 for value in (self.min, self.max, self.step)):
            raise ValueError("min, max and step of an int must be whole numbers")
        if self.step is not None and (self.max - self.min) / self.step > _MOST_STEPS:
            raise ValueError(f"step is too small: more than {_MOST_STEPS:,} of them from min to max")
        return self


class BooleanParams(ConditionalParams):
    """True or false."""

    kind: Literal["boolean"]


class FixedParams(ConditionalParams):
    """One value, shown as a hyperparameter."""

    kind: Literal["fixed"]
    value: Scalar


SpaceParams = Annotated[ChoiceParams | RangeParams | BooleanParams | FixedParams, Field(discriminator="kind")]


def ends(kind: SpaceParams) -> list[Any]:
    """The values of a hyperparameter between which, or of which, all others are."""
    if kind.kind == "fixed":
        return [kind.value]
    if kind.kind == "boolean":
        return [True, False]
    if kind.kind == "choice":
        return list(kind.values)
    return [int(end) if kind.kind == "int" else end for end in (kind.min, kind.max)]


def without_values(space: Mapping[str, SpaceParams], name: str, gone: Collection[Any]) -> dict[str, SpaceParams]:
    """A space in which one choice has some of its values no more, and what exists only under these is gone as well."""
    left: dict[str, SpaceParams] = {}
    for each, kind in space.items():
        if each == name and kind.kind == "choice":
            kind = kind.model_copy(update={"values": tuple(value for value in kind.values if value not in gone)})
        when = {
            parent: tuple(value for value in values if parent in left and _possible(left[parent], value))
            for parent, values in kind.conditions.items()
        }
        if all(when.values()):
            left[each] = kind.model_copy(update={"when": when})
    return left


def of_enabled_steps(space: Mapping[str, SpaceParams]) -> dict[str, SpaceParams]:
    """The space in which the hyperparameters of a step exist only where the step takes part: where ``enabled`` of it is
    one as well, it comes before them, and is their condition."""
    found: dict[str, SpaceParams] = {}
    for name, kind in space.items():
        root, *rest = name.split(".")
        switch = f"steps.{rest[0]}.enabled" if root == "steps" and rest else name
        if switch in space and name != switch:
            found.setdefault(switch, space[switch])
            kind = kind.model_copy(update={"when": {switch: True, **kind.when}})
        found.setdefault(name, kind)
    return found


def check_conditions(space: Mapping[str, SpaceParams]) -> None:
    """Raise ConfigError for a ``when`` that names no earlier hyperparameter, or a value that it cannot have."""
    earlier: dict[str, SpaceParams] = {}
    for name, kind in space.items():
        for parent, wanted in kind.conditions.items():
            place = f"search.space.{name}.when"
            if parent not in earlier:
                known = ", ".join(earlier) or "none"
                raise ConfigError(
                    f"{place}: no hyperparameter {parent!r} is declared before this one (there are: {known})"
                    f"{did_you_mean(parent, earlier)}"
                )
            for value in wanted:
                if not _possible(earlier[parent], value):
                    raise ConfigError(f"{place}.{parent}: {parent!r} is never {value!r}")
        earlier[name] = kind


def _possible(kind: SpaceParams, value: Scalar) -> bool:
    if kind.kind in ("int", "float"):
        low, high = ends(kind)
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in ends(kind))
