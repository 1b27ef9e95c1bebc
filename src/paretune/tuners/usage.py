"""What a search has paid, read from the ledgers of its language models."""

from __future__ import annotations

import time
from collections.abc import Sequence

from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.session import Session

__all__ = ["UsageMeter"]


class UsageMeter:
    """The calls that ledgers have counted, and their cost, since this object was created."""

    def __init__(self, ledgers: Sequence[Ledger]) -> None:
        self._ledgers = ledgers
        self._before = self._total()
        #: When it was created, in seconds since 1970.
        self.began = time.time()

    def since(self) -> Session:
        """What happened so far."""
        now, before = self._total(), self._before
        return Session(now.paid - before.paid, now.spent_usd - before.spent_usd, now.served - before.served)

    def counters(self) -> tuple[int, int, float]:
        """Calls answered, calls paid for, US dollars spent."""
        since = self.since()
        return since.paid + since.served, since.paid, since.spent_usd

    def flush(self) -> None:
        """Write what the ledgers know of who asked."""
        for ledger in self._ledgers:
            ledger.flush()

    def _total(self) -> Session:
        sessions = [ledger.session for ledger in self._ledgers]
        return Session(
            sum(one.paid for one in sessions),
            sum(one.spent_usd for one in sessions),
            sum(one.served for one in sessions),
        )
