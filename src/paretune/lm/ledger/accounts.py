"""What budgets have spent and reserved, in the file of the ledger."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from paretune.lm.ledger.leases import keep_renewing
from paretune.lm.ledger.processes import is_dead, this_process

if TYPE_CHECKING:
    from paretune.lm.ledger.ledger import Ledger

__all__ = ["Accounts", "Caps", "FileAccounts", "Spent", "Standing", "short_of"]

#: The most calls, tokens and US dollars; None: no cap.
Caps = Mapping[str, float | None]

_TABLES = (
    """CREATE TABLE IF NOT EXISTS budget_spent (
        account TEXT PRIMARY KEY, calls INTEGER NOT NULL, tokens INTEGER NOT NULL, usd REAL NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS budget_reserved (
        id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, owner TEXT NOT NULL, since REAL NOT NULL,
        calls INTEGER NOT NULL, tokens INTEGER NOT NULL, usd REAL NOT NULL
    )""",
)
#: A sum of many prices is off by less than this share.
ROUNDING = 1e-9


class Spent(NamedTuple):
    """Calls (attempts), tokens (of prompts and completions), US dollars."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0


class Standing(NamedTuple):
    """Whether something was reserved; where it was not, what the account has spent and what is in flight."""

    reserved: bool
    spent: Spent
    held: Spent


class Accounts(Protocol):
    """Where the accounts of budgets are: all who share them keep one cap."""

    async def reserve(self, account: str, caps: Caps, most: Spent, ticket: str) -> Standing:
        """Reserve ``most`` under a ticket of one's own, unless a cap could be passed. What dead processes had in flight
        counts as spent in full."""

    def settle(self, account: str, ticket: str, took: Spent) -> None:
        """End a reservation with what it took; one that was taken for dead was counted in full."""

    def spent(self, account: str) -> Spent:
        """What the account has spent until now, without what is in flight."""


def short_of(caps: Caps, *parts: Spent) -> str | None:
    """The cap that the sum of the parts passes; None where none is."""
    for position, (name, cap) in enumerate(caps.items()):
        if cap is not None and sum(part[position] for part in parts) > cap * (1 + ROUNDING):
            return name
    return None


class FileAccounts:
    """The accounts in the file of a ledger. A process renews what it has reserved, by which other machines know that it
    lives."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._has_tables = False
        #: The rows of what this process has reserved, by ticket.
        self._held: dict[str, int] = {}

    async def reserve(self, account: str, caps: Caps, most: Spent, ticket: str) -> Standing:
        with self._transaction() as connection:
            spent, held = _sums(connection, account)
            if short_of(caps, spent, held, most) and held.calls and _settle_dead(connection, account):
                spent, held = _sums(connection, account)
            if short_of(caps, spent, held, most):
                return Standing(False, spent, held)
            values = (account, this_process(), time.time(), *most)
            row = connection.execute("INSERT INTO budget_reserved VALUES (NULL, ?, ?, ?, ?, ?, ?)", values).lastrowid
        self._held[ticket] = row or 0
        keep_renewing(self)
        return Standing(True, spent, held)

    def settle(self, account: str, ticket: str, took: Spent) -> None:
        row = self._held.pop(ticket)
        with self._ledger.transaction() as connection:
            if connection.execute("DELETE FROM budget_reserved WHERE id = ?", (row,)).rowcount:
                _spend(connection, account, took)

    def spent(self, account: str) -> Spent:
        with self._transaction() as connection:
            _settle_dead(connection, account)
            return _sums(connection, account)[0]

    def renew(self) -> None:
        """Tell other machines that this process lives."""
        if self._held:
            with self._ledger.transaction() as connection:
                statement = "UPDATE budget_reserved SET since = ? WHERE owner = ?"
                connection.execute(statement, (time.time(), this_process()))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._ledger.transaction() as connection:
            if not self._has_tables:
                for statement in _TABLES:
                    connection.execute(statement)
            yield connection
        self._has_tables = True


def _sums(connection: sqlite3.Connection, account: str) -> tuple[Spent, Spent]:
    """What an account has spent and reserved."""
    spent, held = (
        Spent(
            *connection.execute(
                "SELECT COALESCE(SUM(calls), 0), COALESCE(SUM(tokens), 0), COALESCE(SUM(usd), 0.0)"
                f" FROM {table} WHERE account = ?",
                (account,),
            ).fetchone()
        )
        for table in ("budget_spent", "budget_reserved")
    )
    return spent, held


def _spend(connection: sqlite3.Connection, account: str, took: Spent) -> None:
    connection.execute(
        "INSERT INTO budget_spent VALUES (?, ?, ?, ?) ON CONFLICT (account) DO UPDATE SET"
        " calls = calls + excluded.calls, tokens = tokens + excluded.tokens, usd = usd + excluded.usd",
        (account, *took),
    )


def _settle_dead(connection: sqlite3.Connection, account: str) -> bool:
    """Count what dead processes had in flight as spent in full; whether there was any."""
    statement = "SELECT id, owner, since, calls, tokens, usd FROM budget_reserved WHERE account = ?"
    dead = [row for row in connection.execute(statement, (account,)).fetchall() if is_dead(row[1], row[2])]
    for id_, _, _, *took in dead:
        connection.execute("DELETE FROM budget_reserved WHERE id = ?", (id_,))
        _spend(connection, account, Spent(*took))
    return bool(dead)
