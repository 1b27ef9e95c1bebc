"""A connection to PostgreSQL in a thread of its own: an event loop that waits for the network is not held up.

Statements that wait there and have a place are sent as one text, in one round trip. That is one transaction, which
never waits for this process in the middle. Its statements come in the order of their places, so that no two processes
wait for each other's rows. Where one fails, each is done alone. So each may be repeated: then it does no more.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from paretune.errors import ConfigError
from paretune.lm.ledger.away import AwayError
from paretune.lm.masking import masked

if TYPE_CHECKING:
    import psycopg

__all__ = ["GRANT", "Database", "Place", "Rows"]

Rows = list[tuple[Any, ...]]
#: Which rows a statement comes to: a table, and a key.
Place = tuple[int, str]

FORMAT = 1
#: A connection whose other end says nothing is given up after about ten seconds, not hours.
_KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000,
}  # fmt: skip
#: Seconds until a server that is away is looked for again, that a connection may take, and that its end may.
_PAUSE_S, _CONNECT_S, _CLOSE_S = 0.2, 5, 15.0
#: So many statements go together.
_TOGETHER = 200

_TABLES: tuple[LiteralString, ...] = (
    "CREATE TABLE IF NOT EXISTS paretune_format (version int NOT NULL)",
    """CREATE TABLE IF NOT EXISTS paretune_replies (
        key text PRIMARY KEY, model text NOT NULL, request text NOT NULL, answer json NOT NULL,
        prompt_tokens bigint NOT NULL, completion_tokens bigint NOT NULL, cost_usd float8, latency_s float8 NOT NULL,
        attempts bigint NOT NULL, created_at timestamptz NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS paretune_replies_by_time ON paretune_replies (created_at)",
    """CREATE TABLE IF NOT EXISTS paretune_notes (
        key text, search text, trial text, example text, module text, replicate bigint NOT NULL, valid bool NOT NULL,
        paid bool NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (key, search, trial, example, module)
    )""",
    "CREATE TABLE IF NOT EXISTS paretune_facts (key text PRIMARY KEY, value text NOT NULL)",
    "CREATE TABLE IF NOT EXISTS paretune_looks (split text, configuration text, PRIMARY KEY (split, configuration))",
    """CREATE TABLE IF NOT EXISTS paretune_claims (
        key text PRIMARY KEY, ticket text NOT NULL, until timestamptz NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS paretune_accounts (
        account text PRIMARY KEY, calls bigint NOT NULL DEFAULT 0, tokens bigint NOT NULL DEFAULT 0,
        usd numeric NOT NULL DEFAULT 0, held_calls bigint NOT NULL DEFAULT 0, held_tokens bigint NOT NULL DEFAULT 0,
        held_usd numeric NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE IF NOT EXISTS paretune_reservations (
        ticket text PRIMARY KEY, account text NOT NULL, until timestamptz NOT NULL, calls bigint NOT NULL,
        tokens bigint NOT NULL, usd numeric NOT NULL
    )""",
)

#: How a user gets to use tables that another one has made.
GRANT = "let the tables' owner run: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public"
#: What a server that is away for a while says, and nobody else.
_PASSING = (
    "starting up", "not yet accepting", "shutting down", "recovery", "too many", "terminating connection", "remaining",
)  # fmt: skip
#: By what is said of them: what is wrong for good, with the cure.
_CURES = {
    "no password supplied": "give the password in PGPASSWORD or ~/.pgpass",
    "password authentication failed": "correct PARETUNE_LEDGER, or the password in PGPASSWORD or ~/.pgpass",
    "no encryption": "the server wants TLS: add ?sslmode=require to PARETUNE_LEDGER",
    "does not support SSL": "the server has no TLS: leave sslmode out of PARETUNE_LEDGER, or switch it on there",
    "does not match host name": "name the host as its certificate does, or use sslmode=verify-ca",
    "certificate": "name the authority that vouches for the server in PARETUNE_LEDGER: ?sslrootcert=FILE (or system)",
    "sslmode": "correct sslmode in PARETUNE_LEDGER: require, verify-ca or verify-full",
    "connection option": "correct PARETUNE_LEDGER",
    "connection is bad: invalid": "correct PARETUNE_LEDGER",
    "for database": "let its owner run: GRANT CONNECT ON DATABASE … TO {user}",
    "for schema": "let the database's owner run: GRANT USAGE, CREATE ON SCHEMA public TO {user}",
    "permission denied": f"{GRANT} TO {{user}}",
    "read-only": "name a server that takes changes in PARETUNE_LEDGER, no copy of it",
    "FATAL": "correct PARETUNE_LEDGER",
}


