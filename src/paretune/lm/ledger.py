"""The ledger: every reply that was paid for, kept before it is used.

One SQLite file (WAL), shared by all experiments and processes of a project. A reply is found again by a key over
everything that determines it, so a rerun, a resume after a kill, or a larger search pays for no call twice.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError
from paretune.files import canonical_json, state_root
from paretune.lm.types import Reply

__all__ = ["Ledger", "Session", "default_ledger"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    key TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    request TEXT NOT NULL,
    reply TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    finish_reason TEXT,
    usage TEXT,
    price TEXT,
    cost_usd REAL,
    latency_s REAL NOT NULL,
    attempts INTEGER NOT NULL,
    created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""


@dataclass
class Session:
    """What this process has done: calls that were sent and paid for, their cost, and calls that the ledger served."""

    paid: int = 0
    spent_usd: float = 0.0
    served: int = 0


class Ledger:
    """Replies by key, and facts about models that are asked once (what a model supports)."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.session = Session()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened_by = 0

    def get(self, key: str) -> Reply | None:
        """The stored reply of a key, marked as served; None when there is none."""
        reply = self._read(key)
        if reply is None:
            return None
        self.session.served += 1
        return replace(reply, served=True)

    def put(
        self,
        key: str,
        model: str,
        request: dict[str, Any],
        reply: Reply,
        *,
        usage: dict[str, Any] | None = None,
        price: dict[str, Any] | None = None,
    ) -> Reply:
        """Store a reply that was just paid for, and return the one that the file holds from now on.

        It outlives a kill of this process once this returns. The first reply of a key stays: where another process was
        faster, its reply is the one to go on with, or a rerun would see another.
        """
        self._execute(
            "INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                model,
                canonical_json(request),
                reply.text,
                reply.prompt_tokens,
                reply.completion_tokens,
                reply.finish_reason,
                None if usage is None else canonical_json(usage),
                None if price is None else canonical_json(price),
                reply.cost_usd,
                reply.latency_s,
                reply.attempts,
                time.time(),
            ),
        )
        self.session.paid += 1
        self.session.spent_usd += reply.cost_usd or 0.0
        return self._read(key) or reply

    def fact(self, key: str) -> Any:
        """A remembered fact, or None."""
        row = self._execute("SELECT value FROM facts WHERE key = ?", (key,))
        return None if row is None else json.loads(row[0])

    def remember(self, key: str, value: Any) -> Any:
        """Remember a fact and return it; the first value stays, so that keys made from it never change."""
        self._execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (key, canonical_json(value)))
        return self.fact(key)

    def close(self) -> None:
        """Close the database file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _read(self, key: str) -> Reply | None:
        row = self._execute(
            "SELECT reply, prompt_tokens, completion_tokens, cost_usd, latency_s, attempts, finish_reason"
            " FROM calls WHERE key = ?",
            (key,),
        )
        return None if row is None else Reply(*row)

    def _execute(self, statement: str, values: tuple[Any, ...]) -> Any:
        with self._lock:
            try:
                return self._open().execute(statement, values).fetchone()
            except (sqlite3.Error, OSError) as error:
                raise ConfigError(
                    f"the ledger {str(self.path)!r} cannot be used: {error}; it was left as it is. "
                    "Free disk space, or move the file away, then run again"
                ) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or self._opened_by != os.getpid():  # a fork must not share a connection
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, _close_own, connection, os.getpid())
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            self._connection, self._opened_by = connection, os.getpid()
        return self._connection


def _close_own(connection: sqlite3.Connection, opened_by: int) -> None:
    """Close a forgotten ledger's connection, but not the parent's in a fork: that would give up the parent's locks."""
    if os.getpid() == opened_by:
        connection.close()


_ledgers: dict[Path, Ledger] = {}


def default_ledger() -> Ledger:
    """The ledger of the project (``.paretune/ledger.sqlite``, see files.state_root), one object a file."""
    path = (state_root() / "ledger.sqlite").absolute()
    return _ledgers.setdefault(path, Ledger(path))
