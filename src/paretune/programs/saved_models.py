"""Data models as JSON and back: a class is built again from its JSON schema where that says all there is to it."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticUndefined

from paretune.schemas.data_model import DataModel, Score, has_validators
from paretune.schemas.field_types import models_in
from paretune.schemas.match import Match, match_of

__all__ = ["is_rebuildable", "model_from_schema", "schema_of"]

_PLAIN: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}
_DATES: dict[str, Any] = {"date": date, "date-time": datetime}
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
#: Words of schemas that mean something here, or would if this module understood them; others are notes of the user's.
_WORDS = {
    *_CONSTRAINTS, "$ref", "type", "enum", "const", "anyOf", "oneOf", "allOf", "not", "items", "prefixItems",
    "uniqueItems", "properties", "required", "additionalProperties", "patternProperties", "propertyNames",
    "minProperties", "maxProperties", "format", "contentEncoding", "contentMediaType", "discriminator", "default",
    "title", "description", "examples", "$match", "$strict_labels", "$checked",
}  # fmt: skip
#: What a schema tells by the words above.
_LIMITS = (Ge, Gt, Interval, Le, Lt, MaxLen, MinLen, MultipleOf)
#: The settings of classes that are built again: those of data models, and of other models inside of them.
_CONFIGS: tuple[Mapping[str, Any], ...] = (DataModel.model_config, {}, {"extra": "forbid"})
_SCORES = Score.__metadata__[1].json_schema  # type: ignore[attr-defined]


class _Definitions:
    """The classes inside of a schema, each built once."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._models: dict[str, type[Any]] = {}

    def model(self, reference: str) -> type[Any]:
        name = reference.rsplit("/", 1)[-1]
        if name not in self._models:
            schema = self._schemas[name]
            if "properties" not in schema:
                raise _NotSaid(reference)
            base = DataModel if schema.get("additionalProperties") is False else BaseModel
            self._models[name] = _model(schema, self, base)
        return self._models[name]


class _NotSaid(ValueError):
    """A schema that says more than this module understands."""


class _Whole(GenerateJsonSchema):
    """A schema with all that is declared: how fields are compared, whether labels are strict, and whether the limit of
    a list is checked (that of a declared task is only asked for). A title is what prompts call a field, so that none is
    made of its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: Any) -> dict[str, Any]:
        whole = super().model_schema(schema)
        for name, info in schema["cls"].model_fields.items():
            if (match := match_of(info)) != Match():
                whole["properties"][name]["$match"] = dataclasses.asdict(match)
        if getattr(schema["cls"], "strict_labels", False):
            whole["$strict_labels"] = True
        return whole

    def list_schema(self, schema: Any) -> dict[str, Any]:
        whole = super().list_schema(schema)
        return {**whole, "$checked": True} if "maxItems" in whole else whole


def schema_of(model: type[DataModel]) -> dict[str, Any]:
    """The JSON schema from which a class is built again."""
    schema = model.model_json_schema(schema_generator=_Whole)
    definitions = schema.pop("$defs", {})
    names: dict[str, str] = {}  # pydantic's names of classes that are called alike have their modules in them
    renamed: dict[str, Any] = {}

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(part) for part in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return {key: walk(part) for key, part in node.items()}
        key = reference.rsplit("/", 1)[-1]
        if key not in names:
            title = definitions[key].get("title", key)
            alike = sum(definitions[other].get("title", other) == title for other in names)
            names[key] = f"{title}_{alike}" if alike else title
            renamed[names[key]] = walk(definitions[key])
        return {**node, "$ref": f"#/$defs/{names[key]}"}

    whole: dict[str, Any] = walk(schema)
    return {**whole, "$defs": renamed} if renamed else whole


def model_from_schema(schema: Mapping[str, Any]) -> type[DataModel]:
    """The data model of a JSON schema that ``schema_of`` a rebuildable class gave."""
    return _model(schema, _Definitions(schema.get("$defs", {})), DataModel)


def is_rebuildable(model: type[DataModel]) -> bool:
    """Whether the class can be built again from its JSON schema: no validators, no types of its own, no defaults that
    are computed."""
    if any(_has_code(part) for part in models_in(model)):
        return False
    schema = schema_of(model)
    try:
        rebuilt = model_from_schema(schema)
    except (_NotSaid, RecursionError, KeyError):
        return False
    return schema_of(rebuilt) == schema and rebuilt.__name__ == model.__name__


def _has_code(model: type[BaseModel]) -> bool:
    """Whether a class does something that a schema does not tell."""
    own = model.__pydantic_decorators__
    written = (own.field_serializers, own.model_serializers, own.computed_fields)
    return (
        has_validators(model)
        or any(written)
        or model.model_config not in _CONFIGS
        or any(_does_more(info) or not _is_plain(info.annotation) for info in model.model_fields.values())
    )


def _does_more(info: FieldInfo) -> bool:
    """Whether a field does something that a schema does not tell."""
    extra = info.json_schema_extra
    return (
        info.default_factory is not None
        or bool(info.exclude)
        or not (extra is None or (isinstance(extra, dict) and not _WORDS - {"maxItems"} & set(extra)))
        or not all(map(_is_told, info.metadata))
    )


def _is_plain(annotation: Any) -> bool:
    """Whether a type is made of those that JSON has, and of models."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return True
    if get_origin(annotation) is Annotated:
        return _is_plain(arguments[0]) and all(map(_is_told, arguments[1:]))
    if not arguments:
        is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        return is_model or annotation in (*_PLAIN.values(), *_DATES.values(), type(None), ...)
    return all(map(_is_plain, arguments))


