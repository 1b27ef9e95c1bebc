"""Reading a reply: from the text of a language model to a validated record, or None."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

__all__ = ["parse_json"]

Model = TypeVar("Model", bound=BaseModel)


def parse_json(text: str, model: type[Model]) -> Model | None:
    """The record in a reply that should be JSON; None when there is none that validates.

    Code fences and prose around the object are tolerated. When several objects validate, the last one counts: models
    that think aloud put their final answer last. NaN and infinity are not JSON and do not validate.
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
    decoder = json.JSONDecoder(parse_constant=_refuse)
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value
        start = text.find("{", end)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
