"""What a process has done with a ledger."""

from __future__ import annotations

from dataclasses import dataclass

from paretune.lm.types import Reply

__all__ = ["Session"]


@dataclass
class Session:
    """What this process has done: calls that were sent and paid for, their cost, and calls that the ledger served."""

    paid: int = 0
    spent_usd: float = 0.0
    served: int = 0

    def add(self, reply: Reply) -> None:
        """Count a reply."""
        if reply.served:
            self.served += 1
        else:
            self.paid += 1
            self.spent_usd += reply.cost_usd or 0.0

    def clear(self) -> None:
        """Begin to count anew."""
        self.paid = self.served = 0
        self.spent_usd = 0.0
