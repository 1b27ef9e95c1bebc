"""A language model as far as it is known without a call: what it takes and costs, and what its replies are keyed by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paretune.eventloop import once_in_thread
from paretune.files import digest
from paretune.lm.backends.gateway import GatewayBackend
from paretune.lm.lacks import find_lack
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Backend, Pricing, described

__all__ = ["KnownModel"]


class KnownModel:
    """The half of a LanguageModel that asks nothing of it."""

    model: str
    backend: Backend
    ledger: Ledger
    fallbacks: Sequence[KnownModel]
    _reasons: bool | None = None
    _own_identity: dict[str, Any] | None = None
    _capabilities: dict[str, Any] | None = None

    @property
    def reasons(self) -> bool | None:
        """Whether the model is declared to reason before each reply; None: as its capabilities say."""
        return self.backend.facts["reasons"] if isinstance(self.backend, GatewayBackend) else self._reasons

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the model takes, asked once a ledger: a later run gets the same answer without loading the client."""
        if self._capabilities is None:
            key = digest({"capabilities": self._own()})
            known = self.ledger.fact(key)
            if known is None:
                known = self.ledger.remember(key, self.backend.capabilities())
            self._capabilities = known
        return self._capabilities

    async def learn(self) -> None:
        """Find out what this model and its fallbacks take, in a thread: their clients may take seconds to load."""
        if self._capabilities is None:
            await once_in_thread(self._learn)
        for other in self.fallbacks:
            await other.learn()

    def _learn(self) -> dict[str, Any]:
        return self.capabilities

    def refused(self, **options: Any) -> str | None:
        """Why no request with these options can be sent, as far as it is known before one is; else None. What is taken
        is remembered in the ledger, so that a later run does not load the client to ask again."""
        refused = getattr(self.backend, "refused", None)  # a backend need not know
        key = digest({"taken": options, "by": self._own()})
        if refused is None or self.ledger.fact(key):
            return None
        reason: str | None = refused(**options)
        if reason is None:
            self.ledger.remember(key, True)
        return reason

    async def lacks(self, form: str) -> str | None:
        """Why the model, or a fallback, cannot be asked in a form (a ``structured_output``); None where it is not known
        to lack it."""
        asked = [await find_lack(one.backend, one.ledger, form) for one in (self, *self.fallbacks)]
        return next(filter(None, asked), None)

    @property
    def identity(self) -> dict[str, Any]:
        """The model as a search's results depend on it: what its replies are keyed by, and its fallbacks."""
        if isinstance(self.backend, GatewayBackend):
            return self.backend.facts["identity"]
        others = {"reasons": self.reasons, "fallbacks": [other.identity for other in self.fallbacks]}
        return {**self._own(), **{name: value for name, value in others.items() if value not in (None, [])}}

    def _own(self) -> dict[str, Any]:
        """The model's part of every ledger key."""
        if self._own_identity is None:
            self._own_identity = self.backend.identity()
        return self._own_identity

    def price(self) -> Pricing | None:
        """The price of calls; None when nobody knows it."""
        return self.backend.price()

    @property
    def pricing(self) -> dict[str, Any] | None:
        """The price of now as JSON values, with those of the fallbacks; None where nothing is known. It changes when
        what the same replies cost does; nobody is asked for it."""
        if isinstance(self.backend, GatewayBackend):
            return self.backend.facts["pricing"]
        own, others = described(self.price()), {other.model: other.pricing for other in self.fallbacks}
        return {"own": own, "fallbacks": others} if any(others.values()) else own

    def name_fault(self) -> str | None:
        """What is odd about the name of the model or of a fallback, as far as that is known before a call; None where
        nothing is."""
        asked = (getattr(one.backend, "name_fault", None) for one in (self, *self.fallbacks))  # a backend need not know
        return next((fault for ask in asked if ask is not None and (fault := ask())), None)
