"""What calls would take, judged from what is asked and from earlier calls; nobody is called and nothing is written."""

from __future__ import annotations

import functools
import json
import sqlite3
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from paretune.files import canonical_json
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger_queries import opened
from paretune.lm.types import Reply, Request

__all__ = ["Asked", "Experience", "LedgerView", "Listener", "characters", "kind_of"]

#: So many earlier calls of a model are looked at.
_LOOKED_AT = 500
#: So many keys are looked up in one query.
_CHUNK = 500


class Experience(NamedTuple):
    """What earlier calls of one kind took, on average; a prompt of c characters ``base + slope * c`` tokens."""

    calls: int
    base: float
    slope: float
    completion_tokens: float
    latency_s: float

    def prompt_tokens(self, size: float) -> float:
        """The tokens of a prompt of so many characters."""
        return max(1.0, self.base + self.slope * size)


@dataclass(frozen=True)
class Asked:
    """A request that was not sent, and the key that the ledger would keep its reply under."""

    request: Request
    key: str


class LedgerView:
    """A ledger's file, read only. Where there is no file, nothing is known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._facts: dict[str, Any] = {}

    def holds(self, keys: Iterable[str]) -> int:
        """How many of the keys the ledger has replies for, each counted once."""
        wanted, found = list(dict.fromkeys(keys)), 0
        if wanted and self.path.exists():
            with opened(self.path) as connection:
                for start in range(0, len(wanted), _CHUNK):
                    some = wanted[start : start + _CHUNK]
                    marks = ", ".join("?" * len(some))
                    found += connection.execute(f"SELECT COUNT(*) FROM calls WHERE key IN ({marks})", some).fetchone()[
                        0
                    ]
        return found

    def asked(self, search: str) -> dict[str, int]:
        """By trial, to how many of the questions that a search has noted the ledger has replies."""
        if not self.path.exists():
            return {}
        statement = (
            "SELECT a.trial, COUNT(DISTINCT a.key) FROM asked a JOIN calls c ON c.key = a.key"
            " WHERE a.search = ? GROUP BY a.trial"
        )
        with opened(self.path) as connection:
            return dict(connection.execute(statement, (search,)).fetchall())

    @functools.cache  # noqa: B019  (a view lives as long as one estimate)
    def experience(self, model: str) -> dict[str, Experience]:
        """What earlier calls of a model took, by kind of question (see ``kind_of``); under "" that of all kinds."""
        if not self.path.exists():
            return {}
        statement = (  # keys are digests: the first ones are a sample drawn evenly
            "SELECT request, prompt_tokens, completion_tokens, latency_s FROM calls WHERE model = ?"
            " ORDER BY key LIMIT ?"
        )
        with opened(self.path) as connection:
            rows = connection.execute(statement, (model, _LOOKED_AT)).fetchall()
        kinds: dict[str, list[tuple[float, ...]]] = {}
        for text, *took in rows:
            request = json.loads(text)
            if "messages" in request:  # else it was too long to be kept
                point = (characters(request), *took)
                kinds.setdefault(kind_of(request), []).append(point)
                kinds.setdefault("", []).append(point)
        return {kind: _fitted(points) for kind, points in kinds.items()}

    def spent(self, account: str) -> dict[str, float]:
        """What a budget's account has spent: calls, tokens, usd."""
        if not self.path.exists():
            return {}
        with opened(self.path) as connection:
            if not _has(connection, "budget_spent"):
                return {}
            row = connection.execute(
                "SELECT calls, tokens, usd FROM budget_spent WHERE account = ?", (account,)
            ).fetchone()
        return {} if row is None else dict(row)

    def fact(self, key: str) -> Any:
        """As ``Ledger.fact``."""
        if key not in self._facts and self.path.exists():
            with opened(self.path) as connection:
                row = connection.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
            if row is not None:
                self._facts[key] = json.loads(row[0])
        return self._facts.get(key)

    def remember(self, key: str, value: Any) -> Any:
        """Keep a fact for as long as this view lives, and return it."""
        return self._facts.setdefault(key, value)

    def note(self, *arguments: Any, **options: Any) -> None:
        """Nothing is noted."""


class Listener(LanguageModel):
    """Stands in for a language model: hears what is asked (``asked``), and replies with nothing.

    What the model supports comes from the ledger. Where that is not known and finding out would load the client
    (seconds), a JSON schema is assumed.
    """

    def __init__(self, model: LanguageModel, view: LedgerView) -> None:
        vars(self).update(vars(model))
        self.asked: list[Asked] = []
        known = self._capabilities is not None or not _is_costly(model)
        self.ledger = view if known else _Assuming(view.path)  # type: ignore[assignment]  # it has what is called here

    async def complete(self, request: Request) -> Reply:
        question = self._question(request)
        self.asked.append(Asked(question.request, question.key))
        return Reply("", 0, 0, None, 0.0, 1, key=question.key, model=self.model)


class _Assuming(LedgerView):
    """A view in which what a model supports is always known."""

    def fact(self, key: str) -> Any:
        known = super().fact(key)
        assumed = {"structured_output": "native", "reasoning_effort": False, "grammar": False}
        return assumed if known is None else known


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def _is_costly(model: LanguageModel) -> bool:
    """Whether asking what a model supports would load litellm for nothing else: its price is given."""
    return getattr(model.backend, "fixed_price", None) is not None and "litellm" not in sys.modules


def kind_of(request: Request | Mapping[str, Any]) -> str:
    """What the length of a reply depends on beside the input: one text for requests that are alike in it."""
    return canonical_json(
        [
            _part(request, "structured_output") or "native",
            _part(request, "schema"),
            _part(request, "grammar"),
            _part(request, "reasoning_effort"),
        ]
    )


def characters(request: Request | Mapping[str, Any]) -> int:
    """The size of a request's messages."""
    return sum(len(content) for _, content in _part(request, "messages"))


def _part(request: Request | Mapping[str, Any], name: str) -> Any:
    return getattr(request, name) if isinstance(request, Request) else request.get(name)


def _fitted(points: Sequence[tuple[float, ...]]) -> Experience:
    """The line through what was seen; through the origin where sizes hardly differ."""
    sizes, prompts, completions, latencies = np.array(points, dtype=float).T
    base, slope = 0.0, float(prompts.sum() / max(1.0, sizes.sum()))
    if sizes.std() > 0.02 * sizes.mean():
        slanted = np.polynomial.Polynomial.fit(sizes, prompts, 1).convert().coef
        if len(slanted) == 2 and slanted[1] > 0:
            base, slope = float(slanted[0]), float(slanted[1])
    return Experience(len(points), base, slope, float(completions.mean()), float(latencies.mean()))
