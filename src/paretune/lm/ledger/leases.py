"""Leases: what a process holds for itself counts as free soon after it has died, also on another machine."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from typing import Protocol

from paretune.errors import ConfigError
from paretune.lm.ledger.processes import LEASE_S

__all__ = ["Holder", "keep_renewing"]


class Holder(Protocol):
    """Whoever holds leases."""

    def renew(self) -> None:
        """Tell others that this process lives."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()
_renewing: threading.Thread | None = None


def keep_renewing(holder: Holder) -> None:
    """Renew what somebody holds every few seconds, in a thread: an event loop may stand still for long."""
    global _renewing
    _holders.add(holder)
    if _renewing is None or not _renewing.is_alive():  # a fork has no threads
        _renewing = threading.Thread(target=_renew, name="paretune-leases", daemon=True)
        _renewing.start()


def _renew() -> None:
    while True:
        time.sleep(LEASE_S / 4)
        for holder in list(_holders):
            with contextlib.suppress(ConfigError):  # whoever needs the ledger will say it
                holder.renew()
