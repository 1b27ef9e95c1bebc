"""Data models as JSON and back: a class is built again from its JSON schema where that says all there is to it."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    WrapValidator,
    create_model,
)
from pydantic_core import PydanticUndefined

from paretune.schemas.data_model import DataModel, Score, has_validators

__all__ = ["is_rebuildable", "model_from_schema"]

_PLAIN: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}
_CONSTRAINTS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
    "pattern": "pattern",
}
_VALIDATORS = (AfterValidator, BeforeValidator, PlainValidator, WrapValidator)
_SCORES = Score.__metadata__[1].json_schema  # type: ignore[attr-defined]


class _NotSaid(ValueError):
    """A schema that says more than this module understands."""


def model_from_schema(schema: Mapping[str, Any]) -> type[DataModel]:
    """The data model of a JSON schema that ``model_json_schema`` of a rebuildable class gave."""
    return _model(schema, schema.get("$defs", {}), DataModel)


def is_rebuildable(model: type[DataModel]) -> bool:
    """Whether the class can be built again from its JSON schema: no validators, no types of its own, no defaults that
    are computed."""
    if any(_has_code(part) for part in _models_in(model)):
        return False
    schema = model.model_json_schema()
    try:
        return model_from_schema(schema).model_json_schema() == schema
    except (_NotSaid, RecursionError, KeyError):
        return False


def _models_in(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    seen: set[Any] = set()

    def walk(part: Any) -> Iterator[type[BaseModel]]:
        if isinstance(part, type) and issubclass(part, BaseModel):
            if part in seen:
                return
            seen.add(part)
            yield part
            for info in part.model_fields.values():
                yield from walk(info.annotation)
        for argument in get_args(part):
            yield from walk(argument)

    return walk(model)


def _has_code(model: type[BaseModel]) -> bool:
    """Whether a class does something that a schema does not tell."""
    own = model.__pydantic_decorators__
    written = (own.field_serializers, own.model_serializers, own.computed_fields)
    return (
        has_validators(model)
        or any(written)
        or any(
            info.default_factory is not None
            or info.json_schema_extra is not None
            or info.alias is not None
            or any(_is_validator(item) for item in (*info.metadata, *_metadata_in(info.annotation)))
            for info in model.model_fields.values()
        )
    )


def _metadata_in(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for argument in get_args(annotation):
        yield from _metadata_in(argument)


def _is_validator(item: Any) -> bool:
    return isinstance(item, _VALIDATORS) and item not in Score.__metadata__  # type: ignore[attr-defined]


def _model(schema: Mapping[str, Any], definitions: Mapping[str, Any], base: type[Any]) -> type[Any]:
    required = schema.get("required", [])
    fields: dict[str, Any] = {}
    for name, node in schema.get("properties", {}).items():
        if name not in required and "default" not in node:
            raise _NotSaid(name)
        default = node.get("default", PydanticUndefined)
        fields[name] = (_annotation(node, definitions), Field(default, description=node.get("description")))
    return create_model(schema["title"], __base__=base, __doc__=schema.get("description"), **fields)


def _annotation(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    kind = _kind(node, definitions)
    limits = {_CONSTRAINTS[key]: value for key, value in node.items() if key in _CONSTRAINTS}
    return Annotated[kind, Field(**limits)] if limits else kind


def _kind(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        if "properties" not in target:
            raise _NotSaid(node["$ref"])
        return _model(target, definitions, DataModel if target.get("additionalProperties") is False else BaseModel)
    if "enum" in node:
        return Score if node["enum"] == _SCORES["enum"] and node.get("type") == "number" else _literal(node["enum"])
    if "const" in node:
        return _literal([node["const"]])
    if "anyOf" in node:
        return functools.reduce(operator.or_, (_annotation(part, definitions) for part in node["anyOf"]))
    kind = node.get("type")
    if kind == "array" and "items" in node:
        return list[_annotation(node["items"], definitions)]  # type: ignore[misc]
    if kind == "object" and isinstance(node.get("additionalProperties"), Mapping):
        return dict[str, _annotation(node["additionalProperties"], definitions)]  # type: ignore[misc]
    if kind not in _PLAIN:
        raise _NotSaid(kind)
    return _PLAIN[kind]


def _literal(values: list[Any]) -> Any:
    return Literal[tuple(values)]
