"""The sections of params.yaml about the language models, the program and the search."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from paretune.lm.types import StructuredOutput
from paretune.pipeline.params import Params
from paretune.pipeline.space import SpaceParams

__all__ = [
    "BudgetParams",
    "LmParams",
    "ObjectiveParams",
    "ProgramParams",
    "SearchParams",
    "TunerParams",
]


class PriceParams(Params):
    """US dollars per million tokens."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


class ModelParams(Params):
    """How one model is reached; what is not set is taken from section ``lm``."""

    api_base: str | None = None
    api_key_env: str | None = None
    concurrency: PositiveInt | None = None
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    timeout_s: PositiveFloat | None = None
    total_timeout_s: PositiveFloat | None = None
    max_attempts: PositiveInt | None = None
    fallbacks: tuple[str, ...] = ()
    price: PriceParams | None = None


class LmParams(Params):
    """Section ``lm``: the default model, how models are reached, and exceptions by model name."""

    model: str = Field(min_length=1)
    api_base: str | None = None
    api_key_env: str | None = None
    concurrency: PositiveInt = 8
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    timeout_s: PositiveFloat = 120.0
    total_timeout_s: PositiveFloat | None = None
    max_attempts: PositiveInt = 5
    fallbacks: tuple[str, ...] = ()
    price: PriceParams | None = None
    env_file: str | None = None
    memory_gb: PositiveFloat | None = None
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


class SearchParams(Params):
    """Section ``search``: the space, the budget, and how a trial is trained."""

    space: dict[str, SpaceParams] = Field(default_factory=dict)
    max_trials: PositiveInt | None = None
    seed: NonNegativeInt = 0
    epochs: PositiveInt = 1
    batch_size: PositiveInt = 8
    executions_per_trial: PositiveInt = 1
    parallel_trials: PositiveInt = 1
    max_failure_rate: float = Field(default=0.1, ge=0, le=1)
    max_retries_per_trial: NonNegativeInt = 0


#: The options of each tuner, by the names of its constructor's arguments.
TUNER_OPTIONS: dict[str, tuple[str, ...]] = {
    "grid": (),
    "random": (),
    "bayesian": ("num_initial_points", "alpha", "beta"),
    "hyperband": ("max_epochs", "factor", "hyperband_iterations"),
    "pareto": ("sampler", "num_initial_points"),
}


class TunerParams(Params):
    """Section ``tuner``: which oracle proposes the trials, and the options of that one."""

    name: Literal["grid", "random", "bayesian", "hyperband", "pareto"]
    num_initial_points: PositiveInt | None = None
    alpha: PositiveFloat | None = None
    beta: PositiveFloat | None = None
    max_epochs: PositiveInt | None = None
    factor: int | None = Field(default=None, ge=2)
    hyperband_iterations: PositiveInt | None = None
    sampler: Literal["tpe", "nsga2", "gp"] | None = None

    @property
    def options(self) -> dict[str, int | float | str]:
        """The options that are given."""
        return self.model_dump(exclude={"name"}, exclude_none=True)

    @model_validator(mode="after")
    def _of_this_tuner(self) -> TunerParams:
        for name in self.options:
            if name not in TUNER_OPTIONS[self.name]:
                known = ", ".join(TUNER_OPTIONS[self.name]) or "none"
                raise ValueError(f"{name} is no option of the {self.name} tuner (it has: {known})")
        return self


class ObjectivePart(Params):
    """One objective; ``weight`` is what one unit of the metric counts in the scalar that ranks the trials."""

    name: str
    direction: Literal["max", "min"]
    weight: PositiveFloat = 1.0


class ObjectiveParams(Params):
    """Section ``objective``; ``scale: range`` divides each metric by its range over the trials. ``constraints`` are
    bounds such as ``val_cost <= 0.002``."""

    objectives: tuple[ObjectivePart, ...] = Field(min_length=1)
    scale: Literal["none", "range"] = "none"
    constraints: tuple[str, ...] = ()


class BudgetParams(Params):
    """Section ``budget``: what a search may spend; null: no limit."""

    usd: PositiveFloat | None = None
    calls: PositiveInt | None = None
    tokens: PositiveInt | None = None
    account: str = Field(default="default", min_length=1)
