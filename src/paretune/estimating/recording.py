"""A language model that records what it is asked instead of asking anybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from paretune.lm.language_model import LanguageModel
from paretune.lm.types import Reply, Request

__all__ = ["RecordedRequest", "RecordingModel"]


class RecordedRequest(NamedTuple):
    """A request that was not sent, and the key that the ledger would keep its reply under."""

    request: Request
    key: str


class RecordingModel(LanguageModel):
    """Stands in for ``original``: records each request as that one would send it, and replies with nothing.

    Nobody is called, no budget is charged and nothing is written. ``capabilities`` are what the original supports, as
    far as that is known without asking it.
    """

    def __init__(self, original: LanguageModel, capabilities: Mapping[str, Any]) -> None:
        super().__init__(original.model, backend=original.backend, ledger=original.ledger, reasons=original.reasons)
        self.requests: list[RecordedRequest] = []
        self._capabilities = dict(capabilities)

    async def complete(self, request: Request) -> Reply:
        self.requests.append(RecordedRequest(*self.as_sent(request)))
        return Reply("", 0, 0, None, 0.0, 1, model=self.model)  # a reply without a key is noted in no ledger
