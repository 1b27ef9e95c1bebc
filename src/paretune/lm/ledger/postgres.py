"""What a team shares in PostgreSQL: replies, facts, who asked, claims on calls, the accounts of budgets, looks.

Each method is one statement, which happens as a whole or not at all. What a process holds (a claim, a reservation) it
holds by a ticket, which it renews (see ``leases``). Times are the server's; a lease that ran out while the server was
down is not taken from its holder, who could not renew it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, LiteralString

from paretune.errors import ConfigError
from paretune.lm.ledger.accounts import ROUNDING, Caps, Spent, Standing
from paretune.lm.ledger.away import AwayError
from paretune.lm.ledger.leases import keep_renewing
from paretune.lm.ledger.processes import LEASE_S
from paretune.lm.ledger.tables import answer_text

if TYPE_CHECKING:
    import psycopg

__all__ = ["Home"]

FORMAT = 1
#: A connection whose other end says nothing is given up after about ten seconds, not hours.
_KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
#: Seconds until a server that is away is looked for again: each look may take as long as a connection may.
_PAUSE_S, _CONNECT_S = 0.2, 5

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
_LEASED: LiteralString = "now() + make_interval(secs => %(lease)s)"
_OVER: LiteralString = "(until < now() AND pg_postmaster_start_time() < now() - make_interval(secs => %(lease)s))"
_READ: LiteralString = (
    "SELECT prompt_tokens, completion_tokens, cost_usd, latency_s, attempts, answer, model, request,"
    " extract(epoch FROM created_at)::float8 FROM paretune_replies WHERE key = %(key)s"
)
_STORE: LiteralString = """
    WITH over AS (DELETE FROM paretune_claims WHERE key = %(key)s),
    stored AS (
        INSERT INTO paretune_replies VALUES (%(key)s, %(model)s, %(request)s, %(answer)s, %(prompt)s, %(completion)s,
            %(cost)s, %(latency)s, %(attempts)s, to_timestamp(%(at)s))
        ON CONFLICT DO NOTHING RETURNING 1
    ) SELECT 1 FROM stored
"""
_CLAIM: LiteralString = f"""
    INSERT INTO paretune_claims VALUES (%(key)s, %(ticket)s, {_LEASED})
    ON CONFLICT (key) DO UPDATE SET ticket = excluded.ticket, until = excluded.until
    WHERE paretune_claims.ticket = excluded.ticket
        OR {_OVER.replace("until", "paretune_claims.until")}
    RETURNING 1
"""
_RESERVE: LiteralString = f"""
    WITH room AS (
        UPDATE paretune_accounts SET held_calls = held_calls + %(calls)s, held_tokens = held_tokens + %(tokens)s,
            held_usd = held_usd + %(usd)s::numeric
        WHERE account = %(account)s
            AND (%(cap_calls)s::numeric IS NULL OR calls + held_calls + %(calls)s <= %(cap_calls)s::numeric)
            AND (%(cap_tokens)s::numeric IS NULL OR tokens + held_tokens + %(tokens)s <= %(cap_tokens)s::numeric)
            AND (%(cap_usd)s::numeric IS NULL OR usd + held_usd + %(usd)s::numeric <= %(cap_usd)s::numeric)
        RETURNING account
    ) INSERT INTO paretune_reservations
    SELECT %(ticket)s, account, {_LEASED}, %(calls)s, %(tokens)s, %(usd)s::numeric FROM room RETURNING 1
"""
_SETTLE: LiteralString = """
    WITH ended AS (DELETE FROM paretune_reservations WHERE ticket = %(ticket)s RETURNING account, calls, tokens, usd)
    UPDATE paretune_accounts a SET calls = a.calls + %(calls)s, tokens = a.tokens + %(tokens)s,
        usd = a.usd + %(usd)s::numeric, held_calls = held_calls - ended.calls,
        held_tokens = held_tokens - ended.tokens, held_usd = held_usd - ended.usd
    FROM ended WHERE a.account = ended.account
"""
_SETTLE_DEAD: LiteralString = f"""
    WITH dead AS (
        DELETE FROM paretune_reservations WHERE account = %(account)s AND {_OVER} RETURNING calls, tokens, usd
    ), lost AS (SELECT sum(calls) AS calls, sum(tokens) AS tokens, sum(usd) AS usd FROM dead HAVING count(*) > 0)
    UPDATE paretune_accounts a SET calls = a.calls + lost.calls, tokens = a.tokens + lost.tokens,
        usd = a.usd + lost.usd, held_calls = held_calls - lost.calls, held_tokens = held_tokens - lost.tokens,
        held_usd = held_usd - lost.usd
    FROM lost WHERE a.account = %(account)s
