"""How many tokens prompts and replies have, judged from earlier calls, else from their characters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from paretune.lm.rehearsal import Experience, characters, kind_of
from paretune.lm.types import Request
from paretune.schemas.data_model import DataModel
from paretune.tuners.tally import Range

__all__ = ["generated_tokens", "made_up", "prompt_tokens", "reply_tokens"]

#: Characters a token, where no earlier call tells: few in most prose, many in code and other scripts.
_MANY, _FEW = 5.0, 3.0
#: What is guessed where nothing bounds a reply: tokens of free text, and of a reasoning model's own thoughts.
_FREE_TEXT, _REASONING = 500, 2000
#: Characters made up for a text that only a reply will tell.
_TEXT = 80


def prompt_tokens(request: Request, experience: Mapping[str, Experience], more: int = 0) -> Range:
    """The tokens of a prompt."""
    size = characters(request) + more
    if known := experience.get(kind_of(request)):
        return Range.exactly(known.prompt_tokens(size))
    schema = json.dumps(request.schema, ensure_ascii=False) if request.schema else ""
    if known := experience.get(""):
        tokens = known.prompt_tokens(size)
        return Range(tokens, tokens + len(schema) / _FEW)
    octets = sum(len(content.encode(errors="replace")) for _, content in request.messages) + more + len(schema)
    return Range(size / _MANY, octets / _FEW + 4 * len(request.messages))


def generated_tokens(
    request: Request,
    data_model: type[DataModel],
    replies: Sequence[DataModel],
    experience: Mapping[str, Experience],
    reasons: bool,
) -> Range:
    """The tokens of a generator's reply, where some right ones are known; see ``reply_tokens``."""
    in_lines = request.schema is None
    records = [reply.get_json() for reply in replies]
    texts = [" ".join(map(str, record.values())) if in_lines else json.dumps(record) for record in records]
    size = sum(map(len, texts)) / max(1, len(texts))
    if in_lines:
        longest = None if request.grammar is None else _longest(data_model.get_schema())
    else:
        longest = _longest(request.schema or {})
    return reply_tokens(
        request, max(1.0, size / _MANY), None if longest is None else longest / _FEW + 4, experience, reasons
    )


def reply_tokens(
    request: Request, least: float, most: float | None, experience: Mapping[str, Experience], reasons: bool
) -> Range:
    """The tokens of a reply: as those of earlier calls; without any, from the least to the most that its form allows
    (None: it allows any), or to the request's limit, or to a guess. ``reasons``: the model may think before it replies.
    """
    limit = float("inf") if request.max_tokens is None else request.max_tokens
    if known := experience.get(kind_of(request)):
        least = most = known.completion_tokens
    elif most is None or reasons:
        guess = (least + _FREE_TEXT if most is None else most) + (_REASONING if reasons else 0)
        most = guess if request.max_tokens is None else limit
    return Range(min(least, limit), min(most, limit))


def _longest(schema: Mapping[str, Any]) -> int | None:
    """The characters of the longest JSON text that a schema allows; None where there is no end."""
    if "enum" in schema:
        return max(len(json.dumps(value, ensure_ascii=False)) for value in schema["enum"])
    if "const" in schema:
        return len(json.dumps(schema["const"], ensure_ascii=False))
    if schema.get("type") == "object" and "properties" in schema:
        parts = {name: _longest(part) for name, part in schema["properties"].items()}
        if None in parts.values():
            return None
        return sum(len(name) + 6 + (size or 0) for name, size in parts.items()) + 2
    if schema.get("type") == "string" and "maxLength" in schema:
        return int(schema["maxLength"]) + 2
    return {"boolean": 5, "integer": 20, "number": 25, "null": 4}.get(schema.get("type", ""))


def made_up(model: type[DataModel], gold: DataModel) -> DataModel:
    """A record of a data model that nobody has generated yet: what the gold record has of it, the rest made up."""
    schema, known = model.get_schema(), gold.get_json()
    return model.model_construct(
        **{name: known[name] if name in known else _value(part) for name, part in schema["properties"].items()}
    )


def _value(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return _value(schema["anyOf"][0])
    kind = schema.get("type")
    if kind == "object":
        return {name: _value(part) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_value(schema.get("items", {}))]
    if kind == "string":
        return "x" * min(_TEXT, schema.get("maxLength", _TEXT))
    return {"boolean": False, "integer": 0, "number": 0.0}.get(kind or "")
