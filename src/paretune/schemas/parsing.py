"""Reading a reply: from the text of a language model to a validated record, or None."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

__all__ = ["parse_json"]

Model = TypeVar("Model", bound=BaseModel)


def parse_json(text: str, model: type[Model]) -> Model | None:
    """The record in a reply that should be JSON; None when there is none that validates.

    Code fences and prose around the object are tolerated. When several objects validate, the last one counts: models
    that think aloud put their final answer last. NaN and infinity are not JSON and do not validate. Half a character
    (one surrogate of a pair) becomes a question mark: no file could hold it.
    """
    found = None
    for value in _objects(text):
        try:
            found = model.model_validate(value)
        except ValidationError:
            continue
    return found


def _objects(text: str) -> Iterator[Any]:
    """Every outermost JSON object in a text, in order."""
    decoder = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
            value = _writable(value)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value
        start = text.find("{", end)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _writable(value: Any) -> Any:
    """The value without lone surrogates, which JSON can spell and UTF-8 cannot."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_writable(item) for item in value]
    if isinstance(value, dict):
        return {_writable(key): _writable(item) for key, item in value.items()}
    return value
