"""What the file of a ledger holds, and files as an older paretune made them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from paretune.lm.ledger.queries import CallFilter, ids, opened, whole_call

__all__ = ["format_1", "notes", "replies", "stored"]

_CALLS = """CREATE TABLE calls (key TEXT PRIMARY KEY, model TEXT NOT NULL, request TEXT NOT NULL, reply TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, finish_reason TEXT, usage TEXT, price TEXT,
    cost_usd REAL, latency_s REAL NOT NULL, attempts INTEGER NOT NULL, created_at REAL NOT NULL{}) WITHOUT ROWID"""
_ASKED = """CREATE TABLE asked (key TEXT NOT NULL, search TEXT NOT NULL, trial TEXT NOT NULL, example TEXT NOT NULL,
    module TEXT NOT NULL, replicate INTEGER NOT NULL, valid INTEGER NOT NULL, paid INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (key, search, trial, example, module)) WITHOUT ROWID"""


def stored(path: Path) -> dict[str, dict[str, Any]]:
    """All that is known of each call, by its key."""
    with opened(path) as connection:
        calls = [whole_call(connection, one) for one in list(ids(connection, CallFilter()))]
    return {call["key"]: call for call in sorted(calls, key=lambda call: call["key"])}


def replies(path: Path) -> dict[str, str]:
    """The text of each reply, by its key."""
    return {key: call["reply"] for key, call in stored(path).items()}


def notes(path: Path, columns: str) -> list[tuple[Any, ...]]:
    """Columns of who asked, in order."""
    with opened(path) as connection:
        return sorted(tuple(row) for row in connection.execute(f"SELECT {columns} FROM asked"))


def format_1(
    path: Path,
    calls: Iterable[tuple[Any, ...]] = (),
    asked: Iterable[tuple[Any, ...]] | None = (),
    *,
    reasoning: bool = True,
) -> None:
    """A ledger of format 1 with these rows. The first files had neither a table of who asked (``asked=None``) nor the
    column of reasoning."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        connection.execute(_CALLS.format(", reasoning TEXT" if reasoning else ""))
        connection.execute("CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        connection.execute("INSERT INTO facts VALUES ('f', '7')")
        if asked is not None:
            connection.execute(_ASKED)
            connection.executemany("INSERT INTO asked VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", asked)
        marks = ", ".join("?" * (14 if reasoning else 13))
        connection.executemany(f"INSERT INTO calls VALUES ({marks})", calls)
        connection.execute(f"PRAGMA user_version = {int(reasoning)}")
    connection.close()
