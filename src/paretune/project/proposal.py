"""From the columns of a table to what a person probably wants of them: inputs, targets, and the kind of the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from paretune.errors import DataError, UsageError
from paretune.project.columns import Column
from paretune.schemas.faults import did_you_mean

__all__ = [
    "KINDS",
    "Proposal",
    "input_columns",
    "is_called_identifier",
    "kind_of_targets",
    "named",
    "separator_of",
    "target_candidates",
]

#: The kinds of an answer, and what each is.
KINDS = {
    "single": "one of a few labels",
    "multi": "several of a few labels, or none",
    "number": "a number",
    "text": "a short text",
    "extract": "several fields",
}
#: Words in the names of columns that hold right answers, the surest ones first.
_ANSWERS = (
    ("label", "labels", "target", "targets", "gold", "expected", "answer", "answers", "y", "truth"),
    ("category", "categories", "class", "sentiment", "emotion", "intent", "topic", "topics", "tag", "tags", "genre"),
    ("output", "result", "type", "priority", "department", "score", "rating", "stars", "grade", "price", "amount"),
)
_IDENTIFIERS = {"id", "uuid", "guid", "index", "idx", "key", "no", "nr", "number", "row", "unnamed"}
_QUANTITIES = {"score", "rating", "stars", "price", "amount", "count", "total", "age", "quantity", "points", "sum"}
_MOST_LABELS = 50
_FREE_TEXT = 25  # characters in the mean
_SEPARATORS = ";|,/"


@dataclass(frozen=True)
class Proposal:
    """What is asked: of which columns, for which, and in which form (see ``KINDS``)."""

    kind: str
    inputs: tuple[Column, ...]
    targets: tuple[Column, ...]
    separator: str | None = None


def named(names: Sequence[str], columns: Sequence[Column], option: str) -> tuple[Column, ...]:
    """The columns of these names; case and blanks do not count. Raises UsageError for one that is none."""
    found = []
    for name in names:
        plain = name.strip().casefold()
        same = [column for column in columns if column.name == name]
        same = same or [column for column in columns if column.name.strip().casefold() == plain]
        if len(same) != 1:
            known = [column.name for column in columns]
            raise UsageError(f"{option}: no column {name!r} (there are: {', '.join(known)}){did_you_mean(name, known)}")
        found.append(same[0])
    if len(set(map(id, found))) < len(found):
        raise UsageError(f"{option}: a column is named twice: {', '.join(names)}")
    return tuple(found)


def target_candidates(columns: Sequence[Column]) -> list[Column]:
    """The columns that may hold the right answer; a single one where that can be told."""
    useful = [column for column in columns if len(column.counts) > 1 and not _is_identifier(column)]
    for words in _ANSWERS:
        if called := [column for column in useful if words_of(column.name) & set(words)]:
            return called
    if len(useful) == 2:
        longer, shorter = sorted(useful, key=lambda column: -column.length)
        return [shorter] if longer.length > shorter.length else useful
    return [column for column in useful if not column.unique] or useful


def input_columns(columns: Sequence[Column], targets: Sequence[Column]) -> tuple[Column, ...]:
    """Free texts, or, where there are none, all columns that are no identifiers. Raises DataError without any."""
    others = [each for each in columns if each not in targets and each.counts and not _is_identifier(each)]
    texts = [each for each in others if each.kind in ("text", "list", "record") and each.length >= _FREE_TEXT]
    varying = [each for each in others if len(each.counts) > 1]
    if not (found := texts or varying):
        names = ", ".join(repr(column.name) for column in columns if column not in targets) or "no other column"
        raise DataError(f"no column to answer from beside {targets[0].name!r} ({names}); name them with --input")
    return tuple(found)


def kind_of_targets(targets: Sequence[Column]) -> tuple[str, str | None]:
    """The kind of the answer, and what parts the labels of a text, where there may be several."""
    if len(targets) > 1:
        flags = all(column.kind == "yes or no" and not column.missing for column in targets)
        return ("multi" if flags else "extract"), None
    (target,) = targets
    few = len(target.counts) <= min(_MOST_LABELS, max(2, target.filled // 3))
    if target.kind == "list":
        return _kind_of_list(target), None
    if target.kind == "record":
        return "extract", None
    if target.kind in ("whole number", "number"):
        counted = words_of(target.name) & _QUANTITIES or target.kind == "number" or len(target.counts) > 10
        return ("number" if counted or not few else "single"), None
    if target.kind == "text" and (separator := separator_of(target)):
        return "multi", separator
    return ("single" if few else "text"), None


def _kind_of_list(target: Column) -> str:
    """Labels come again and again; else several right answers under a name that says so, or a list to be filled in."""
    items = [(item, count) for value, count in target.counts.items() for item in json.loads(value)]
    total = sum(count for _, count in items)
    texts = all(isinstance(item, str) for item, _ in items)
    if texts and len({item for item, _ in items}) <= min(_MOST_LABELS, total // 2):
        return "multi"
    return "text" if texts and words_of(target.name) & set(_ANSWERS[0]) else "extract"


def separator_of(target: Column) -> str | None:
    """What parts the labels in a text column, where its parts come again and again, also alone or in other company."""
    for separator in _SEPARATORS:
        parted = [[part.strip() for part in value.split(separator)] for value in target.counts]
        several = [parts for parts in parted if len(parts) > 1]
        parts = [part for parts in parted for part in parts]
        short = all(len(part) <= 40 and any(map(str.isalpha, part)) for part in parts)
        if len(several) > 1 and short and len(set(parts)) < len(target.counts) and len(set(parts)) <= _MOST_LABELS:
            return separator
    return None


def words_of(name: str) -> set[str]:
    """The words in a column's name: of ``ticketType_ID`` ticket, type, id."""
    return {word.lower() for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])", name)}


def _is_identifier(column: Column) -> bool:
    """Whether a column numbers or names its rows: each value once, under a name like `id`, or whole numbers."""
    return is_called_identifier(column) or (column.unique and column.kind == "whole number")


def is_called_identifier(column: Column) -> bool:
    """Whether a column has each of its short values once, and a name like `id` or none."""
    called = words_of(column.name) & _IDENTIFIERS or not column.name.strip()
    return column.unique and bool(called) and column.length < 2 * _FREE_TEXT
