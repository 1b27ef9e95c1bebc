"""The rows of a new project: those that are complete and differ, cut once into what is searched with and the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from paretune.datasets.conversions import as_bool
from paretune.datasets.split import split_indices
from paretune.errors import DataError
from paretune.files import canonical_json
from paretune.project.columns import shown
from paretune.project.proposal import Proposal

__all__ = ["LEAST_ROWS", "Prepared", "cut", "labels_of", "prepared", "shuffled", "spell_alike"]

Row = dict[str, Any]
#: A third of fewer rows would be too few to test by, to validate by, and to take examples from.
LEAST_ROWS = 30


@dataclass
class Prepared:
    """Rows that are complete and differ; ``notes`` tell what was done to the others."""

    rows: list[Row]
    notes: list[str] = field(default_factory=list)


def prepared(rows: Sequence[Row], proposal: Proposal) -> Prepared:
    """Leave out rows without any input or right answer, and repeated ones.

    A row of several labels may have none of them, and one of several fields lacks what all of them lack.
    """
    inputs, targets = ([column.name for column in part] for part in (proposal.inputs, proposal.targets))
    complete = [row for row in rows if any(row[name] is not None for name in inputs)]
    if proposal.kind != "multi":
        complete = [row for row in complete if any(row[name] is not None for name in targets)]
    done = Prepared([dict(row) for row in complete])
    if lost := len(rows) - len(complete):
        done.notes.append(f"left out: {_rows(lost)} without {' or '.join(map(repr, targets))}, or without any input")
    seen: dict[str, Row] = {}
    for row in done.rows:
        seen.setdefault(canonical_json([[row[name] for name in part] for part in (inputs, targets)]), row)
    if lost := len(done.rows) - len(seen):
        done.notes.append(f"left out: {_rows(lost, 'repeated ')}")
    done.rows = list(seen.values())
    asked = Counter(canonical_json([row[name] for name in inputs]) for row in done.rows)
    if twice := sum(count for count in asked.values() if count > 1):
        done.notes.append(f"warning: {_rows(twice)} with the same input as another, but another answer (kept)")
    return done


def _rows(count: int, what: str = "") -> str:
    return f"{count:,} {what}row{'s' if count != 1 else ''}"


def spell_alike(rows: Sequence[Row], name: str) -> list[str]:
    """In place: labels that differ in case and blanks alone are one, as it is written most often; what was changed."""

    def plain(value: str) -> str:
        return " ".join(value.split()).casefold()

    counts = Counter(row[name] for row in rows if isinstance(row[name], str))
    best: dict[str, str] = {}
    for value, _ in counts.most_common():
        best.setdefault(plain(value), value)
    for row in rows:
        if isinstance(row[name], str):
            row[name] = best[plain(row[name])]
    return [
        f"{_rows(count)} with the label {value!r}: it is {best[plain(value)]!r} now"
        for value, count in counts.items()
        if best[plain(value)] != value
    ]


def cut(rows: Sequence[Row], classes: Sequence[str], share: float, seed: int) -> tuple[list[Row], list[Row], bool]:
    """``(train, test, stratified)``: a random cut that keeps the share of every class where it can, both in random
    order, so that the first so many rows are a fair part."""
    stratify = classes if len(set(classes)) <= share * len(rows) / 2 else None
    chosen = split_indices(len(rows), share, shuffle=True, seed=seed, stratify=stratify)
    train, test = (shuffled([rows[place] for place in part], seed) for part in chosen)
    return train, test, stratify is not None


def shuffled(rows: Sequence[Row], seed: int) -> list[Row]:
    """The rows in a random order that follows from the seed."""
    return [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]


def labels_of(rows: Sequence[Row], proposal: Proposal) -> Counter[str]:
    """How often each label is a right answer, the most frequent first. Raises DataError where there are no two."""
    counts: Counter[str] = Counter()
    names = [column.name for column in proposal.targets]
    for row in rows:
        counts.update(_labels(row, names, proposal))
    if len(counts) < 2:
        only = ", ".join(map(repr, counts)) or "none"
        raise DataError(f"{', '.join(map(repr, names))}: two labels at least are needed (there is {only})")
    return Counter(dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))))


def _labels(row: Row, names: Sequence[str], proposal: Proposal) -> list[str]:
    """The labels of one row."""
    if len(names) > 1:  # a column a label
        return [name for name in names if as_bool(row[name])]
    value = row[names[0]]
    if proposal.separator is not None:
        value = [part.strip() for part in (value or "").split(proposal.separator) if part.strip()]
    if isinstance(value, list):
        return [shown(item) for item in value]
    return [] if value is None else [shown(value)]
