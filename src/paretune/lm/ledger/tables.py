"""The tables of the ledger's file: what is in a row, and how it is written and read."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from paretune.lm.ledger.packing import Packer, unpacked
from paretune.lm.ledger.values import AMOUNTS

__all__ = [
    "CALLS",
    "NOTES",
    "TABLES",
    "add_notes",
    "answer_text",
    "atomically",
    "key_text",
    "known_amounts",
    "read",
    "store",
    "stored_key",
]

#: What is known of a call: the order of the values that ``store`` takes.
CALLS = (
    "key, model, request, reply, prompt_tokens, completion_tokens, finish_reason, usage, price, cost_usd, latency_s,"
    " attempts, created_at, reasoning"
)
#: What is known of who asked: the order of the values that ``add_notes`` takes. What is not known is empty.
NOTES = "key, search, trial, example, module, replicate, valid, paid, at"

#: The tables, and the indexes on them, by name. Rows of ``replies`` are in the order of their arrival; the index by
#: time has all that listings and sums need, so that these do not read requests and replies.
TABLES = {
    "replies": """TABLE replies (
        id INTEGER PRIMARY KEY,
        key NOT NULL UNIQUE,
        model INTEGER NOT NULL,
        created_at REAL NOT NULL,
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        cost_usd REAL,
        latency_s REAL,
        attempts INTEGER NOT NULL,
        frame INTEGER,
        shared INTEGER NOT NULL,
        request BLOB NOT NULL,
        answer BLOB NOT NULL
    )""",
    "replies_by_time": "INDEX replies_by_time ON replies"
    " (created_at, model, prompt_tokens, completion_tokens, cost_usd, latency_s)",
    "frames": "TABLE frames (id INTEGER PRIMARY KEY, request BLOB NOT NULL, answer BLOB NOT NULL)",
    "names": "TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "notes": """TABLE notes (
        reply INTEGER NOT NULL,
        search INTEGER NOT NULL,
        trial TEXT NOT NULL,
        example TEXT NOT NULL,
        module INTEGER NOT NULL,
        replicate INTEGER NOT NULL,
        valid INTEGER NOT NULL,
        paid INTEGER NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (reply, search, trial, example, module)
    ) WITHOUT ROWID""",
    "notes_by_search": "INDEX notes_by_search ON notes (search)",
    "facts": "TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
}

_READ = (
    "SELECT r.prompt_tokens, r.completion_tokens, r.cost_usd, r.latency_s, r.attempts, m.name, r.answer, f.answer"
    " FROM replies r JOIN names m ON m.id = r.model LEFT JOIN frames f ON f.id = r.frame WHERE r.key = ?"
)
_NAME = "INSERT INTO names (name) VALUES (?) ON CONFLICT DO NOTHING"
_STORE = (
    "INSERT INTO replies (key, model, created_at, prompt_tokens, completion_tokens, cost_usd, latency_s, attempts,"
    " frame, shared, request, answer) VALUES (?, (SELECT id FROM names WHERE name = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (key) DO NOTHING"
)
_NOTE = (
    "INSERT INTO notes SELECT r.id, s.id, ?, ?, m.id, ?, ?, ?, ? FROM replies r, names s, names m"
    " WHERE r.key = ? AND s.name = ? AND m.name = ? ON CONFLICT DO NOTHING"
)
_DIGEST = re.compile("[0-9a-f]{64}")


@contextlib.contextmanager
def atomically(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All that the block writes is stored, or nothing where it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors have undone it already
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def stored_key(key: str) -> bytes | str:
    """A key as the file has it: digests take half the space as bytes."""
    return bytes.fromhex(key) if _DIGEST.fullmatch(key) else key


def key_text(stored: bytes | str) -> str:
    """The key that is stored like this."""
    return stored.hex() if isinstance(stored, bytes) else stored


def answer_text(reply: str, finish: str | None, usage: str | None, price: str | None, reasoning: str | None) -> str:
    """What came back, as the one JSON text that is packed."""
    return json.dumps([reply, finish, usage, price, reasoning], ensure_ascii=False, separators=(",", ":"))


def store(connection: sqlite3.Connection, packer: Packer, row: Sequence[Any]) -> bool:
    """Store a call, the values of ``CALLS``, unless its key has a reply; whether it was stored."""
    key, model, request, reply, *amounts, finish, usage, price, cost, latency, attempts, created_at, reasoning = row
    packed = packer.pack(connection, request, answer_text(reply, finish, usage, price, reasoning))
    if model not in packer.names:
        connection.execute(_NAME, (model,))
    prompt, completion, latency = known_amounts(usage, (*amounts, latency))
    values = (stored_key(key), model, created_at, prompt, completion, cost, latency, attempts, *packed)
    is_first = connection.execute(_STORE, values).rowcount > 0
    packer.names.add(model)
    return is_first


def read(connection: sqlite3.Connection, key: str) -> tuple[Any, ...] | None:
    """The ``COLUMNS`` of a key's reply (see ``values.reply_of``); None when there is none."""
    row = connection.execute(_READ, (stored_key(key),)).fetchone()
    if row is None:
        return None
    *amounts, model, answer, frame = row
    reply, finish, usage, price, reasoning = json.loads(unpacked(answer, 0, frame))
    return (reply, *amounts, finish, model, usage, price, reasoning)


def add_notes(connection: sqlite3.Connection, notes: Iterable[Sequence[Any]]) -> None:
    """Add notes on replies that are stored, the values of ``NOTES``; a repetition adds none."""
    notes = list(notes)
    connection.executemany(_NAME, [(name,) for name in sorted({name for note in notes for name in (note[1], note[4])})])
    connection.executemany(
        _NOTE,
        [
            (trial, example, *how, stored_key(key), search, module)
            for key, search, trial, example, module, *how in notes
        ],
    )


def known_amounts(usage: str | None, amounts: Sequence[Any]) -> list[Any]:
    """Amounts, None for those that nobody knows (see ``values.with_unknown``)."""
    account = json.loads(usage) if usage is not None and "null" in usage else None
    if not isinstance(account, dict):
        return list(amounts)
    unknown = [name in account and account[name] is None for name in AMOUNTS]
    return [None if is_unknown else amount for is_unknown, amount in zip(unknown, amounts, strict=True)]
