"""Call options: what a request asks for beside its messages and its form, as one value from configuration to wire."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from paretune.errors import UsageError

__all__ = ["CallOptions"]

#: Parameters that are composed here or set in another place, and none of a provider's own.
_COMPOSED = frozenset(
    {
        "messages",
        "model",
        "prompt",
        "response_format",
        "tools",
        "tool_choice",
        "stream",
        "stream_options",
        "n",
        "grammar",
    }
    | {"cache_prompt", "extra_body", "max_completion_tokens", "api_base", "base_url", "timeout", "max_retries"}
    | {"num_retries", "fallbacks", "mock_response"}
)
_SECRET = re.compile(r"(^|_)(api_?key|key|secret|password|authorization|headers?|token)($|_)")


class CallOptions(BaseModel):
    """How a language model is to reply; what is None (or empty) is not sent.

    ``temperature`` (0 to 2), ``top_p`` (above 0, to 1), ``max_tokens`` (the longest reply), ``reasoning_effort`` (sent
    where the model takes it), ``stop`` (texts before which a reply ends; one or several), ``seed`` (each replicate and
    each epoch of a training sends another one that follows from it), and ``extra``: parameters of one provider by name,
    JSON values that are sent as they are. Raises UsageError for values that cannot be sent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0, le=10_000_000)
    reasoning_effort: str | None = Field(default=None, min_length=1)
    stop: tuple[str, ...] = Field(default=(), max_length=16)
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    extra: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def of(cls, **options: Any) -> Self:
        """From keyword arguments. Raises UsageError that names each wrong one."""
        try:
            return cls(**options)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']} (got {fault['input']!r})"
                for fault in error.errors()
            )
            raise UsageError(f"call options: {faults}; there are: {', '.join(cls.model_fields)}") from None

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return () if value is None else (value,) if isinstance(value, str) else value

    @field_validator("stop")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "" in value:
            raise ValueError("a text that ends a reply must not be empty")
        return value

    @field_validator("extra", mode="before")
    @classmethod
    def _of_a_provider(cls, value: Any) -> Any:
        for name in value or {} if isinstance(value, Mapping | None) else ():
            if name in _COMPOSED or name in CallOptions.model_fields:
                raise ValueError(f"{name!r} is set in a place of its own, not in extra")
            if _SECRET.search(str(name).lower()):
                raise ValueError(f"{name!r} looks like a secret, and options are stored: name it in api_key_env")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("must hold JSON values") from None
        return {} if value is None else value

    def stated(self) -> dict[str, Any]:
        """The options that are set, by name."""
        return {name: value for name, value in self if value is not None and value != () and value != {}}

    def having(self, **options: Any) -> Self:
        """These options with some others in place."""
        return self.model_copy(update=options)
