"""The ledger: every reply that was paid for, kept before it is used.

One SQLite file (WAL), shared by all experiments and processes of a project. A reply is found again by a key over
everything that determines it, so a rerun, a resume after a kill, or a larger search pays for no call twice. Beside the
replies it notes who asked for them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError
from paretune.files import canonical_json
from paretune.lm.ledger.accounts import Accounts, FileAccounts
from paretune.lm.ledger.attribution import current_caller
from paretune.lm.ledger.file import connect, deleted, inode, unusable
from paretune.lm.ledger.packing import Packer
from paretune.lm.ledger.rescue_file import RescueFile
from paretune.lm.ledger.session import Session
from paretune.lm.ledger.tables import CALLS, add_notes, atomically, read, store
from paretune.lm.ledger.values import reply_of, row_of
from paretune.lm.types import Reply

__all__ = ["Ledger", "Note"]

#: No call is sent with less than this free on the disk: its reply, and those in flight, must find room.
MIN_FREE_BYTES = 16 << 20

_COLUMNS = len(CALLS.split(","))
#: So many notes are written together.
_BATCH = 500

#: A row of the table of who asked: key, search, trial, example, module, replicate, valid, paid, at.
Note = tuple[str, str, str, str, str, int, bool, bool, float]


class Ledger:
    """Replies by key, who asked for them, and facts about models that are asked once (what a model supports)."""

    _lock: threading.RLock
    _connection: sqlite3.Connection | None
    _packer: Packer
    _closing: weakref.finalize[Any, Any] | None
    _inode: tuple[int, int] | None
    _notes: list[Note]
    _room_until: float

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.session = Session()
        self._rescue = RescueFile(self.path.with_name(f"{self.path.name}.rescue"))
        self._start_afresh()
        _all.add(self)

    @functools.cached_property
    def accounts(self) -> Accounts:
        """What budgets have spent and reserved."""
        return FileAccounts(self)

    def get(self, key: str) -> Reply | None:
        """The stored reply of a key, marked as served, at the cost that was charged; None when there is none."""
        reply = self._read(key, served=True)
        if reply is not None:
            self.session.served += 1
        return reply

    def put(self, key: str, model: str, request: dict[str, Any] | str, reply: Reply) -> Reply:
        """Store a reply that was just paid for (or that is ``served`` from elsewhere), and return the one that the file
        holds from now on.

        ``request`` is what the key stands for: JSON values, or their canonical text where the caller has it already.
        It outlives a kill of this process once this returns. The first reply of a key stays: where another process was
        faster, its reply is the one to go on with, or a rerun would see another. What SQLite cannot hold (half a
        character, numbers beyond 64 bits) is replaced, here as in the file. When the file cannot take it, a
        ConfigError says so, and the reply waits in the rescue file until the ledger is opened again.
        """
        self.session.add(reply)
        return self._put(row_of(key, model, request, reply), reply.served)

    def _put(self, row: tuple[Any, ...], served: bool) -> Reply:
        """Store a row; the reply that the file holds from now on."""
        key = row[0]
        try:
            with self._usable() as connection:
                is_first = store(connection, self._packer, row)
        except ConfigError as error:
            self._notes.clear()
            self._drop_connection()  # the next one takes in what was rescued
            raise ConfigError(f"{error}. {self._keep(row)}") from error.__cause__
        stored = None if is_first else self._read(key)
        return stored or reply_of((*row[3:6], *row[9:12], row[6], row[1], *row[7:9], row[13]), key, served)

    async def store(self, key: str, model: str, request: dict[str, Any] | str, reply: Reply) -> Reply:
        """``put``, in a ledger that is shared for all who share it. A reply is kept also where this is cancelled."""
        return self.put(key, model, request, reply)

    async def fetch(self, key: str) -> bool:
        """Get the reply of a key from those who share the ledger, where ``get`` has none; whether there is one."""
        return False

    async def claim(self, key: str) -> Reply | None:
        """Before a call is sent: the reply, where another machine has it; else this process may go on."""
        return None

    def release(self, key: str) -> None:
        """After a claimed call that brought no reply: others may try."""

    def note(self, reply: Reply, module: str, *, valid: bool, replicate: int = 0) -> None:
        """Note on whose behalf (see lm.ledger.attribution) a reply was asked for, and whether it validated.

        Notes are written in batches, so that a kill may lose the last ones; a repetition adds none.
        """
        if reply.key:
            search, trial, example = current_caller()
            who = (search or "", trial or "", example or "", module)
            self._notes.append((reply.key, *who, replicate, valid, not reply.served, time.time()))
            if len(self._notes) >= _BATCH:
                self.flush()

    def take_notes(self, notes: Iterable[Note]) -> None:
        """Add what another process has noted, and write it."""
        self._notes.extend(notes)
        self.flush()

    def flush(self) -> None:
        """Write the notes that wait. Where that fails they are dropped: they are worth less than what runs."""
        if self._notes:
            with self._lock:
                notes = self._notes[:]
                del self._notes[: len(notes)]
            with contextlib.suppress(ConfigError), self.transaction() as connection:
                add_notes(connection, notes)

    def fact(self, key: str) -> Any:
        """A remembered fact, or None."""
        row = self._execute("SELECT value FROM facts WHERE key = ?", (key,))
        return None if row is None else json.loads(row[0])

    def remember(self, key: str, value: Any, *, again: bool = False) -> Any:
        """Remember a fact and return it; the first value stays, so that keys made from it never change, unless it was
        found out ``again``."""
        verb = "REPLACE" if again else "IGNORE"
        self._execute(f"INSERT OR {verb} INTO facts VALUES (?, ?)", (key, canonical_json(value)))
        return self.fact(key)

    def check_room(self) -> None:
        """Raise ConfigError when the disk is nearly full: asked before a call is sent, so that nobody pays for a reply
        that cannot be kept. It looks at the disk once a second at most."""
        now = time.monotonic()
        if now < self._room_until:
            return
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self.path.parent).free
            if free < MIN_FREE_BYTES:
                raise ConfigError(
                    f"the disk of the ledger {str(self.path)!r} is nearly full ({free / 2**20:.1f} MiB free): no call "
                    f"is sent whose reply might be lost. Free {MIN_FREE_BYTES >> 20} MiB or more, then run again"
                )
        self._room_until = now + 1.0

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection inside ``BEGIN IMMEDIATE``: all of the block is stored, or nothing where it raises.

        Other threads wait meanwhile, so keep it short, and call no method of the ledger inside. Raises ConfigError when
        the file cannot be used.
        """
        with self._usable() as opened, atomically(opened) as connection:
            yield connection

    def close(self) -> None:
        """Write the notes that wait and close the database file; the next use opens it again."""
        self._drop_connection()

    def _read(self, key: str, served: bool = False) -> Reply | None:
        with self._usable() as connection:
            row = read(connection, key)
        return None if row is None else reply_of(row, key, served)

    def _execute(self, statement: str, values: tuple[Any, ...]) -> Any:
        with self._usable() as connection:
            return connection.execute(statement, values).fetchone()

    @contextlib.contextmanager
    def _usable(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone. Raises ConfigError when the file cannot be used, or is gone."""
        with self._lock:
            try:
                yield self._open()
            except (sqlite3.Error, OSError) as error:
                raise unusable(self.path, error) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # no room: check_room() will say so before anything is paid for
                self._rescue.prepare()
            connection = connect(self.path)
            try:
                self._packer = Packer()
                self._rescue.take(lambda rows: _store(connection, self._packer, rows))
                connection.execute("PRAGMA synchronous = NORMAL")
            except BaseException:
                connection.close()
                raise
            self._closing = weakref.finalize(self, _close, connection, self._notes)
            self._connection, self._inode = connection, inode(self.path)
        elif self._inode is None or inode(self.path) != self._inode:
            self._notes.clear()
            raise deleted(self.path)
        return self._connection

    def _keep(self, row: tuple[Any, ...]) -> str:
        """Put a row that the ledger could not take into the rescue file; say what became of it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)  # it may have been deleted
            try:
                self._rescue.keep(row)
            except OSError:  # the reply alone is shorter than with what was asked
                self._rescue.keep((*row[:2], "{}", *row[3:]))
        except OSError as error:
            return f"The reply that was just paid for is lost: {str(self._rescue.path)!r} could not take it ({error})"
        return f"The reply that was just paid for waits in {str(self._rescue.path)!r} for the next run"

    def _drop_connection(self) -> None:
        with self._lock:
            if self._closing is not None:
                self._closing()
            self._connection = self._closing = None

    def _start_afresh(self) -> None:
        """Nothing is open: at the start, and in a fork, whose parent's threads may hold the lock."""
        self._lock = threading.RLock()
        self._connection = self._closing = self._inode = None
        self._notes = []
        self._room_until = 0.0


def _store(connection: sqlite3.Connection, packer: Packer, rows: list[list[Any]]) -> None:
    with atomically(connection):
        for row in rows:
            store(connection, packer, (*row, None)[:_COLUMNS])  # some are of before the last column


def _close(connection: sqlite3.Connection, notes: list[Note]) -> None:
    """Close a connection (of a closed or forgotten ledger, or at the end of the process) after its last notes."""
    with contextlib.suppress(sqlite3.Error):
        if notes:
            with atomically(connection):
                add_notes(connection, notes)
            notes.clear()
    connection.close()


_all: weakref.WeakSet[Ledger] = weakref.WeakSet()
_held: list[Ledger] = []


def _before_fork() -> None:
    """SQLite must not have the file open in a fork: its locks, which are the parent's, would seem to be its own."""
    for ledger in list(_all):
        ledger._lock.acquire()
        _held.append(ledger)
        if ledger._connection is not None and not ledger._connection.in_transaction:
            ledger._drop_connection()


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop()._lock.release()


def _after_fork_in_child() -> None:
    while _held:
        _held.pop()._start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
