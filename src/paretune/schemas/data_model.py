"""Data models: the typed records that programs take and give."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)

from paretune.errors import UsageError
from paretune.schemas.canonical import canonical
from paretune.schemas.faults import find_faults
from paretune.schemas.field_types import is_union, labels_of, models_in

__all__ = [
    "DataModel",
    "Field",
    "Score",
    "added_names",
    "as_record",
    "combined_model",
    "combined_record",
    "field_labels",
    "has_validators",
    "is_score",
    "is_score_type",
]

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
    """A pydantic model that refuses unknown fields, NaN and infinity, with the JSON schema for language models.

    Records can be read as mappings: ``record["answer"]``, ``record.get("answer")``, ``"answer" in record``. Fields have
    no aliases: prompts, replies and data all use their names (a ``title`` is what prompts in lines call a field).

    A reply may spell a field's name in another case, and a label (a value of a ``Literal`` or Enum field) also in
    quotes or with a full stop, where that means one name or one label alone, and a number with its currency or unit.
    ``strict_labels = True`` turns this off.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())

    #: Whether a reply must have field names and labels to the letter (see ``schemas.spelling``).
    strict_labels: ClassVar[bool] = False

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for model in models_in(cls):
            for name, info in model.model_fields.items():
                if any((info.alias, info.validation_alias, info.serialization_alias)):
                    raise UsageError(
                        f"field {name!r} of {model.__name__!r} has an alias, but prompts, replies and data use the "
                        "names of fields: rename the field (for prompts in lines, a title=… does)"
                    )

    @classmethod
    def get_schema(cls) -> dict[str, Any]:
        """The short, inlined JSON schema of this model (a fresh copy)."""
        schema: dict[str, Any] = json.loads(_schema_text(cls))
        return schema

    def get_json(self) -> dict[str, Any]:
        """This record as plain JSON values; equal records have equal ones (see ``schemas.canonical``).

        Raises UsageError for bytes that are no text.
        """
        try:
            values: dict[str, Any] = canonical(self, self.model_dump(mode="json"))
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{type(self).__name__!r} holds bytes that are no UTF-8 text, which JSON cannot hold ({error}): "
                "declare the field as pydantic's Base64Bytes"
            ) from None
        return values

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a field, or ``default`` where there is no such field."""
        return getattr(self, name) if name in self else default

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in type(self).model_fields or name in (self.model_extra or ())

    def __add__(self, other: Any) -> DataModel:
        """One record with the fields of both; a field of ``other`` whose name is taken becomes ``name_1``, …"""
        if not isinstance(other, DataModel):
            return NotImplemented
        return combined_record(self, other, type(self), type(other))


def as_record(value: Any, model: type[DataModel], place: str) -> Any:
    """A record that has the fields of ``model``: the value itself, or what a mapping validates to; None stays None.

    Raises UsageError, which names the ``place``, for anything else.
    """
    if value is None:
        return None
    if isinstance(value, BaseModel):
        if missing := [name for name in model.model_fields if name not in type(value).model_fields]:
            raise UsageError(f"{place} is a {type(value).__name__!r} record without {missing} of {model.__name__!r}")
        return value
    if not isinstance(value, Mapping):
        raise UsageError(f"{place} must be a record of {model.__name__!r} (got a {type(value).__name__})")
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        faults = "; ".join(map(str, find_faults(error, model, "field")))
        raise UsageError(f"{place} is no {model.__name__!r}: {faults}") from None


def added_names(left: type[BaseModel], right: type[BaseModel]) -> dict[str, str]:
    """What the fields of ``right`` are called beside those of ``left``: a name that is taken gets a number."""
    taken = {*left.model_fields, *right.model_fields}
    names: dict[str, str] = {}
    for name in right.model_fields:
        names[name] = name
        if name in left.model_fields:
            free = (f"{name}_{number}" for number in itertools.count(1))
            names[name] = next(candidate for candidate in free if candidate not in taken)
    return names


def combined_model(
    left: type[DataModel], right: type[DataModel], names: Mapping[str, str] | None = None
) -> type[DataModel]:
    """The data model with the fields of ``left``, then those of ``right`` under ``names`` (see ``added_names``).

    Its records are those whose parts the validators of both classes accept, as these leave them. The same arguments
    give the same class. Raises UsageError when ``names`` leave two fields with one name.
    """
    if names is None:
        names = added_names(left, right)
    return _combined(left, right, tuple(names.get(name, name) for name in right.model_fields))


@functools.cache
def _combined(left: type[DataModel], right: type[DataModel], names: tuple[str, ...]) -> type[DataModel]:
    clashes = sorted({*left.model_fields} & {*names})
    if clashes:
        raise UsageError(f"{left.__name__!r} and {right.__name__!r} cannot be combined: both have {clashes}")
    fields: dict[str, Any] = {name: (info.annotation, info) for name, info in left.model_fields.items()}
    for name, info in zip(names, right.model_fields.values(), strict=True):
        fields[name] = (info.annotation, info)
    parts = [
        (left, {name: name for name in left.model_fields}),
        (right, dict(zip(right.model_fields, names, strict=True))),
    ]
    checks: dict[str, Any] = {
        f"part_{place}": model_validator(mode="before")(_check_of(part, own))
        for place, (part, own) in enumerate(parts)
        if has_validators(part)
    }
    combined = create_model(f"{left.__name__}_{right.__name__}", __base__=DataModel, __validators__=checks, **fields)
    combined.strict_labels = left.strict_labels or right.strict_labels
    return combined


def has_validators(model: type[BaseModel]) -> bool:
    """Whether a class has validators of its own, beside those in its fields' annotations."""
    own = model.__pydantic_decorators__
    return any((own.field_validators, own.model_validators, own.validators, own.root_validators))


def _check_of(part: type[DataModel], names: Mapping[str, str]) -> Callable[[Any], Any]:
    """Makes those values of a combined record that belong to ``part`` (under ``names``) go through its validators."""

    def check(values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        record = part.model_validate({name: values[new] for name, new in names.items() if new in values})
        return values | {new: getattr(record, name) for name, new in names.items()}

    return check


def combined_record(
    left: DataModel, right: DataModel, left_model: type[DataModel], right_model: type[DataModel]
) -> DataModel:
    """The fields that the two data models name, of two records (which may have more), as one record."""
    values = {name: getattr(left, name) for name in left_model.model_fields}
    for name, added in added_names(left_model, right_model).items():
        values[added] = getattr(right, name)
    return combined_model(left_model, right_model).model_construct(**values)  # valid, since the two records are


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
    """The values of a ``Literal`` or Enum field, in their declared order, as JSON has them; None for other fields."""
    annotation = model.model_fields[name].annotation
    return None if is_union(annotation) else labels_of(annotation)


def is_score(model: type[BaseModel], name: str) -> bool:
    """Whether a field is declared as Score."""
    return any(isinstance(item, _ScoreMarker) for item in model.model_fields[name].metadata)


def is_score_type(annotation: Any) -> bool:
    """Whether a type is Score, as that of a list's items may be."""
    return any(isinstance(item, _ScoreMarker) for item in getattr(annotation, "__metadata__", ()))
