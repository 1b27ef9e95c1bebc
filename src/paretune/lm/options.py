"""Call options: what a request asks for beside its messages and its form, as one value from configuration to wire."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from paretune.errors import UsageError

__all__ = ["CallOptions"]

#: Parameters that are composed here or set in another place, and none of a provider's own.
_COMPOSED = frozenset(
    {"messages", "model", "prompt", "response_format", "tools", "tool_choice", "functions", "function_call"}
    | {"stream", "stream_options", "n", "best_of", "grammar", "cache_prompt", "extra_body", "mock_response"}
    | {"max_completion_tokens", "max_output_tokens", "max_new_tokens", "n_predict"}
    | {"api_base", "base_url", "timeout", "max_retries", "num_retries", "fallbacks"}
)
_SECRET = re.compile(
    r"(^|_)(api_?key|secret|password|authorization|headers?)($|_)|(^|_)((?<!cache_)key|token)$", re.IGNORECASE
)


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
            faults = "; ".join(_told(fault) for fault in error.errors())
            raise UsageError(f"call options: {faults}; there are: {', '.join(cls.model_fields)}") from None

    @field_validator("temperature", "top_p", "max_tokens", "seed", mode="before")
    @classmethod
    def _no_truth(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("must be a number")
        return value

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        if isinstance(value, set | frozenset):  # its order would differ between processes, and so the request's key
            raise ValueError("must be a text or a list of texts")
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
        if not isinstance(value, Mapping):
            return {} if value is None else value
        for name in _names(value):
            if _SECRET.search(name):
                rule = "{name} looks like a secret, and options are stored: name it in api_key_env"
                raise PydanticCustomError("secret", rule, {"name": repr(name)})
        for name in value:
            if name in _COMPOSED or name in CallOptions.model_fields:
                raise ValueError(f"{name!r} is set in a place of its own, not in extra")
        try:  # as it will be on the wire, and a copy
            return {name: json.loads(json.dumps(part, allow_nan=False)) for name, part in value.items()}
        except (TypeError, ValueError, RecursionError):
            raise ValueError("must hold JSON values") from None

    def stated(self) -> dict[str, Any]:
        """The options that are set, by name."""
        return {name: value for name, value in self if value is not None and value != () and value != {}}

    def having(self, **options: Any) -> Self:
        """These options with some others in place."""
        return self.model_copy(update=options)


def _names(value: Any) -> Iterator[str]:
    """The names in a value, at any depth to which JSON goes."""
    waiting = [value]
    for part in waiting:
        if isinstance(part, Mapping):
            yield from map(str, part)
        if isinstance(part, Mapping | list | tuple):
            waiting.extend(part.values() if isinstance(part, Mapping) else part)


def _told(fault: ErrorDetails) -> str:
    """A fault in a line, with what was given; not a secret."""
    shown = "" if fault["type"] == "secret" else f" (got {fault['input']!r:.80})"
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}{shown}"
