"""How a language model is reached: as its maker says, else as the project declares it by name, else by defaults."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from paretune.errors import UsageError
from paretune.lm.address import address_fault
from paretune.lm.masking import masked
from paretune.lm.types import Price

__all__ = ["declaring", "settings_of"]

_DEFAULTS: dict[str, Any] = {
    "api_base": None,
    "api_key_env": None,
    "concurrency": 16,
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "timeout_s": 120.0,
    "total_timeout_s": None,
    "max_attempts": 5,
    "fallbacks": (),
    "price": None,
    "reasons": None,
    "recordings": None,
    "gateway": None,
}
_ABOVE_ZERO = ("requests_per_minute", "tokens_per_minute", "timeout_s", "total_timeout_s")
_PRICES = ("prompt", "completion", "cached")

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


def settings_of(model: str, given: Mapping[str, Any], by_name: bool) -> dict[str, Any]:
    """The arguments of a LanguageModel; those that are not ``given`` as declared for its name, where that counts.

    Raises UsageError for one that cannot be.
    """
    levels = (given, _declared_for(model) if by_name else {}, _DEFAULTS)
    settings: dict[str, Any] = {
        name: next((one[name] for one in levels if one.get(name) is not None), None) for name in _DEFAULTS
    }
    concurrency, max_attempts = settings["concurrency"], settings["max_attempts"]
    if concurrency < 1 or max_attempts < 1:
        raise UsageError(f"concurrency and max_attempts must be at least 1 (got {concurrency}, {max_attempts})")
    for name in _ABOVE_ZERO:
        if settings[name] is not None and not settings[name] > 0:
            raise UsageError(f"{name} must be above 0, or None (got {settings[name]})")
    for name in ("api_base", "gateway"):
        address = settings[name]
        if address is not None and (fault := address_fault(address)):
            raise UsageError(f"{name} {fault} (got {masked(address)!r})")
    if isinstance(settings["fallbacks"], str):
        raise UsageError(f"fallbacks must be a list of models (got {settings['fallbacks']!r})")
    return {**settings, "price": _price(settings["price"])}


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
