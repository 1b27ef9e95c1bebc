"""Looking into a ledger: which calls were made, by whom, at what cost; and deleting old ones."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from paretune.errors import ConfigError
from paretune.lm.ledger.file import connect, connect_read_only, is_busy, unusable
from paretune.lm.ledger.formats import create_views
from paretune.lm.ledger.tables import CALLS

__all__ = [
    "CallFilter", "Calls", "FileCalls", "Order", "Question", "Totals",
    "asked_by", "calls", "ids", "opened", "prune", "questions", "totals", "whole_call",
]  # fmt: skip

Order = Literal["newest", "expensive", "slow"]
_ORDERS: dict[Order, str] = {
    "newest": "c.created_at DESC",
    "expensive": "c.cost_usd DESC",
    "slow": "c.latency_s DESC",
}
_HEX = re.compile("[0-9a-f]+")
#: That a key, or the name of a search, starts with given letters: what lies between bounds, an index finds. (A stored
#: key is bytes or a text.)
_KEY_BEGINS = (
    "(c.stored_key BETWEEN :low AND :high OR c.stored_key BETWEEN :key AND :key || char(0x10FFFF))"
    " AND substr(c.key, 1, length(:key)) = :key"
)
_SEARCH_BEGINS = (
    "a.search BETWEEN :search AND :search || char(0x10FFFF) AND substr(a.search, 1, length(:search)) = :search"
)


@dataclass(frozen=True)
class CallFilter:
    """Which calls are meant: those that fulfil all that is given.

    ``key`` and ``search`` are how these names start, ``model`` is a part of the name, ``trial`` a number (``7`` is
    ``0007`` too); ``invalid``: the reply did not validate; made at ``since`` or later, earlier than ``before`` (seconds
    since 1970).
    """

    key: str | None = None
    model: str | None = None
    search: str | None = None
    trial: str | None = None
    invalid: bool = False
    since: float | None = None
    before: float | None = None

    def condition(self) -> str:
        """As SQL about a row ``c`` of the calls (see ``formats.create_views``), with ``parameters``."""
        conditions = [
            _KEY_BEGINS if self.key is not None else "",
            "instr(c.model, :model) > 0" if self.model is not None else "",
            "c.created_at >= :since" if self.since is not None else "",
            "c.created_at < :before" if self.before is not None else "",
        ]
        if asked := self.asked_condition():
            conditions.append(f"c.id IN (SELECT a.reply FROM asked a WHERE {asked})")
        return " AND ".join(filter(None, conditions)) or "1"

    def asked_condition(self) -> str:
        """The part about a row ``a`` of who asked."""
        conditions = [
            _SEARCH_BEGINS if self.search is not None else "",
            "a.trial <> '' AND ltrim(a.trial, '0') = ltrim(:trial, '0')" if self.trial is not None else "",
            "NOT a.valid" if self.invalid else "",
        ]
        return " AND ".join(filter(None, conditions))

    def parameters(self) -> dict[str, Any]:
        """This object's fields, and between which bytes a key lies that starts like ``key``."""
        even = self.key[: len(self.key) // 2 * 2] if self.key is not None and _HEX.fullmatch(self.key) else "00"
        low = bytes.fromhex(even)
        return {**vars(self), "low": low, "high": low + b"\xff" * 32}


class Totals(NamedTuple):
    """How many calls of a model there are and what they took; ``unpriced`` is how many have no known cost."""

    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    unpriced: int


class Question(NamedTuple):
    """A call for an example of a search; ``request`` is its canonical JSON."""

    example: int
    trial: str
    replicate: int
    module: str
    model: str
    request: str
    reply: str
    finish_reason: str | None
    created_at: float


class Calls(Protocol):
    """Calls that can be looked at, wherever they are kept."""

    def listed(self, which: CallFilter, order: Order, limit: int) -> Iterator[tuple[Mapping[str, Any], list[Any]]]:
        """The calls that are meant, without what was asked and answered, each with who asked for it."""

    def whole(self, which: CallFilter, order: Order = "newest", limit: int | None = None) -> Iterator[dict[str, Any]]:
        """All that is known about the calls that are meant: JSON values, with ``asked_by``."""

    def totals(self, which: CallFilter) -> list[Totals]:
        """What the calls that are meant took, by model."""


class FileCalls:
    """The calls in a file that is ``opened``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def listed(self, which: CallFilter, order: Order, limit: int) -> Iterator[tuple[Mapping[str, Any], list[Any]]]:
        for row in calls(self._connection, list(ids(self._connection, which, order, limit))):
            yield dict(row), asked_by(self._connection, row["id"], which)

    def whole(self, which: CallFilter, order: Order = "newest", limit: int | None = None) -> Iterator[dict[str, Any]]:
        return (whole_call(self._connection, one) for one in ids(self._connection, which, order, limit))

    def totals(self, which: CallFilter) -> list[Totals]:
        return totals(self._connection, which)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The ledger for reading only, as it is at this moment. Raises ConfigError when it cannot be read."""
    connection: sqlite3.Connection | None = None
    try:
        connection = connect_read_only(path)
        connection.row_factory = sqlite3.Row
        yield connection
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    finally:
        if connection is not None:
            connection.close()


def ids(
    connection: sqlite3.Connection, which: CallFilter, order: Order = "newest", limit: int | None = None
) -> Iterator[Any]:
    """What names the calls that are meant, at most ``limit``, in this connection."""
    statement = f"SELECT c.id FROM calls c WHERE {which.condition()} ORDER BY {_ORDERS[order]}, c.id DESC LIMIT :limit"
    for row in connection.execute(statement, which.parameters() | {"limit": -1 if limit is None else limit}):
        yield row[0]


def calls(connection: sqlite3.Connection, found: Iterable[Any]) -> Iterator[sqlite3.Row]:
    """The calls with these ids without what was asked and answered, in their order."""
    for one in found:
        yield connection.execute(
            "SELECT id, key, model, prompt_tokens, completion_tokens, latency_s, cost_usd, attempts, created_at"
            " FROM calls WHERE id = ?",
            (one,),
        ).fetchone()


def asked_by(connection: sqlite3.Connection, one: Any, which: CallFilter | None = None) -> list[dict[str, Any]]:
    """Who asked for the call of an id (of those that ``which`` means), the first one first; ``paid`` is True of one of
    them."""
    which = which or CallFilter()
    condition = which.asked_condition() or "1"
    rows = connection.execute(
        "SELECT a.search, a.trial, a.example, a.module, a.replicate, a.valid, a.paid, a.at FROM asked a"
        f" WHERE a.reply = :this AND {condition} ORDER BY a.at, a.search, a.trial, a.example, a.module",
        which.parameters() | {"this": one},
    )
    return [dict(row) | {"valid": bool(row["valid"]), "paid": bool(row["paid"])} for row in rows]


def whole_call(connection: sqlite3.Connection, one: Any) -> dict[str, Any]:
    """All that is known about the call of an id: JSON values, with ``asked_by``."""
    row = dict(connection.execute("SELECT * FROM calls WHERE id = ?", (one,)).fetchone())
    row |= dict(zip(("reply", "finish_reason", "usage", "price", "reasoning"), json.loads(row["answer"]), strict=True))
    for name in ("request", "usage", "price"):
        row[name] = None if row[name] is None else json.loads(row[name])
    return {name: row[name] for name in CALLS.split(", ")} | {"asked_by": asked_by(connection, one)}


def questions(connection: sqlite3.Connection, search: str, part: str) -> Iterator[Question]:
    """What a search asked for the examples of a part of the data (``val``), the first example first."""
    found = connection.execute(
        "SELECT CAST(substr(example, length(:part) + 2) AS INTEGER), trial, replicate, module, reply FROM asked"
        " WHERE search = :search AND substr(example, 1, length(:part) + 1) = :part || '/' ORDER BY 1, stored_key",
        {"search": search, "part": part},
    )
    for example, trial, replicate, module, one in found:  # sorted without their texts, which may fill gigabytes
        call = connection.execute("SELECT model, request, answer, created_at FROM calls WHERE id = ?", (one,))
        if (row := call.fetchone()) is not None:
            reply, finish, *_ = json.loads(row["answer"])
            sent = (row["model"], row["request"], reply, finish, row["created_at"])
            yield Question(example, trial, replicate, module, *sent)


def totals(connection: sqlite3.Connection, which: CallFilter) -> list[Totals]:
    """What the calls that are meant took, by model."""
    rows = connection.execute(
        "SELECT c.model, COUNT(*), CAST(TOTAL(c.prompt_tokens) AS INTEGER),"
        " CAST(TOTAL(c.completion_tokens) AS INTEGER), TOTAL(c.cost_usd),"
        f" COUNT(*) - COUNT(c.cost_usd) FROM calls c WHERE {which.condition()} GROUP BY c.model_id ORDER BY c.model",
        which.parameters(),
    )
    return [Totals(*row) for row in rows]


def prune(path: Path, which: CallFilter) -> int:
    """Delete the calls that are meant and give their space back; return how many they were.

    Raises ConfigError when another process has the ledger open: a running search goes by what it holds.
    """
    try:
        with contextlib.closing(connect(path)):
            pass  # a file of an older paretune gets the tables that are new
        with contextlib.closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            create_views(connection)
            connection.execute("BEGIN EXCLUSIVE")
            deleted = connection.execute(
                f"DELETE FROM replies WHERE id IN (SELECT c.id FROM calls c WHERE {which.condition()})",
                which.parameters(),
            ).rowcount
            connection.execute("DELETE FROM notes WHERE reply NOT IN (SELECT id FROM replies)")
            connection.execute("DELETE FROM frames WHERE id NOT IN (SELECT frame FROM replies WHERE frame IS NOT NULL)")
            connection.execute("COMMIT")
            connection.execute("VACUUM")
            return deleted
    except sqlite3.Error as error:
        if is_busy(error):
            raise ConfigError(
                f"another process uses the ledger {str(path)!r}: nothing was deleted; run again when it has ended"
            ) from error
        raise unusable(path, error) from error
