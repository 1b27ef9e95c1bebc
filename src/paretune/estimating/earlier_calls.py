"""What the ledger tells of earlier calls, of all who share it; it is read only."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from paretune.files import canonical_json, digest
from paretune.lm.backends.litellm import LitellmBackend
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.away import AwayError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.queries import opened
from paretune.lm.ledger.shared import SharedLedger
from paretune.lm.ledger.shared_calls import SharedCalls
from paretune.lm.types import Request

__all__ = ["CallStatistics", "LedgerView", "characters", "kind_of"]

Found = TypeVar("Found")

#: So many earlier calls of a model are looked at.
_LOOKED_AT = 500
#: What a model is taken to support where finding out would load the client (seconds).
_ASSUMED = {"structured_output": "native", "reasoning_effort": False, "grammar": False}


class CallStatistics(NamedTuple):
    """What earlier calls of one kind took, on average; a prompt of c characters ``base + slope * c`` tokens."""

    calls: int
    base: float
    slope: float
    completion_tokens: float
    latency_s: float

    def prompt_tokens(self, size: float) -> float:
        """The tokens of a prompt of so many characters."""
        return max(1.0, self.base + self.slope * size)


class LedgerView:
    """A ledger, read only: its file, which need not be there, and what others have who share it. While their database
    does not answer, the file is all, which stderr tells."""

    def __init__(self, ledger: Ledger) -> None:
        self._path = ledger.path
        self._ledger = ledger
        self._shared = SharedCalls(ledger.home) if isinstance(ledger, SharedLedger) else None
        self._capabilities: dict[str, dict[str, Any]] = {}

    def holds(self, keys: Iterable[str]) -> int:
        """How many of the keys the ledger has replies for, each counted once."""
        keys = list(keys)
        statement = "SELECT key FROM calls WHERE stored_key IN (SELECT stored_key(value) FROM json_each(?))"
        found = {key for (key,) in self._rows(statement, json.dumps(keys))}
        nothing: set[str] = set()
        return len(found | self._there(lambda shared: shared.among(keys), nothing))

    def answered_by_trial(self, search: str) -> dict[str, int]:
        """By trial, to how many of the questions that a search has noted the ledger has replies; where others share it,
        to at least so many."""
        here = dict(
            self._rows(
                "SELECT a.trial, COUNT(DISTINCT a.reply) FROM asked a JOIN calls c ON c.id = a.reply"
                " WHERE a.search = ? GROUP BY a.trial",
                search,
            )
        )
        nothing: dict[str, int] = {}
        there = self._there(lambda shared: shared.answered_by_trial(search), nothing)
        return {trial: max(here.get(trial, 0), there.get(trial, 0)) for trial in {**here, **there}}

    def spent(self, account: str) -> dict[str, float] | None:
        """What a budget's account has spent: calls, tokens, usd; None where nobody can tell now."""
        if isinstance(self._ledger, SharedLedger):
            accounts, unknown = self._ledger.accounts, None
            return self._there(lambda _: accounts.spent(account)._asdict(), unknown)
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'budget_spent'"):
            return {}
        rows = self._rows("SELECT calls, tokens, usd FROM budget_spent WHERE account = ?", account)
        return dict(zip(("calls", "tokens", "usd"), rows[0], strict=True)) if rows else {}

    @functools.cache  # noqa: B019  (a view lives as long as one estimate)
    def experience(self, model: str) -> dict[str, CallStatistics]:
        """What earlier calls of a model took, by kind of question (see ``kind_of``); under "" that of all kinds."""
        kinds: dict[str, list[tuple[float, ...]]] = {}
        sample = self._rows(  # keys are digests: the first ones are a sample drawn evenly
            "SELECT request, prompt_tokens, completion_tokens, latency_s FROM calls WHERE model = ?"
            " ORDER BY stored_key LIMIT ?",
            model,
            _LOOKED_AT,
        )
        sample = sample or self._there(lambda shared: shared.sample(model, _LOOKED_AT), [])
        for text, *took in sample:
            request = json.loads(text)
            if "messages" in request:  # else it was too long to be kept
                point = (characters(request), *took)
                kinds.setdefault(kind_of(request), []).append(point)
                kinds.setdefault("", []).append(point)
        return {kind: _fitted(points) for kind, points in kinds.items()}

    def capabilities(self, model: LanguageModel) -> dict[str, Any]:
        """What a model supports; assumed, where finding out would load the client for nothing else."""
        key = digest({"capabilities": model.backend.identity()})
        if key not in self._capabilities:
            known = self._fact(key)
            if known is not None:
                self._capabilities[key] = json.loads(known)
            elif (backend := _unloaded(model)) and backend.fixed_price is not None:
                self._capabilities[key] = _ASSUMED
            else:
                self._capabilities[key] = model.backend.capabilities()
        return self._capabilities[key]

    def _fact(self, key: str) -> str | None:
        """The JSON text of a remembered fact."""
        if rows := self._rows("SELECT value FROM facts WHERE key = ?", key):
            return str(rows[0][0])
        return self._there(lambda shared: shared.fact(key), None)

    def _there(self, look: Callable[[SharedCalls], Found], else_: Found) -> Found:
        """What is found where others share the ledger; nothing, where nobody does or the database is away."""
        if self._shared is not None:
            try:
                return look(self._shared)
            except AwayError as error:
                _tell(str(error))
                self._shared = None
        return else_

    def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        if not self._path.exists():
            return []
        with opened(self._path) as connection:
            return connection.execute(statement, parameters).fetchall()


@functools.cache
def _tell(error: str) -> None:
    """Say once what is not known."""
    print(f"note: {error}. Until then only what was used here is known", file=sys.stderr)


def _unloaded(model: LanguageModel) -> LitellmBackend | None:
    """The backend of a model, where asking it for a price or capabilities would load litellm first."""
    backend = model.backend
    if "litellm" in sys.modules or not isinstance(backend, LitellmBackend):
        return None
    return backend


def kind_of(request: Request | Mapping[str, Any]) -> str:
    """What the length of a reply depends on beside the input: one text for requests that are alike in it."""
    names = ("structured_output", "schema", "grammar", "reasoning_effort", "extra")
    form, *others = (_part(request, name) for name in names)
    return canonical_json([form or "native", *others])


def characters(request: Request | Mapping[str, Any]) -> int:
    """The size of a request's messages."""
    return sum(len(content) for _, content in _part(request, "messages"))


def _part(request: Request | Mapping[str, Any], name: str) -> Any:
    return (request.stated() if isinstance(request, Request) else request).get(name)


def _fitted(points: Sequence[tuple[float, ...]]) -> CallStatistics:
    """The line through what was seen; through the origin where sizes hardly differ."""
    sizes, prompts, completions, latencies = np.array(points, dtype=float).T
    base, slope = 0.0, float(prompts.sum() / max(1.0, sizes.sum()))
    if sizes.std() > 0.02 * sizes.mean():
        slanted = np.polynomial.Polynomial.fit(sizes, prompts, 1).convert().coef
        if len(slanted) == 2 and slanted[1] > 0:
            base, slope = float(slanted[0]), float(slanted[1])
    return CallStatistics(len(points), base, slope, float(completions.mean()), float(latencies.mean()))