class _Job(NamedTuple):
    """A statement that waits, and what will come of it."""

    place: Place | None
    statement: LiteralString
    values: dict[str, Any]
    done: Future[Rows]


class Database:
    """The database at an address ``postgresql://USER@HOST:PORT/DATABASE``, with the tables of a ledger.

    Its password, where it wants one, is in the address, in ``PGPASSWORD`` or in ``~/.pgpass``; no error repeats it.
    What is submitted ends with AwayError when nobody answers there now, and with ConfigError when the database cannot
    be used.
    """

    def __init__(self, address: str) -> None:
        try:
            import psycopg
        except ImportError:
            raise ConfigError("a ledger in PostgreSQL needs psycopg: pip install 'paretune[postgres]'") from None
        self._psycopg = psycopg
        self._address = address
        parts = self._parts(address)
        self._secrets = [str(parts[name]) for name in ("password", "sslpassword") if parts.get(name)]
        self._user = str(parts.get("user") or os.environ.get("PGUSER") or "USER")
        self.name = f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        #: Why there is no connection, and until when that is not tried again.
        self._fault: tuple[float, ConfigError] | None = None

    def submit(self, statement: LiteralString, place: Place | None = None, **values: Any) -> Future[Rows]:
        """Do a statement soon, after what was submitted before for the same place; without a place, alone. Its rows; of
        a change without rows, an empty one where it changed something."""
        job = _Job(place, statement, values, Future())
        with self._lock:
            self._waiting.put(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="paretune-postgres", daemon=True)
                self._thread.start()
        return job.done

    def run(self, statement: LiteralString, **values: Any) -> Rows:
        """The rows of a statement, which is done alone."""
        return self.submit(statement, **values).result()

    def close(self) -> None:
        """Do what waits and close the connection; the next use opens another one."""
        with self._lock:
            if (thread := self._thread) is not None:
                self._waiting.put(None)
        if thread is not None:
            thread.join(_CLOSE_S)

    def _work(self) -> None:
        while True:
            jobs = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while len(jobs) < _TOGETHER:
                    jobs.append(self._waiting.get_nowait())
            self._do([job for job in jobs if job is not None and job.done.set_running_or_notify_cancel()])
            if None in jobs:
                self._disconnect()
                with self._lock:
                    if self._waiting.empty():
                        self._thread = None
                        return

    def _do(self, jobs: Sequence[_Job]) -> None:
        together = sorted((job for job in jobs if job.place is not None), key=lambda job: job.place or (0, ""))
        alone = [job for job in jobs if job.place is None]
        try:
            found = self._together(together) if len(together) > 1 else []
        except Exception:  # each alone tells why
            found = []
        for job, rows in zip(together, found, strict=False):
            job.done.set_result(rows)
        for job in alone if found else (*together, *alone):
            try:
                rows = self._alone(job)
            except BaseException as error:
                job.done.set_exception(error)
            else:
                job.done.set_result(rows)

    def _together(self, jobs: Sequence[_Job]) -> list[Rows]:
        """The rows of some statements, in one round trip: all of them are done, or none where it raises."""
        cursor = self._psycopg.ClientCursor(self._open())
        try:
            cursor.execute(";".join(cursor.mogrify(job.statement, job.values) for job in jobs).encode())
            found = [_rows(cursor)]
            while cursor.nextset():
                found.append(_rows(cursor))
            return found
        except (self._psycopg.OperationalError, self._psycopg.InterfaceError):
            self._disconnect()
            raise

    def _alone(self, job: _Job) -> Rows:
        for last in (False, True):  # a connection that has broken may be made again
            try:
                return _rows(self._psycopg.ClientCursor(self._open()).execute(job.statement, job.values))
            except (self._psycopg.OperationalError, self._psycopg.InterfaceError) as error:
                self._disconnect()
                if last:
                    raise self._error(error) from None
            except self._psycopg.Error as error:  # a row that is there: the same statement's, whose answer was lost
                if last or not isinstance(error, self._psycopg.errors.UniqueViolation):
                    raise self._error(error) from None
        raise AssertionError("unreachable")

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None:
            started = time.monotonic()
            if self._fault is not None and started < self._fault[0]:
                raise type(self._fault[1])(str(self._fault[1]))
            try:
                self._connection = self._connect()
            except (self._psycopg.Error, ConfigError) as error:
                fault = error if isinstance(error, ConfigError) else self._error(error)
                now = time.monotonic()
                self._fault = now + max(_PAUSE_S, now - started), fault
                raise fault from None
        return self._connection

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = self._psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=_CONNECT_S,
            client_encoding="utf8",
            application_name="paretune",
            **_KEEPALIVE,
        )
        try:
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _check(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Create the tables where they are missing. Raises ConfigError where the database is none for them."""
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise ConfigError(
                f"the ledger in PostgreSQL at {self.name} has the encoding {encoding}, which lacks characters: make a "
                "database WITH ENCODING 'UTF8' TEMPLATE template0, and name it in PARETUNE_LEDGER"
            )
        if connection.execute("SELECT to_regclass('paretune_format')").fetchone() == (None,):
            with connection.transaction():
                connection.execute("SET LOCAL client_min_messages = warning")
                connection.execute("SELECT pg_advisory_xact_lock(hashtext('paretune'))")  # one at a time
                connection.execute(";".join(_TABLES))
                new = "INSERT INTO paretune_format SELECT %s WHERE NOT EXISTS (SELECT FROM paretune_format)"
                connection.execute(new, (FORMAT,))
        found = connection.execute("SELECT max(version) FROM paretune_format").fetchone()
        if found is not None and (found[0] or 0) > FORMAT:
            raise ConfigError(
                f"the ledger in PostgreSQL at {self.name} has format {found[0]}, this paretune knows formats up to "
                f"{FORMAT}: update paretune, or name another database in PARETUNE_LEDGER"
            )

    def _parts(self, address: str) -> dict[str, Any]:
        """An address, taken apart. Raises ConfigError for one that is none, or whose password is cut in two."""
        parts: dict[str, Any] = {}
        with contextlib.suppress(self._psycopg.Error, ValueError):  # a %ec may be no text
            parts = self._psycopg.conninfo.conninfo_to_dict(address)
        place = [str(parts.get(name) or "") for name in ("host", "dbname", "port")]
        if not parts or "@" in "".join(place) or not re.fullmatch("[0-9,]*", place[2]):
            raise ConfigError(
                "PARETUNE_LEDGER is no address of a PostgreSQL database: postgresql://USER@HOST:PORT/DATABASE; in its "
                "login write @ as %40, / as %2F, : as %3A, ? as %3F, % as %25, or put the password into PGPASSWORD"
            )
        return parts

    def _error(self, error: psycopg.Error) -> ConfigError:
        """What is wrong, and the cure: a server that refuses is not away."""
        text = error.diag.message_primary or str(error).removeprefix("connection failed: ") or type(error).__name__
        first, *more = text.splitlines()
        tried = [line for line in more if line.startswith("- ")]  # several hosts; all else is advice
        line = masked(" ".join([first, *tried]), *self._secrets)
        place = f"the ledger in PostgreSQL at {self.name}"
        is_passing = any(each in line for each in _PASSING)
        cure = next((cure for said, cure in _CURES.items() if said in line), None)
        if cure is not None and not is_passing:
            return ConfigError(f"{place} cannot be used: {line}; {cure.format(user=self._user)}")
        if isinstance(error, self._psycopg.OperationalError | self._psycopg.InterfaceError):
            cure = "start it, or correct PARETUNE_LEDGER, then run again; what was paid for is kept here"
            return AwayError(f"{place} does not answer ({line}): {cure}")
        return ConfigError(f"{place}: {line}")


def _rows(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Rows:
    return cursor.fetchall() if cursor.description else [()] * min(1, cursor.rowcount)
