"""Section ``lm``: how language models are reached."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from paretune.lm.address import address_fault, has_login
from paretune.pipeline.sections.base import Params

__all__ = ["LmParams", "ModelParams", "PriceParams", "RecordingParams", "logins"]


def _address(value: str) -> str:
    if fault := address_fault(value):
        raise ValueError(fault)
    return value


# Bounds that no server reaches; what is larger is a slip, and would overflow a timer or a sum.
Address = Annotated[str, AfterValidator(_address)]
Attempts = Annotated[int, Field(gt=0, le=1_000)]
Dollars = Annotated[float, Field(ge=0, le=1e6)]
InFlight = Annotated[int, Field(gt=0, le=10_000)]
PerMinute = Annotated[int, Field(gt=0, le=10**12)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]


class PriceParams(Params):
    """US dollars per million tokens; ``cached`` for those of the prompt that came from the provider's cache (null: as
    the others)."""

    prompt: Dollars
    completion: Dollars
    cached: Dollars | None = None


class ModelParams(Params):
    """How one model is reached; what is not set is taken from section ``lm``."""

    api_base: Address | None = None
    api_key_env: str | None = None
    concurrency: InFlight | None = None
    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    timeout_s: Seconds | None = None
    total_timeout_s: Seconds | None = None
    max_attempts: Attempts | None = None
    fallbacks: tuple[str, ...] = ()
    price: PriceParams | None = None
    reasons: bool | None = None


class RecordingParams(Params):
    """Which columns of the file ``lm.source`` hold the replies of models ``recorded/NAME``, and what these took: see
    ``paretune.Recording``."""

    key: str = "question"
    field: str | None = None
    reply: str = "replies"
    model: str | None = None
    models: tuple[str, ...] | None = None
    prompt_tokens: str | None = None
    completion_tokens: str | None = None
    cost_usd: str | None = None
    latency_s: str | None = None
    tokens_per_character: float | None = Field(default=None, gt=0, le=100)
    delimiter: str | None = None


class LmParams(Params):
    """Section ``lm``: the default model, how models are reached, and exceptions by model name. ``source`` is the file
    that DVC watches: that of recorded replies, where ``recording`` says what is in it. ``gateway`` is the address of a
    ``paretune gateway`` that calls the models."""

    source: str | None = None
    model: str = Field(min_length=1)
    api_base: Address | None = None
    api_key_env: str | None = None
    gateway: Address | None = None
    concurrency: InFlight = 8
    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    timeout_s: Seconds = 120.0
    total_timeout_s: Seconds | None = None
    max_attempts: Attempts = 5
    fallbacks: tuple[str, ...] = ()
    price: PriceParams | None = None
    reasons: bool | None = None
    env_file: str | None = None
    memory_gb: float | None = Field(default=None, gt=0, le=1e6)
    models: dict[str, ModelParams] = Field(default_factory=dict)
    recording: RecordingParams | None = None

    @property
    def secrets(self) -> list[str]:
        """The environment variables that hold keys of models, by name."""
        named = [self.api_key_env, *(own.api_key_env for own in self.models.values())]
        return [name for name in named if name]


def logins(lm: LmParams) -> list[str]:
    """The places of the addresses that hold a user's name or a password."""
    addresses = {"lm.api_base": lm.api_base} | {
        f"lm.models.{name}.api_base": own.api_base for name, own in lm.models.items()
    }
    return [place for place, address in addresses.items() if has_login(address)]
