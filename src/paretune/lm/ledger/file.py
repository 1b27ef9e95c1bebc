"""The file of the ledger: how it is opened, and what is said when it cannot be used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from paretune.errors import ConfigError
from paretune.lm.ledger.formats import create_tables, create_views, take_over
from paretune.lm.ledger.tables import atomically

__all__ = ["connect", "connect_read_only", "deleted", "inode", "is_busy", "unusable"]

#: Seconds to wait for another process's writing; the event loop stands still meanwhile.
LOCK_TIMEOUT_S = 10.0
#: Pages of 4 KiB that the log holds before it is moved into the file: meanwhile no call goes on, for it syncs the disk.
_LOG_PAGES = 4_000

VERSION = 2


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for reading and writing, in autocommit mode; its tables are created where they are missing.

    Whatever an earlier creation left behind that was killed or found no room, the next one goes on from it. Raises
    sqlite3.Error, or ConfigError for a file of a newer paretune.
    """
    return _patiently(lambda: _connected(path))


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open the file inside a transaction that sees it as it is at this moment; missing tables are empty ones.

    Raises sqlite3.Error, or ConfigError for a file of a newer paretune.
    """
    return _patiently(lambda: _connected_read_only(path))


def _patiently(open_: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    """Open again for a while: SQLite does not wait while another process creates the log or clears it away."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            return open_()
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(0.005)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    with _closed_on_error(connection):
        version = _check_version(connection, path)  # a newer file is left as it is
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        if version < VERSION:
            with atomically(connection):
                if _check_version(connection, path) < VERSION:  # else another process was faster
                    create_tables(connection)
                    connection.execute(f"PRAGMA user_version = {VERSION}")
        take_over(connection, path)
    return connection


def _connected_read_only(path: Path) -> sqlite3.Connection:
    place = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(place, uri=True, timeout=LOCK_TIMEOUT_S, isolation_level=None)
    with _closed_on_error(connection):
        connection.execute("BEGIN")
        _check_version(connection, path)
        create_views(connection)
    return connection


@contextlib.contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def is_busy(error: BaseException) -> bool:
    """Whether it is a lock of another connection that stands in the way."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file's tables; a newer one than this paretune knows is a ConfigError."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise ConfigError(
            f"the ledger {str(path)!r} has format {version}, this paretune knows formats up to {VERSION}: "
            "update paretune, or set PARETUNE_HOME to another folder"
        )
    return version


def inode(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one at its path (device, inode); None where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def deleted(path: Path) -> ConfigError:
    """The file is no longer at its path, while it is open: SQLite would go on writing to what nobody can find."""
    return ConfigError(
        f"the ledger {str(path)!r} was deleted or replaced while this run had it open: the replies in it are lost, and "
        "no more are written to it. Put a copy of it back if you have one, then run again: calls whose replies are "
        "gone are paid for again"
    )


def unusable(path: Path, error: Exception) -> ConfigError:
    """What is wrong with the file, and what can be done about it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if is_busy(error):
        cure = "Another process is writing to it: let it end, then run again"
    elif code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        cure = (
            "It is damaged: move it away with its -wal and -shm files (its .rescue file may stay) and run again; "
            f"`sqlite3 {path.name} .recover | sqlite3 recovered.sqlite` saves what can be read"
        )
    elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        cure = "Make the folder and the file writable, then run again"
    elif code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        cure = "Free disk space, then run again"
    else:
        cure = "Move it away with its -wal and -shm files, then run again"
    return ConfigError(f"the ledger {str(path)!r} cannot be used: {error}; it was left as it is. {cure}")
