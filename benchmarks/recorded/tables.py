"""Tables of recorded results: what some models scored on the same items, and what their answers took."""

from __future__ import annotations

import csv
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simulated_searches import Search

from paretune.errors import DataError

Floats = NDArray[np.float64]
#: Entries that answer with a fixed text to deceive the judge.
_NO_MODELS = ("NullModel", "gpt4_gamed")
#: Characters of an English text that are a token, about.
_CHARACTERS = 4.0
#: So many configurations make a search.
_FEWEST = 4


@dataclass(frozen=True)
class Table:
    """The ``rewards`` of k configurations on the same items, (k, items), from 0 to 1, and their ``costs``: ``tokens``
    of each answer, or the ``parameters`` of the model in billions; NaN where these are unknown."""

    name: str
    configurations: tuple[str, ...]
    rewards: Floats
    costs: Floats
    unit: str

    @cached_property
    def truth(self) -> Floats:
        """What all items say: rewards and costs, (k, 2); NaN for costs that are unknown."""
        return np.stack([self.rewards.mean(axis=1), self.costs.mean(axis=1)], axis=1)

    @property
    def size(self) -> int:
        """How many configurations there are."""
        return len(self.configurations)

    def of(self, rows: NDArray[np.intp]) -> Table:
        """The same of some configurations."""
        names = tuple(self.configurations[row] for row in rows)
        return Table(self.name, names, self.rewards[rows], self.costs[rows], self.unit)

    @property
    def priced(self) -> Table | None:
        """The same of the configurations whose costs are known; None where these are fewer than four."""
        rows = np.flatnonzero(~np.isnan(self.truth[:, 1]))
        return self.of(rows) if len(rows) >= _FEWEST else None

    def items(self, rng: np.random.Generator, n: int) -> NDArray[np.intp]:
        """``n`` items drawn with replacement, so that the table is the whole truth about them."""
        return rng.integers(0, self.rewards.shape[1], n)

    def some(self, rng: np.random.Generator, kind: str, k: int) -> NDArray[np.intp]:
        """``k`` configurations: any (``spread``), or such as are neighbours by their true rewards (``near``)."""
        if kind == "spread":
            return np.sort(rng.choice(self.size, k, replace=False))
        first = rng.integers(0, self.size - k + 1)
        return np.sort(np.argsort(self.truth[:, 0], kind="stable")[first : first + k])

    def searches(self, seed: int, kind: str, k: int, n: int, runs: int) -> Iterator[Search]:
        """Searches of ``k`` configurations on ``n`` items each."""
        rng = np.random.default_rng([seed, k, n])
        for _ in range(runs):
            rows, items = self.some(rng, kind, k), self.items(rng, n)
            yield Search.of(self.rewards[np.ix_(rows, items)], self.costs[np.ix_(rows, items)], self.truth[rows])


def read(folder: Path) -> list[Table]:
    """The tables of a folder, ``*.csv`` or ``*.csv.xz``: a row a configuration and item, with the columns
    ``configuration``, ``item``, ``score`` (0 to 1) and perhaps ``out_chars`` (how long the answer was). Items that some
    configuration lacks are left out. Raises DataError where there is none, and for other scores."""
    paths = sorted([*folder.glob("*.csv"), *folder.glob("*.csv.xz")])
    if not paths:
        raise DataError(
            f"{str(folder)!r} has no recorded results (*.csv, *.csv.xz); docs/benchmarks.md says which and whence"
        )
    return [_table(path) for path in paths]


def _table(path: Path) -> Table:
    opened: Any = lzma.open if path.suffix == ".xz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as handle:
        rows = csv.DictReader(handle)
        if not {"configuration", "item", "score"} <= set(rows.fieldnames or ()):
            raise DataError(f"{str(path)!r} needs the columns configuration, item, score (it has {rows.fieldnames})")
        cells = {
            (row["configuration"], row["item"]): (row["score"] or "nan", row.get("out_chars") or "nan") for row in rows
        }
    names = tuple(sorted({name for name, _ in cells if name not in _NO_MODELS}))
    items = sorted({item for _, item in cells})
    try:
        values = np.array([[cells.get((name, item), ("nan", "nan")) for item in items] for name in names], np.float64)
    except ValueError as error:
        raise DataError(f"{str(path)!r}: score and out_chars are numbers ({error})") from None
    rewards, lengths = np.moveaxis(values, 2, 0)
    complete = ~np.isnan(rewards).any(axis=0)
    rewards, lengths = rewards[:, complete], lengths[:, complete]
    if not rewards.size or rewards.min() < 0 or rewards.max() > 1:
        raise DataError(f"{str(path)!r}: scores are from 0 to 1, and some items have one of each configuration")
    if (np.nan_to_num(lengths).mean(axis=1) > 0).all() and not np.isnan(lengths).any():
        costs, unit = lengths / _CHARACTERS, "tokens"
    else:
        sizes = np.array([parameters(name) or np.nan for name in names])
        costs, unit = np.repeat(sizes[:, None], rewards.shape[1], axis=1), "parameters"
    return Table(path.name.split(".")[0], names, rewards, costs, unit)


def parameters(name: str) -> float:
    """How many billion parameters a model's name says that it has; 0 where it says none."""
    found = re.search(r"(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z0-9])", name.lower())
    return float(found[1] or 1) * float(found[2]) if found else 0.0


def family(name: str) -> str:
    """The family of a model: how its name begins."""
    found = re.match(r"(?:meta-)?([a-z]+)", name.lower())
    return found[1] if found else name
