"""How many tokens prompts and replies have, judged from earlier calls, else from their characters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pydantic import TypeAdapter, ValidationError

from paretune.estimating.earlier_calls import CallStatistics, characters, kind_of
from paretune.lm.types import Request
from paretune.schemas.data_model import DataModel

__all__ = ["placeholder_record", "prompt_tokens", "reply_tokens"]

#: Characters a token, where no earlier call tells: few in most prose, many in code and other scripts.
_MANY, _FEW = 5.0, 3.0
#: What is guessed where nothing bounds a reply: tokens of free text, and of a reasoning model's own thoughts.
_FREE_TEXT, _REASONING = 500, 2000
#: Characters made up for a text that only a reply will tell.
_TEXT = 80


def prompt_tokens(
    requests: Sequence[Request], experience: Mapping[str, CallStatistics], more: int = 0
) -> tuple[float, float]:
    """The mean tokens of some prompts of one kind, with so many characters more, from the least to the most."""
    size, first = fmean(map(characters, requests)) + more, requests[0]
    if known := experience.get(kind_of(first)):
        return known.prompt_tokens(size), known.prompt_tokens(size)
    schema = json.dumps(first.schema, ensure_ascii=False) if first.schema else ""
    if known := experience.get(""):
        return known.prompt_tokens(size), known.prompt_tokens(size) + len(schema) / _FEW
    texts = ("".join(content for _, content in request.messages) for request in requests)
    octets = fmean(len(text.encode(errors="replace")) for text in texts) + more + len(schema)
    return size / _MANY, octets / _FEW + 4 * len(first.messages)


def reply_tokens(
    request: Request,
    data_model: type[DataModel],
    replies: Sequence[DataModel],
    experience: Mapping[str, CallStatistics],
    reasons: bool,
) -> tuple[float, float]:
    """The mean tokens of replies, some right ones of which are given, from the least to the most: as earlier calls of
    the kind took; else up to what the form allows, or to the request's limit, or to a guess. ``reasons``: the model may
    think before it replies."""
    limit = float("inf") if request.options.max_tokens is None else request.options.max_tokens
    if known := experience.get(kind_of(request)):
        return min(known.completion_tokens, limit), min(known.completion_tokens, limit)
    records = [reply.get_json() for reply in replies]
    in_lines = request.schema is None
    least = fmean(len(" ".join(map(str, record.values())) if in_lines else json.dumps(record)) for record in records)
    least = max(1.0, least / _MANY)
    longest = None if in_lines and request.grammar is None else _longest(data_model.get_schema())
    most = least + _FREE_TEXT if longest is None else longest / _FEW + 4
    if reasons or longest is None:
        most = most + _REASONING * reasons if request.options.max_tokens is None else limit
    return min(least, limit), min(most, limit)


def _longest(schema: Mapping[str, Any]) -> int | None:
    """The characters of the longest JSON text that a schema allows; None where there is no end."""
    if "enum" in schema or "const" in schema:
        allowed = schema["enum"] if "enum" in schema else [schema["const"]]
        return max(len(json.dumps(value, ensure_ascii=False)) for value in allowed)
    if "properties" in schema:
        parts = {name: _longest(part) for name, part in schema["properties"].items()}
        sizes = [len(name) + 6 + size for name, size in parts.items() if size is not None]
        return None if len(sizes) < len(parts) else sum(sizes) + 2
    if "maxLength" in schema:
        return int(schema["maxLength"]) + 2
    return {"boolean": 5, "integer": 20, "number": 25, "null": 4}.get(schema.get("type", ""))


def placeholder_record(model: type[DataModel], gold: DataModel) -> DataModel:
    """A record of a data model that nobody has generated yet: what the gold record has of it, the rest made up."""
    fields = model.get_schema()["properties"].items()
    values = {name: gold[name] if name in gold else _typed(model, name, _value(part)) for name, part in fields}
    return model.model_construct(**values)


def _typed(model: type[DataModel], name: str, value: Any) -> Any:
    """A JSON value as the field's type has it, whatever else the field asks of it."""
    annotation: Any = model.model_fields[name].annotation
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return value


def _value(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema or "const" in schema:
        return schema["enum"][0] if "enum" in schema else schema["const"]
    for kinds in ("anyOf", "oneOf"):
        if kinds in schema:
            return _value(schema[kinds][0])
    if "properties" in schema:
        return {name: _value(part) for name, part in schema["properties"].items()}
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if "prefixItems" in schema:
        return [_value(part) for part in schema["prefixItems"]]
    if schema.get("minItems"):
        return [_value(schema.get("items", {}))] * int(schema["minItems"])
    plain = {"array": [], "object": {}, "boolean": False, "integer": 0, "number": 0.0, "null": None}
    return plain.get(schema.get("type", ""), "x" * min(_TEXT, schema.get("maxLength", _TEXT)))


#: Values of the formats that pydantic gives the texts of its types.
_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00",
    "duration": "P1D",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://localhost/",
    "email": "someone@example.org",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
}
