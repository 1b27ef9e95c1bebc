"""The sections of params.yaml about the language models, the program and the search."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from paretune.lm.types import StructuredOutput
from paretune.pipeline.params import Params

__all__ = [
    "LmParams",
    "ObjectiveParams",
    "ProgramParams",
    "SearchParams",
    "SpaceParams",
    "TunerParams",
]

Scalar = bool | int | float | str


class PriceParams(Params):
    """US dollars per million tokens."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


class ModelParams(Params):
    """How one model is reached; what is not set is taken from section ``lm``."""

    api_base: str | None = None
    api_key_env: str | None = None
    concurrency: PositiveInt | None = None
    timeout_s: PositiveFloat | None = None
    max_attempts: PositiveInt | None = None
    price: PriceParams | None = None


class LmParams(Params):
    """Section ``lm``: the default model, how models are reached, and exceptions by model name."""

    model: str = Field(min_length=1)
    api_base: str | None = None
    api_key_env: str | None = None
    concurrency: PositiveInt = 8
    timeout_s: PositiveFloat = 120.0
    max_attempts: PositiveInt = 5
    price: PriceParams | None = None
    models: dict[str, ModelParams] = Field(default_factory=dict)


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


class ChoiceParams(Params):
    """One of some values; the first one is the default."""

    kind: Literal["choice"]
    values: tuple[Scalar, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _of_one_type(self) -> ChoiceParams:
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)
        if not numbers and len({type(value) for value in self.values}) > 1:
            raise ValueError(f"values must be of one type (got {list(self.values)})")
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"values must differ (got {list(self.values)})")
        return self


class RangeParams(Params):
    """Numbers from ``min`` to ``max``, both included, in steps of ``step`` where it is given."""

    kind: Literal["int", "float"]
    min: float
    max: float
    step: PositiveFloat | None = None
    sampling: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _in_order(self) -> RangeParams:
        if self.min >= self.max:
            raise ValueError(f"min must be < max (got {self.min:g} and {self.max:g})")
        if self.sampling == "log" and (self.min <= 0 or self.step is not None):
            raise ValueError("log sampling needs min > 0 and no step")
        if self.kind == "int" and any(value is not None and value % 1 for value in (self.min, self.max, self.step)):
            raise ValueError("min, max and step of an int must be whole numbers")
        return self


class BooleanParams(Params):
    """True or false."""

    kind: Literal["boolean"]


class FixedParams(Params):
    """One value, shown as a hyperparameter."""

    kind: Literal["fixed"]
    value: Scalar


SpaceParams = Annotated[ChoiceParams | RangeParams | BooleanParams | FixedParams, Field(discriminator="kind")]


class SearchParams(Params):
    """Section ``search``: the space, the budget, and how a trial is trained."""

    space: dict[str, SpaceParams] = Field(default_factory=dict)
    max_trials: PositiveInt | None = None
    seed: NonNegativeInt = 0
    epochs: PositiveInt = 1
    batch_size: PositiveInt = 8
    parallel_trials: PositiveInt = 1
    max_failure_rate: float = Field(default=0.1, ge=0, le=1)


class TunerParams(Params):
    """Section ``tuner``: which oracle proposes the trials."""

    name: Literal["grid", "random"]


class ObjectivePart(Params):
    """One objective; ``weight`` is what one unit of the metric counts in the scalar that ranks the trials."""

    name: str
    direction: Literal["max", "min"]
    weight: PositiveFloat = 1.0


class ObjectiveParams(Params):
    """Section ``objective``; ``scale: range`` divides each metric by its range over the trials."""

    objectives: tuple[ObjectivePart, ...] = Field(min_length=1)
    scale: Literal["none", "range"] = "none"
