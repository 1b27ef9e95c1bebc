"""A ledger that a team shares: what each machine has used is in its own file as well."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError
from paretune.files import canonical_json
from paretune.lm.ledger.away import AwayError, patiently
from paretune.lm.ledger.home import Home
from paretune.lm.ledger.leases import keep_renewing
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.values import row_of
from paretune.lm.types import Reply

__all__ = ["SharedLedger", "shared_ledger"]

_WAITING = "CREATE TABLE IF NOT EXISTS unshared (key TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID"
#: How long those wait for the database who cannot let others go on meanwhile, in seconds.
_BLOCKED_S = 10.0


class SharedLedger(Ledger):
    """The ledger of a project whose replies, facts, budgets and looks are those of a database.

    A reply is looked for here (``get``), then there. Before a call is sent it is claimed there, so that of all who want
    it one pays; its reply is stored there and here. While the database is away nothing is sent, and what arrives waits
    in the file here: at the next use it is handed over.
    """

    #: Whether rows may wait for the database.
    _has_waiting: bool

    def __init__(self, path: Path, address: str) -> None:
        self._address = address
        super().__init__(path)

    @property
    def accounts(self) -> Home:
        """What budgets have spent and reserved: that of all who share the database."""
        return self.home

    async def store(self, key: str, model: str, request: dict[str, Any] | str, reply: Reply) -> Reply:
        self.session.add(reply)
        self._forget(key)
        row = row_of(key, model, request, reply)
        try:
            row = await self.home.store(row)
        except ConfigError:
            self._wait(row)
        except asyncio.CancelledError:
            self._wait(row)
            self._put(row, reply.served)
            raise
        return self._put(row, reply.served)

    async def fetch(self, key: str) -> bool:
        try:
            row = await self.home.find(key)
        except AwayError:
            return False  # whoever is about to pay for it waits
        if row is not None:
            self._put(row, served=True)
        return row is not None

    async def claim(self, key: str) -> Reply | None:
        ticket, pause_s = uuid.uuid4().hex, 0.05
        while True:
            is_claimed, row = await patiently(lambda: self._claim(key, ticket))
            if row is not None:
                if is_claimed:  # it was stored just before
                    self.home.release(key, ticket)
                self.session.served += 1
                return self._put(row, served=True)
            if is_claimed:
                self._tickets[key] = ticket
                self.home.claims.add(ticket)
                keep_renewing(self.home)
                return None
            await asyncio.sleep(pause_s)
            pause_s = min(1.0, 2 * pause_s)

    async def _claim(self, key: str, ticket: str) -> tuple[bool, tuple[Any, ...] | None]:
        if self._has_waiting:
            await asyncio.to_thread(self._hand_over)
        return await self.home.claim(key, ticket)

    def release(self, key: str) -> None:
        if ticket := self._forget(key):
            self.home.release(key, ticket)

    def _forget(self, key: str) -> str | None:
        """Renew the claim on a key no longer; its ticket."""
        ticket = self._tickets.pop(key, None)
        self.home.claims.discard(ticket or "")
        return ticket

    def flush(self) -> None:
        """Write the notes that wait, here, and soon there; where that fails they are dropped."""
        notes = self._notes[:]
        super().flush()
        if notes:
            self.home.add_notes(notes)

    def fact(self, key: str) -> Any:
        with contextlib.suppress(AwayError):
            self._hand_over()
            if (text := self.home.fact(key)) is not None:
                return json.loads(text)
        return super().fact(key)

    def remember(self, key: str, value: Any, *, again: bool = False) -> Any:
        with contextlib.suppress(AwayError):
            self.home.remember(key, canonical_json(value), again)
            value, again = json.loads(self.home.fact(key) or "null"), True
        return super().remember(key, value, again=again)

    def look(self, split: str, configurations: Sequence[str]) -> int:
        """Note that configurations (digests) are tested on a split of the data; how many were so far, by anybody."""
        deadline = time.monotonic() + _BLOCKED_S
        while True:
            try:
                return self.home.look(split, configurations)
            except AwayError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def close(self) -> None:
        self.flush()
        super().close()
        self.home.close()

    def _hand_over(self) -> None:
        """Give the database what waits here."""
        with self._handing:
            if not self._has_waiting:
                return
            self._has_waiting = False
            try:
                with self.transaction() as connection:
                    connection.execute(_WAITING)
                    rows = connection.execute("SELECT key, row FROM unshared").fetchall()
                if rows:
                    self.home.store_all(json.loads(row) for _, row in rows)
                    with self.transaction() as connection:
                        connection.executemany("DELETE FROM unshared WHERE key = ?", [(key,) for key, _ in rows])
            except BaseException:
                self._has_waiting = True
                raise

    def _wait(self, row: tuple[Any, ...]) -> None:
        """Keep a row for the database; where the file here has no room, its reply is rescued alone."""
        with contextlib.suppress(ConfigError), self.transaction() as connection:
            connection.execute(_WAITING)
            connection.execute("INSERT OR IGNORE INTO unshared VALUES (?, ?)", (row[0], json.dumps(row)))
        self._has_waiting = True

    def _start_afresh(self) -> None:
        super()._start_afresh()
        self.home = Home(self._address)
        #: What this process has claimed, by key.
        self._tickets: dict[str, str] = {}
        self._has_waiting, self._handing = True, threading.Lock()


@functools.cache
def shared_ledger(path: Path, address: str) -> SharedLedger:
    """The ledger of a project that is shared, one object a file and address."""
    ledger = SharedLedger(path, address)
    atexit.register(ledger.flush)  # before its connections are closed
    return ledger
