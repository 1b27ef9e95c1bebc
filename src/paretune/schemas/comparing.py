"""How alike two values of a field are, from 0 to 1, by the field's type and its ``Match``.

Values are plain JSON, as ``get_json`` writes them. ``null`` is a value: it is like null alone, but for lists, of which
none at all is an empty one, and for a record of nothing but nulls.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from fractions import Fraction
from types import NoneType
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import numpy as np
from pydantic import BaseModel

from paretune.errors import UsageError
from paretune.schemas.field_types import is_union, labels_of, models_in
from paretune.schemas.match import Match, match_of
from paretune.schemas.pairing import best_in_order, best_pairing
from paretune.schemas.short_text import is_same_text, word_f1

__all__ = ["ACCEPTED", "Comparison", "Found", "accepted", "check_weights", "comparisons_of", "matches_in"]

#: Behind a field's name: the field of gold records that lists further right values.
ACCEPTED = "_accepted"


class Found(NamedTuple):
    """What F1 is made of: how many values are right (a part of one for what is partly so), gold and given."""

    right: float
    gold: int
    given: int

    @property
    def f1(self) -> float:
        """2 right / (gold + given); 1.0 where there is nothing to find and nothing was given."""
        return 2 * self.right / (self.gold + self.given) if self.gold + self.given else 1.0


class Comparison(ABC):
    """Compares two values of one field."""

    @abstractmethod
    def found(self, gold: Any, given: Any) -> Found:
        """The values in it: one of a plain field that is not null, the items of a list, those in a record's fields."""

    def alike(self, gold: Any, given: Any) -> float:
        """From 0 to 1."""
        return self.found(gold, given).f1


@dataclass(frozen=True)
class _Plain(Comparison):
    same: Callable[[Any, Any], float]

    def found(self, gold: Any, given: Any) -> Found:
        both = gold is not None and given is not None
        return Found(float(self.same(gold, given)) if both else 0.0, gold is not None, given is not None)


@dataclass(frozen=True)
class _Items(Comparison):
    item: Comparison
    ordered: bool
    partial: bool
    #: Labels are compared as sets: one that is given twice is given.
    once: bool

    def found(self, gold: Any, given: Any) -> Found:
        wanted, got = self._items(gold), self._items(given)
        if wanted == got:
            return Found(len(wanted), len(wanted), len(got))
        alike = np.array([[self.item.alike(a, b) for b in got] for a in wanted]).reshape(len(wanted), len(got))
        right = (best_in_order if self.ordered else best_pairing)(alike)
        all_right = right == len(wanted) == len(got)
        return Found(right if self.partial or all_right else 0.0, len(wanted), len(got))

    def _items(self, value: Any) -> list[Any]:
        items = list(value or ())
        return [item for place, item in enumerate(items) if item not in items[:place]] if self.once else items


@dataclass(frozen=True)
class _Fields(Comparison):
    fields: Mapping[str, tuple[Comparison, float]]
    partial: bool

    def found(self, gold: Any, given: Any) -> Found:
        parts = [
            one.found((gold or {}).get(name), (given or {}).get(name)) for name, (one, weight) in self.fields.items()
        ]
        right, wanted, got = (sum(numbers) for numbers in zip(*parts, strict=True))
        all_right = all(part.f1 == 1 for part in parts)
        return Found(right if self.partial or all_right else 0.0, wanted, got)

    def alike(self, gold: Any, given: Any) -> float:
        """The weighted mean of the fields."""
        parts = [
            (weight, one.alike((gold or {}).get(name), (given or {}).get(name)))
            for name, (one, weight) in self.fields.items()
        ]
        mean = math.fsum(weight * part for weight, part in parts) / math.fsum(weight for weight, _ in parts)
        return mean if self.partial else float(mean == 1)


def comparisons_of(model: type[BaseModel], names: Sequence[str]) -> dict[str, tuple[Comparison, float]]:
    """The comparison of each of some fields, and its weight."""
    fields = {name: (model.model_fields[name].annotation, match_of(model.model_fields[name])) for name in names}
    return {name: (_comparison(annotation, match), match.weight) for name, (annotation, match) in fields.items()}


def check_weights(model: type[BaseModel], compared: Mapping[str, tuple[Comparison, float]]) -> None:
    """Raise UsageError where no field counts, and a mean of them would be none."""
    if not any(weight for _, weight in compared.values()):
        raise UsageError(f"no field of {model.__name__!r} counts: give one of {', '.join(compared)} a weight above 0")


def accepted(gold: Mapping[str, Any], name: str) -> list[Any]:
    """Every right value of a field of a gold record."""
    return [gold[name], *(gold.get(f"{name}{ACCEPTED}") or ())]


def matches_in(model: type[BaseModel]) -> list[Any]:
    """What the fields of a model and of the models inside say of their comparison, as plain JSON values."""
    inside = [(one, name, match_of(info)) for one in models_in(model) for name, info in one.model_fields.items()]
    return [[one.__name__, name, asdict(match)] for one, name, match in inside if match != Match()]


def _comparison(annotation: Any, match: Match) -> Comparison:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _comparison(arguments[0], match)
    if is_union(annotation) and len(others := [part for part in arguments if part is not NoneType]) == 1:
        return _comparison(others[0], match)
    if isinstance(origin, type) and issubclass(origin, Sequence | Set) and len(set(arguments) - {...}) == 1:
        ordered = match.ordered and issubclass(origin, Sequence)
        return _Items(_comparison(arguments[0], match), ordered, match.partial, labels_of(arguments[0]) is not None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = comparisons_of(annotation, list(annotation.model_fields))
        check_weights(annotation, inner)
        return _Fields(inner, match.partial)
    if annotation is str:
        return _Plain(_TEXT[match.text])
    if annotation in (int, float):
        return _Plain(lambda gold, given: _is_near(gold, given, match))
    return _Plain(_is_same)


def _is_same(gold: Any, given: Any) -> bool:
    return bool(gold == given) and isinstance(gold, bool) == isinstance(given, bool)


def _is_near(gold: Any, given: Any, match: Match) -> bool:
    """In the decimals that are written: 1.11 is off 1.1 by 0.01, not by a little more."""
    if gold == given or isinstance(gold, str) or isinstance(given, str):  # infinity is written as text
        return bool(gold == given)
    right = _fraction(gold)
    allowed = max(_fraction(match.tolerance), _fraction(match.relative) * abs(right))
    return abs(_fraction(given) - right) <= allowed


def _fraction(number: float) -> Fraction:
    return Fraction(repr(number))


_TEXT: Mapping[str, Callable[[str, str], float]] = {
    "exact": lambda gold, given: float(gold == given),
    "normalized": is_same_text,
    "f1": word_f1,
}
