"""Call options: the parameters of a call, as one value from the configuration to the wire."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from paretune.files import canonical_json

__all__ = ["CallKeywords", "CallOptions", "SeededCallKeywords"]

#: What some protocols call ``max_tokens``; under these names a budget could not see how long a reply may get.
_LENGTHS = ("max_completion_tokens", "max_new_tokens", "max_output_tokens", "n_predict", "num_predict")
#: What paretune decides itself: what is asked, where, of which model, and that there is one reply, in one piece.
_COMPOSED = (
    *("messages", "prompt", "response_format", "tools", "tool_choice", "functions", "function_call", "grammar"),
    *("model", "api_base", "base_url", "organization", "deployment_id", "timeout", "max_retries", "extra_body"),
    *("stream", "stream_options", "n", "best_of"),
)
_SECRET = re.compile(
    r"api_?key|authorization|headers?$|passw|secret|credential|^token$"
    r"|(access|api|auth|bearer|hf|identity|refresh|session)_?token"
)


def _as_number(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would take it for 0 or 1
        raise PydanticCustomError("float_type", "must be a number")
    return value


def _as_stops(value: Any) -> Any:
    if isinstance(value, set | frozenset):  # its order differs between processes, and so would the request's key
        raise PydanticCustomError("stops", "must be a text or a list of texts")
    return () if value is None else (value,) if isinstance(value, str) else value


def _as_extra(value: Any) -> dict[str, Any]:
    """A copy of ``extra``, of what is set in it. The errors show names alone: a value may be a secret."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _refused("must be a mapping of a provider's parameters")
    try:
        copied: dict[str, Any] = json.loads(canonical_json(value))
    except (TypeError, ValueError, RecursionError):
        raise _refused("must hold JSON values (text, finite numbers, true, false, null, lists and mappings)") from None
    for name in _names(copied):
        if _SECRET.search(re.sub(r"\W", "_", name.lower())):
            raise _refused(
                f"must hold no key, password or header, since it is stored as it is: name an environment variable in "
                f"api_key_env instead of {name!r}"
            )
    for name in copied:
        if name in CallOptions.model_fields:
            raise _refused(f"{name!r} is a call option of its own: write it beside extra")
        if name in _LENGTHS:
            raise _refused(f"{name!r} is written max_tokens, beside extra")
        if name in _COMPOSED:
            raise _refused(f"{name!r} is set by paretune itself, and no parameter to give")
    return {name: part for name, part in copied.items() if part is not None}


def _refused(rule: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{rule}", {"rule": rule})


def _names(value: Any) -> Iterator[str]:
    """The names in a value, at any depth."""
    waiting = [value]
    for part in waiting:
        if isinstance(part, Mapping):
            yield from map(str, part)
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part


_NUMBER = BeforeValidator(_as_number)


class CallOptions(BaseModel):
    """The options of a call: one that is not set is not sent, and is no part of the ledger's key.

    Raises pydantic's ValidationError; where they are given as keyword arguments of a Generator, an LMAsJudge or OPRO,
    these raise UsageError.

    Parameters
    ----------
    temperature
        From 0 (the likeliest tokens) to 2.
    top_p
        Tokens are drawn from the likeliest ones whose probabilities add up to this share, from 0 to 1.
    max_tokens
        The longest reply, in tokens.
    reasoning_effort
        How much a model thinks before it replies (minimal, low, medium, high); sent where the model takes it, elsewhere
        a warning says that it has no effect.
    stop
        A text, or several, at which a reply ends.
    seed
        For providers that can repeat a draw, from 0 to 2,147,483,647. Repeated samples of a question send others, which
        follow from it.
    extra
        Parameters that one provider has, by their names: ``{"top_k": 20}``. They are JSON and go into the body of the
        request as they are (by way of litellm, where that makes the call), for a model's fallbacks too. Keys, headers
        and what paretune sets itself are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    temperature: Annotated[float | None, _NUMBER] = Field(default=None, ge=0, le=2)
    top_p: Annotated[float | None, _NUMBER] = Field(default=None, ge=0, le=1)
    max_tokens: Annotated[int | None, _NUMBER] = Field(default=None, gt=0, le=10_000_000)
    reasoning_effort: str | None = Field(default=None, min_length=1)
    stop: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_stops)] = ()
    seed: Annotated[int | None, _NUMBER] = Field(default=None, ge=0, lt=2**31)
    extra: Annotated[dict[str, Any], BeforeValidator(_as_extra)] = {}

    def stated(self) -> dict[str, Any]:
        """What is set, by name, as JSON values."""
        return self.model_dump(mode="json", include=_OPTIONS, exclude_defaults=True)

    def stopping_at(self, texts: Sequence[str]) -> CallOptions:
        """These options with some texts more to stop at, which come first."""
        return self.model_copy(update={"stop": tuple(dict.fromkeys((*texts, *self.stop)))}) if texts else self

    def without(self, name: str) -> CallOptions:
        """These options with one of them not set."""
        return self.model_copy(update={name: CallOptions.model_fields[name].default})


_OPTIONS = set(CallOptions.model_fields)


class CallKeywords(TypedDict, total=False):
    """The call options as keyword arguments, but for the seed: an optimizer has one of its own."""

    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    reasoning_effort: str | None
    stop: Sequence[str] | str | None
    extra: Mapping[str, Any] | None


class SeededCallKeywords(CallKeywords, total=False):
    """The call options as keyword arguments."""

    seed: int | None