def _is_told(item: Any) -> bool:
    """Whether the schema tells all that something in the metadata of a field does."""
    if isinstance(item, FieldInfo):
        return not _does_more(item)
    if item is None or isinstance(item, (*_LIMITS, Match)) or item in Score.__metadata__:  # type: ignore[attr-defined]
        return True
    return set(getattr(item, "__dict__", ())) == {"pattern"}


def _model(schema: Mapping[str, Any], definitions: _Definitions, base: type[Any]) -> type[Any]:
    required = schema.get("required", [])
    fields: dict[str, Any] = {}
    for name, node in schema.get("properties", {}).items():
        if name not in required and "default" not in node:
            raise _NotSaid(name)
        annotation = _annotation(node, definitions)
        default = _default(node["default"], annotation) if "default" in node else PydanticUndefined
        words = {word: node.get(word) for word in ("title", "description", "examples")}
        extra = {word: value for word, value in node.items() if word not in _WORDS}
        if _is_only_asked_for(node):
            extra["maxItems"] = node["maxItems"]
        if "$match" in node:
            annotation = Annotated[annotation, Match(**node["$match"])]
        fields[name] = (annotation, Field(default, **words, json_schema_extra=extra or None))
    model: type[Any] = create_model(schema["title"], __base__=base, __doc__=schema.get("description"), **fields)
    if schema.get("$strict_labels"):
        model.strict_labels = True
    return model


def _default(value: Any, annotation: Any) -> Any:
    """A default as the field's type has it (a record, not a dict); one that the type refuses is what it is."""
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return value


def _annotation(node: Mapping[str, Any], definitions: _Definitions) -> Any:
    kind = _kind(node, definitions)
    limits = {_CONSTRAINTS[key]: value for key, value in node.items() if key in _CONSTRAINTS}
    if _is_only_asked_for(node):
        del limits["max_length"]
        kind = Annotated[kind, Field(json_schema_extra={"maxItems": node["maxItems"]})]
    return Annotated[kind, Field(**limits)] if limits else kind


def _is_only_asked_for(node: Mapping[str, Any]) -> bool:
    """Whether a list has a limit that a longer reply may pass."""
    return "maxItems" in node and "$checked" not in node


def _kind(node: Mapping[str, Any], definitions: _Definitions) -> Any:
    if "$ref" in node:
        return definitions.model(node["$ref"])
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
    return _DATES.get(node.get("format", ""), _PLAIN[kind]) if kind == "string" else _PLAIN[kind]


def _literal(values: list[Any]) -> Any:
    return Literal[tuple(values)]
