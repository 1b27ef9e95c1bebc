"""The formats of the ledger's file: tables that are created, those of an older paretune that are taken over, and one
view of either for readers."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path

from paretune.lm.ledger.packing import Packer, unpacked
from paretune.lm.ledger.tables import (
    CALLS,
    NOTES,
    TABLES,
    add_notes,
    answer_text,
    atomically,
    key_text,
    store,
    stored_key,
)

__all__ = ["create_tables", "create_views", "take_over"]

#: So many rows of an older format are moved in one transaction: others wait meanwhile.
_BATCH = 1_000
#: Above this size, in bytes, taking a file over is announced; below it, the space that this frees is given back.
_LARGE = 1 << 30

_CALLS_VIEW = """
    SELECT r.id AS id, r.key AS stored_key, key_text(r.key) AS key, r.model AS model_id, m.name AS model,
        unpacked(r.request, r.shared, f.request) AS request, unpacked(r.answer, 0, f.answer) AS answer,
        r.prompt_tokens AS prompt_tokens, r.completion_tokens AS completion_tokens, r.cost_usd AS cost_usd,
        r.latency_s AS latency_s, r.attempts AS attempts, r.created_at AS created_at
    FROM replies r LEFT JOIN names m ON m.id = r.model LEFT JOIN frames f ON f.id = r.frame
"""
_NOTES_VIEW = """
    SELECT n.reply AS reply, key_text(r.key) AS key, r.key AS stored_key, s.name AS search, n.trial AS trial,
        n.example AS example, m.name AS module, n.replicate AS replicate, n.valid AS valid, n.paid AS paid, n.at AS at
    FROM notes n JOIN names s ON s.id = n.search JOIN names m ON m.id = n.module LEFT JOIN replies r ON r.id = n.reply
"""
# The same of format 1, where an amount that is not known was 0, and null in the account. An id is no number there.
_OLD_CALLS_VIEW = """
    UNION ALL SELECT '=' || key, stored_key(key), key, model, model, request,
        answer_text(reply, finish_reason, usage, price, {reasoning}),
        {amounts[0]}, {amounts[1]}, cost_usd, {amounts[2]}, attempts, created_at
    FROM main.calls
"""
_OLD_NOTES_VIEW = """
    UNION ALL SELECT COALESCE((SELECT r.id FROM replies r WHERE r.key = stored_key(a.key)), '=' || a.key), a.key,
        stored_key(a.key), a.search, a.trial, a.example, a.module, a.replicate, a.valid, a.paid, a.at
    FROM main.asked a
"""


def create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables that are missing."""
    present = _present(connection)
    for name, declaration in TABLES.items():
        if name not in present:
            connection.execute(f"CREATE {declaration}")


def create_views(connection: sqlite3.Connection) -> None:
    """Make ``calls`` and ``asked`` what a reader sees of calls and of who asked, whichever format the file has.

    They are views of this connection alone. ``id`` and ``reply`` name a call in it; the SQL function ``stored_key``
    gives a key as the column of this name has it.
    """
    for function in (unpacked, key_text, stored_key, answer_text):
        connection.create_function(function.__name__, -1, function, deterministic=True)
    present = _present(connection)
    for name in TABLES.keys() - present:  # of an older paretune, or of a creation that did not end
        if TABLES[name].startswith("TABLE"):
            connection.execute(f"CREATE TEMP {TABLES[name]}")
    calls, notes = _CALLS_VIEW, _NOTES_VIEW
    if "calls" in present:
        amounts = [
            f"CASE WHEN json_type(usage, '$.{name}') = 'null' THEN NULL ELSE {name} END"
            for name in ("prompt_tokens", "completion_tokens", "latency_s")
        ]
        calls += _OLD_CALLS_VIEW.format(reasoning=_reasoning(connection), amounts=amounts)
    if "asked" in present:
        notes += _OLD_NOTES_VIEW
    connection.execute(f"CREATE TEMP VIEW calls AS {calls}")
    connection.execute(f"CREATE TEMP VIEW asked AS {notes}")


def take_over(connection: sqlite3.Connection, path: Path) -> None:
    """Move what is in the tables of format 1, which had requests and replies as they are, to those of now.

    It goes on where a kill has ended it, and several processes may do it at once. A process of an older paretune that
    has the file open may still add to those tables meanwhile; afterwards it cannot.
    """
    if "calls" not in _present(connection):
        return
    if path.stat().st_size > _LARGE:
        print(f"note: the ledger {str(path)!r} is rewritten once, to take less space", file=sys.stderr)
    packer = Packer()
    while "calls" in _present(connection):
        with atomically(connection):
            if "calls" in (present := _present(connection)) and not (
                _move_calls(connection, packer) or ("asked" in present and _move_notes(connection))
            ):
                connection.execute("DROP TABLE calls")
                connection.execute("DROP TABLE IF EXISTS asked")
    pages, free, size = (
        connection.execute(f"PRAGMA {n}").fetchone()[0] for n in ("page_count", "freelist_count", "page_size")
    )
    if (pages - free) * size < _LARGE:
        with contextlib.suppress(sqlite3.OperationalError):  # another process is at it, or there is no room
            connection.execute("VACUUM")


def _move_calls(connection: sqlite3.Connection, packer: Packer) -> bool:
    """Move some calls, the oldest first, so that those that are alike come together; whether there were any."""
    connection.execute("CREATE INDEX IF NOT EXISTS calls_by_time ON calls (created_at)")
    columns = CALLS.replace("reasoning", _reasoning(connection))
    rows = connection.execute(f"SELECT {columns} FROM calls ORDER BY created_at LIMIT {_BATCH}").fetchall()
    for row in rows:
        store(connection, packer, row)
    connection.executemany("DELETE FROM calls WHERE key = ?", [row[:1] for row in rows])
    return bool(rows)


def _move_notes(connection: sqlite3.Connection) -> bool:
    """Move some notes; whether there were any."""
    rows = connection.execute(f"SELECT {NOTES} FROM asked LIMIT {_BATCH}").fetchall()
    add_notes(connection, rows)
    same = " AND ".join(f"{name} = ?" for name in ("key", "search", "trial", "example", "module"))
    connection.executemany(f"DELETE FROM asked WHERE {same}", [row[:5] for row in rows])
    return bool(rows)


def _present(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM main.sqlite_master")}


def _reasoning(connection: sqlite3.Connection) -> str:
    """The column of the models' reasoning in the table of calls, which its first version did not have."""
    columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('calls', 'main')")}
    return "reasoning" if "reasoning" in columns else "NULL"
