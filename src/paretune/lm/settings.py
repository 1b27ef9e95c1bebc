"""How a language model is reached: as its maker says, else as the project declares it by name, else by defaults."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import Any

from paretune.errors import UsageError
from paretune.lm.address import address_fault
from paretune.lm.backends.recorded import Recordings
from paretune.lm.masking import masked
from paretune.lm.types import Price

__all__ = ["Settings", "declaring", "settings_of"]

_ABOVE_ZERO = ("requests_per_minute", "tokens_per_minute", "timeout_s", "total_timeout_s")
_PRICES = ("prompt", "completion", "cached")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The arguments of a LanguageModel of these names, when all that could say something of them has been asked.

    Raises UsageError for one that cannot be.
    """

    api_base: str | None = None
    api_key_env: str | None = None
    concurrency: int = 16
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_s: float = 120.0
    total_timeout_s: float | None = None
    max_attempts: int = 5
    fallbacks: Sequence[Any] = ()
    price: Price | None = None
    reasons: bool | None = None
    recordings: Recordings | None = None
    gateway: str | None = None

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.max_attempts < 1:
            raise UsageError(
                f"concurrency and max_attempts must be at least 1 (got {self.concurrency}, {self.max_attempts})"
            )
        for name in _ABOVE_ZERO:
            if (value := getattr(self, name)) is not None and not value > 0:
                raise UsageError(f"{name} must be above 0, or None (got {value})")
        for name in ("api_base", "gateway"):
            address = getattr(self, name)
            if address is not None and (fault := address_fault(address)):
                raise UsageError(f"{name} {fault} (got {masked(address)!r})")
        if isinstance(self.fallbacks, str):
            raise UsageError(f"fallbacks must be a list of models (got {self.fallbacks!r})")


_declared: ContextVar[Callable[[str], Mapping[str, Any]] | None] = ContextVar("paretune_declared", default=None)


@contextlib.contextmanager
def declaring(settings: Callable[[str], Mapping[str, Any]]) -> Iterator[None]:
    """Let each LanguageModel that is made by name inside the block be reached as ``settings(name)`` says (arguments of
    LanguageModel; None where it says nothing), but for what it is given itself."""
    token = _declared.set(settings)
    try:
        yield
    finally:
        _declared.reset(token)


def settings_of(model: str, given: Mapping[str, Any], by_name: bool) -> Settings:
    """The settings of a LanguageModel; those that are not ``given`` as declared for its name, where that counts.

    Raises UsageError for one that cannot be.
    """
    declared = _declared_for(model) if by_name else {}
    values = {each.name: given.get(each.name) for each in fields(Settings)}
    values = {name: declared.get(name) if value is None else value for name, value in values.items()}
    values["price"] = _price(values["price"])
    return Settings(**{name: value for name, value in values.items() if value is not None})


def _declared_for(model: str) -> Mapping[str, Any]:
    settings = _declared.get()
    if settings is None:
        return {}
    token = _declared.set(None)  # the models that it makes in turn (fallbacks) are as it makes them
    try:
        return settings(model)
    finally:
        _declared.reset(token)


def _price(price: Mapping[str, Any] | Price | None) -> Price | None:
    """A price as it is given. Raises UsageError for a mapping that is none."""
    if not isinstance(price, Mapping):
        return price
    if not {"prompt", "completion"} <= price.keys() <= set(_PRICES):
        raise UsageError(
            "price: must be {prompt: …, completion: …} in US dollars per million tokens, and may have cached: … for "
            f"tokens of the prompt from the provider's cache (got {dict(price)})"
        )
    return Price(**price)
