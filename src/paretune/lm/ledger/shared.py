"""A ledger that a team shares: what each machine has used is in its own file as well."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError
from paretune.files import canonical_json
from paretune.lm.ledger.away import AwayError, patiently
from paretune.lm.ledger.leases import keep_renewing
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.postgres import Home
from paretune.lm.types import Reply

__all__ = ["SharedLedger", "shared_ledger"]

_WAITING = "CREATE TABLE IF NOT EXISTS unshared (key TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID"
#: How long those wait for the database who cannot let others go on meanwhile, in seconds.
_BLOCKED_S = 10.0


class SharedLedger(Ledger):
    """The ledger of a project whose replies, facts, budgets and looks are those of a database.

    A reply is looked for here, then there. Before a call is sent it is claimed there, so that of all who want it one
    pays; its reply is stored there and here. While the database is away nothing is sent, and what arrives waits in the
    file here: at the next use it is handed over.
    """

    #: Whether rows wait for the database; None: nobody has looked.
    _has_waiting: bool | None

    def __init__(self, path: Path, address: str) -> None:
        self._address = address
        super().__init__(path)

    @property
    def accounts(self) -> Home:
        """What budgets have spent and reserved: that of all who share the database."""
        return self.home

    def get(self, key: str) -> Reply | None:
        if (reply := super().get(key)) is not None:
            return reply
        try:
            row = self._there().find(key)
        except AwayError:
            return None  # whoever is about to pay for it waits
        if row is None:
            return None
        self.session.served += 1
        return super()._put(row, served=True)

    def _put(self, row: tuple[Any, ...], served: bool) -> Reply:
        key = row[0]
        if (ticket := self._tickets.pop(key, None)) is not None:
            self.home.claims.discard(ticket)
        try:
            if not self._there().store(row):
                row = self.home.find(key) or row  # another machine was faster
        except ConfigError:
            with contextlib.suppress(ConfigError):  # where the file here has no room, the reply is rescued
                self._wait(row)
        return super()._put(row, served)

    async def claim(self, key: str) -> Reply | None:
        ticket, pause_s = uuid.uuid4().hex, 0.05
        while not await patiently(lambda: self._there().claim(key, ticket)):
            await asyncio.sleep(pause_s)
            if (reply := self.get(key)) is not None:
                return reply
            pause_s = min(1.0, 2 * pause_s)
        self._tickets[key] = ticket
        self.home.claims.add(ticket)
        keep_renewing(self.home)
        if (reply := self.get(key)) is not None:  # it was stored just before the claim
            self.release(key)
        return reply

    def release(self, key: str) -> None:
        if (ticket := self._tickets.pop(key, None)) is not None:
            self.home.claims.discard(ticket)
            with contextlib.suppress(ConfigError):  # it runs out by itself
                self.home.release(ticket)

    def flush(self) -> None:
        """Write the notes that wait, here and there; where that fails they are dropped."""
        notes = self._notes[:]
        super().flush()
        if notes:
            with contextlib.suppress(ConfigError):
                self._there().add_notes(notes)

    def fact(self, key: str) -> Any:
        with contextlib.suppress(AwayError):
            if (text := self._there().fact(key)) is not None:
                return json.loads(text)
        return super().fact(key)

    def remember(self, key: str, value: Any, *, again: bool = False) -> Any:
        with contextlib.suppress(AwayError):
            self._there().remember(key, canonical_json(value), again)
            value, again = json.loads(self.home.fact(key) or "null"), True
        return super().remember(key, value, again=again)

    def look(self, split: str, configurations: Sequence[str]) -> int:
        """Note that configurations (digests) are tested on a split of the data; how many were so far, by anybody."""
        deadline = time.monotonic() + _BLOCKED_S
        while True:
            try:
                return self._there().look(split, configurations)
            except AwayError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def close(self) -> None:
        super().close()
        self.home.close()

    def _there(self) -> Home:
        """The database, once it has what waits here."""
        if self._has_waiting is not False:
            with self.transaction() as connection:
                connection.execute(_WAITING)
                rows = connection.execute("SELECT key, row FROM unshared").fetchall()
            for key, row in rows:
                self.home.store(json.loads(row))
                with self.transaction() as connection:
                    connection.execute("DELETE FROM unshared WHERE key = ?", (key,))
            self._has_waiting = False
        return self.home

    def _wait(self, row: tuple[Any, ...]) -> None:
        """Keep a row for the database."""
        self._has_waiting = True
        with self.transaction() as connection:
            connection.execute(_WAITING)
            connection.execute("INSERT OR IGNORE INTO unshared VALUES (?, ?)", (row[0], json.dumps(row)))

    def _start_afresh(self) -> None:
        super()._start_afresh()
        self.home = Home(self._address)
        #: What this process has claimed, by key.
        self._tickets: dict[str, str] = {}
        self._has_waiting = None


@functools.cache
def shared_ledger(path: Path, address: str) -> SharedLedger:
    """The ledger of a project that is shared, one object a file and address."""
    return SharedLedger(path, address)
