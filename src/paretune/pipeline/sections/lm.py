"""Section ``lm``: how language models are reached."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from paretune.pipeline.sections.base import Params

__all__ = ["LmParams", "ModelParams", "PriceParams"]


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
