"""A ledger that keeps nothing: for programs at work, where replies must not be stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from paretune.lm.ledger.file import connect
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Reply

__all__ = ["NoLedger"]


class NoLedger(Ledger):
    """No reply is found in it, none is kept, and no file is made. What a process must know for itself (budgets, what a
    model supports) is in its memory."""

    def __init__(self) -> None:
        super().__init__(Path(":memory:"))

    def get(self, key: str) -> Reply | None:
        return None

    def put(self, key: str, model: str, request: dict[str, Any] | str, reply: Reply) -> Reply:
        self.session.paid += 1
        self.session.spent_usd += reply.cost_usd or 0.0
        return reply

    def note(self, reply: Reply, module: str, *, valid: bool, replicate: int = 0) -> None:
        """Nobody can look a note up."""

    def check_room(self) -> None:
        """There is nothing to find room for."""

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self.path)
        return self._connection
