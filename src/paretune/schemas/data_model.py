"""Data models: the typed records that programs take and give."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from paretune.errors import UsageError

__all__ = ["DataModel", "Field", "Score", "field_labels", "is_score"]

SCORES = tuple(round(0.1 * step, 1) for step in range(11))


def _one_of_eleven(value: float) -> float:
    if value not in SCORES:
        raise ValueError(f"a score is one of {', '.join(map(str, SCORES))}")
    return value


class _ScoreMarker:
    """Tells a Score field from a plain float."""


#: A confidence in [0, 1] in steps of 0.1. The integers 0 and 1 are accepted as 0.0 and 1.0.
Score = Annotated[
    float,
    AfterValidator(_one_of_eleven),
    WithJsonSchema({"type": "number", "enum": list(SCORES)}),
    _ScoreMarker(),
]


class DataModel(BaseModel):
    """A pydantic model that refuses unknown fields, NaN and infinity, with the JSON schema for language models."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @classmethod
    def get_schema(cls) -> dict[str, Any]:
        """The short, inlined JSON schema of this model (a fresh copy)."""
        schema: dict[str, Any] = json.loads(_schema_text(cls))
        return schema

    def get_json(self) -> dict[str, Any]:
        """This record as plain JSON values."""
        return self.model_dump(mode="json")


@functools.cache
def _schema_text(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    try:
        short = _inlined(schema, definitions, ())
    except RecursionError as error:
        raise UsageError(f"data model {model.__name__!r} refers to itself ({error}); flatten it") from None
    short.pop("description", None)
    return json.dumps(short, ensure_ascii=False)


def _inlined(node: Any, definitions: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Resolve references, drop titles and the docstrings of helper types, and close every object."""
    if isinstance(node, list):
        return [_inlined(item, definitions, path) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        if name in path:
            raise RecursionError(" -> ".join((*path, name)))
        target = {key: value for key, value in definitions[name].items() if key != "description"}
        node = target | {key: value for key, value in node.items() if key != "$ref"}
        path = (*path, name)
    short: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            short[key] = {name: _inlined(field, definitions, path) for name, field in value.items()}
        elif key not in ("title", "default", "discriminator"):
            short[key] = value if key in ("enum", "const") else _inlined(value, definitions, path)
    if short.get("type") == "object" and "properties" in short:
        short["required"] = list(short["properties"])
        short["additionalProperties"] = False
    return short


def field_labels(model: type[BaseModel], name: str) -> tuple[Any, ...] | None:
    """The values of a ``Literal`` field, in their declared order; None for any other field."""
    annotation = model.model_fields[name].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else None


def is_score(model: type[BaseModel], name: str) -> bool:
    """Whether a field is declared as Score."""
    return any(isinstance(item, _ScoreMarker) for item in model.model_fields[name].metadata)