"""


class Home:
    """The database at an address ``postgresql://USER@HOST:PORT/DATABASE``, by one connection.

    Its password, where it wants one, is in the address, in ``PGPASSWORD`` or in ``~/.pgpass``; no error repeats it.
    Every method raises AwayError when nobody answers there now, and ConfigError when the database cannot be used.
    """

    def __init__(self, address: str) -> None:
        try:
            import psycopg
        except ImportError:
            raise ConfigError("a ledger in PostgreSQL needs psycopg: pip install 'paretune[postgres]'") from None
        self._psycopg = psycopg
        self._address = address
        try:
            parts = psycopg.conninfo.conninfo_to_dict(address)
        except psycopg.Error:
            raise ConfigError(
                "PARETUNE_LEDGER is no address of a PostgreSQL database: postgresql://USER@HOST:PORT/DATABASE"
            ) from None
        self._password = str(parts.get("password") or "")
        self.name = f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._away_until = 0.0
        #: What this process holds.
        self.claims: set[str] = set()
        self._reservations: set[str] = set()
        #: Reservations that ended while nobody answered, by ticket.
        self._unsettled: dict[str, Spent] = {}
        self._known: set[str] = set()

    def find(self, key: str) -> tuple[Any, ...] | None:
        """The row of a stored reply, the values of ``tables.CALLS``; None when there is none."""
        rows = self._run(_READ, key=key)
        if not rows:
            return None
        prompt, completion, cost, latency, attempts, answer, model, request, at = rows[0]
        reply, finish, usage, price, reasoning = answer
        accounts = (finish, usage, price, cost, latency, attempts, at, reasoning)
        return (key, model, request, reply, prompt, completion, *accounts)

    def store(self, row: Sequence[Any]) -> bool:
        """Store a row, unless there is a reply of its key, and give up all claims on it; whether it was stored."""
        key, model, request, reply, prompt, completion, finish, usage, price, cost, latency, attempts, at, reason = row
        return bool(
            self._run(
                _STORE,
                key=key,
                model=_text(model),
                request=_text(request),
                answer=answer_text(reply, finish, usage, price, reason),
                prompt=prompt,
                completion=completion,
                cost=cost,
                latency=latency,
                attempts=attempts,
                at=at,
            )
        )

    def claim(self, key: str, ticket: str) -> bool:
        """Claim the call of a key for this ticket; False where somebody else is at it."""
        return bool(self._run(_CLAIM, key=key, ticket=ticket))

    def release(self, ticket: str) -> None:
        """Give up a claim."""
        self._run("DELETE FROM paretune_claims WHERE ticket = %(ticket)s", ticket=ticket)

    def add_notes(self, notes: Iterable[Sequence[Any]]) -> None:
        """Add notes, the values of ``tables.NOTES``; a repetition adds none."""
        columns = [list(column) for column in zip(*notes, strict=True)]
        texts = {f"c{number}": [_text(value) for value in column] for number, column in enumerate(columns[:5])}
        self._run(
            "INSERT INTO paretune_notes SELECT c0, c1, c2, c3, c4, c5, c6, c7, to_timestamp(c8) FROM"
            " unnest(%(c0)s::text[], %(c1)s::text[], %(c2)s::text[], %(c3)s::text[], %(c4)s::text[], %(c5)s::bigint[],"
            " %(c6)s::bool[], %(c7)s::bool[], %(c8)s::float8[]) AS n(c0, c1, c2, c3, c4, c5, c6, c7, c8)"
            " ON CONFLICT DO NOTHING",
            **texts,
            **{f"c{number}": column for number, column in enumerate(columns[5:], 5)},
        )

    def fact(self, key: str) -> str | None:
        """The JSON text of a remembered fact."""
        rows = self._run("SELECT value FROM paretune_facts WHERE key = %(key)s", key=_text(key))
        return str(rows[0][0]) if rows else None

    def remember(self, key: str, value: str, again: bool) -> None:
        """Remember a fact; the first value stays, unless it was found out ``again``."""
        self._run(
            "INSERT INTO paretune_facts AS f VALUES (%(key)s, %(value)s) ON CONFLICT (key) DO UPDATE"
            " SET value = excluded.value WHERE %(again)s",
            key=_text(key), value=_text(value), again=again,
        )  # fmt: skip

    def look(self, split: str, configurations: Sequence[str]) -> int:
        """Note that configurations (digests) are tested on a split; how many were so far."""
        self._run(
            "INSERT INTO paretune_looks SELECT %(split)s, unnest(%(new)s::text[]) ON CONFLICT DO NOTHING",
            split=split, new=list(configurations),
        )  # fmt: skip
        return int(self._run("SELECT count(*) FROM paretune_looks WHERE split = %(split)s", split=split)[0][0])

    def reserve(self, account: str, caps: Caps, most: Spent, ticket: str) -> Standing:
        """See ``Accounts``."""
        if account not in self._known:
            self._run("INSERT INTO paretune_accounts VALUES (%(account)s) ON CONFLICT DO NOTHING", account=account)
            self._known.add(account)
        values = {"account": account, "ticket": ticket, **most._asdict()}
        values |= {f"cap_{name}": None if cap is None else cap * (1 + ROUNDING) for name, cap in caps.items()}
        for attempt in range(2):
            try:
                reserved = bool(self._run(_RESERVE, **values))
            except self._psycopg.errors.UniqueViolation:  # reserved, although its answer was lost
                reserved = True
            if reserved or attempt or not self._run(_SETTLE_DEAD, account=account):
                break
        if reserved:
            self._reservations.add(ticket)
            keep_renewing(self)
            return Standing(True, Spent(), Spent())
        return Standing(False, *self._sums(account))

    def settle(self, account: str, ticket: str, took: Spent) -> None:
        """See ``Accounts``. While nobody answers it waits, and is renewed as if it were in flight."""
        self._unsettled[ticket] = took
        keep_renewing(self)
        with contextlib.suppress(AwayError):
            self._settle()

    def spent(self, account: str) -> Spent:
        """See ``Accounts``."""
        self._run(_SETTLE_DEAD, account=account)
        return self._sums(account)[0]

    def renew(self) -> None:
        """Tell others that this process lives, and settle what waits."""
        self._settle()
        for table, tickets in (("paretune_claims", self.claims), ("paretune_reservations", self._reservations)):
            if tickets:
                statement = f"UPDATE {table} SET until = {_LEASED} WHERE ticket = ANY(%(tickets)s)"
                self._run(statement, tickets=list(tickets))

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _settle(self) -> None:
        for ticket, took in list(self._unsettled.items()):
            self._run(_SETTLE, ticket=ticket, **took._asdict())
            self._unsettled.pop(ticket, None)
            self._reservations.discard(ticket)

    def _sums(self, account: str) -> tuple[Spent, Spent]:
        rows = self._run(
            "SELECT calls, tokens, usd::float8, held_calls, held_tokens, held_usd::float8 FROM paretune_accounts"
            " WHERE account = %(account)s",
            account=account,
        )
        return (Spent(*rows[0][:3]), Spent(*rows[0][3:])) if rows else (Spent(), Spent())

    def _run(self, statement: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement; of a change without rows, an empty one where it changed something."""
        with self._lock:
            was_open = self._connection is not None
            try:
                cursor = self._open().execute(statement, {"lease": LEASE_S, **values})
                return cursor.fetchall() if cursor.description else [()] * min(1, cursor.rowcount)
            except self._psycopg.errors.UniqueViolation:
                raise
            except (self._psycopg.OperationalError, self._psycopg.InterfaceError) as error:
                self.close()
                if was_open:  # it has broken: the server may be back, and no statement does harm when it is repeated
                    return self._run(statement, **values)
                self._away_until = time.monotonic() + _PAUSE_S
                raise self._error(error) from None
            except self._psycopg.Error as error:
                raise ConfigError(f"the ledger in PostgreSQL at {self.name}: {self._line(error)}") from None

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None:
            if time.monotonic() < self._away_until:
                raise self._psycopg.OperationalError("nobody answered a moment ago")
            connection = self._psycopg.connect(
                self._address, autocommit=True, connect_timeout=_CONNECT_S, application_name="paretune", **_KEEPALIVE
            )
            try:
                self._create(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            weakref.finalize(self, _close, connection, os.getpid())
        return self._connection

    def _create(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Create the tables that are missing. Raises ConfigError for those of a newer paretune."""
        with connection.transaction():
            connection.execute("SET LOCAL client_min_messages = warning")
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('paretune'))")  # one at a time
            if connection.execute("SELECT to_regclass('paretune_format')").fetchone() == (None,):
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute("INSERT INTO paretune_format VALUES (%s)", (FORMAT,))
            found = connection.execute("SELECT max(version) FROM paretune_format").fetchone()
        if found is not None and found[0] > FORMAT:
            raise ConfigError(
                f"the ledger in PostgreSQL at {self.name} has format {found[0]}, this paretune knows formats up to "
                f"{FORMAT}: update paretune, or name another database in PARETUNE_LEDGER"
            )

    def _error(self, error: Exception) -> ConfigError:
        """What is wrong: a server that refuses is not away."""
        line, place = self._line(error), f"the ledger in PostgreSQL at {self.name}"
        passing = ("starting up", "shutting down", "recovery", "too many", "terminating connection", "remaining")
        if "FATAL" in line and not any(each in line for each in passing):
            return ConfigError(
                f"{place} cannot be used: {line}; correct PARETUNE_LEDGER, or the password in PGPASSWORD"
            )
        return AwayError(f"{place} does not answer ({line}): start it, then run again; what was paid for is kept here")

    def _line(self, error: Exception) -> str:
        line = " ".join(str(error).split())
        return line.replace(self._password, "…") if self._password else line


def _close(connection: psycopg.Connection[Any], process: int) -> None:
    """Close a connection, which in a fork is still the parent's."""
    if os.getpid() == process:
        connection.close()


def _text(value: str) -> str:
    """A text without the one character that PostgreSQL cannot hold."""
    return value.replace("\0", "\ufffd")
