"""What a team shares in PostgreSQL: replies, facts, who asked, claims on calls, the accounts of budgets, looks.

Each change is one statement, which happens as a whole or not at all. What a process holds (a claim, a reservation) it
holds by a ticket, which it renews (see ``leases``). Times are the server's; a lease that ran out while the server was
down is not taken from its holder, who could not renew it.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any, LiteralString

from paretune.lm.ledger.accounts import ROUNDING, Caps, Spent, Standing
from paretune.lm.ledger.leases import keep_renewing
from paretune.lm.ledger.postgres import Database, Place, Rows
from paretune.lm.ledger.processes import LEASE_S
from paretune.lm.ledger.tables import answer_text

__all__ = ["Home"]

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
    INSERT INTO paretune_claims
    SELECT %(key)s, %(ticket)s, {_LEASED} WHERE NOT EXISTS (SELECT 1 FROM paretune_replies WHERE key = %(key)s)
    ON CONFLICT (key) DO UPDATE SET ticket = excluded.ticket, until = excluded.until
    WHERE paretune_claims.ticket = excluded.ticket
        OR {_OVER.replace("until", "paretune_claims.until")}
    RETURNING 1
"""
_ACCOUNT: LiteralString = "INSERT INTO paretune_accounts VALUES (%(account)s) ON CONFLICT DO NOTHING"
_RESERVE: LiteralString = f"""
    WITH before AS (SELECT 1 FROM paretune_reservations WHERE ticket = %(ticket)s),
    room AS (
        UPDATE paretune_accounts SET held_calls = held_calls + %(calls)s, held_tokens = held_tokens + %(tokens)s,
            held_usd = held_usd + %(usd)s::numeric
        WHERE account = %(account)s AND NOT EXISTS (SELECT 1 FROM before)
            AND (%(cap_calls)s::numeric IS NULL OR calls + held_calls + %(calls)s <= %(cap_calls)s::numeric)
            AND (%(cap_tokens)s::numeric IS NULL OR tokens + held_tokens + %(tokens)s <= %(cap_tokens)s::numeric)
            AND (%(cap_usd)s::numeric IS NULL OR usd + held_usd + %(usd)s::numeric <= %(cap_usd)s::numeric)
        RETURNING account
    ),
    reserved AS (
        INSERT INTO paretune_reservations
        SELECT %(ticket)s, account, {_LEASED}, %(calls)s, %(tokens)s, %(usd)s::numeric FROM room RETURNING 1
    )
    SELECT 1 FROM before UNION ALL SELECT 1 FROM reserved
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
_SUMS: LiteralString = (
    "SELECT calls, tokens, usd::float8, held_calls, held_tokens, held_usd::float8 FROM paretune_accounts"
    " WHERE account = %(account)s"
)
#: In the order of the keys, in which everybody else comes to them too.
_RENEW_CLAIMS: LiteralString = f"""
    WITH held AS (
        SELECT key FROM paretune_claims WHERE ticket = ANY(%(tickets)s) ORDER BY key COLLATE "C" FOR UPDATE
    ) UPDATE paretune_claims c SET until = {_LEASED} FROM held WHERE c.key = held.key
"""
_RENEW_RESERVATIONS: LiteralString = (
    f"UPDATE paretune_reservations SET until = {_LEASED} WHERE ticket = ANY(%(tickets)s)"
)
_NOTES: LiteralString = (
    "INSERT INTO paretune_notes SELECT c0, c1, c2, c3, c4, c5, c6, c7, to_timestamp(c8) FROM"
    " unnest(%(c0)s::text[], %(c1)s::text[], %(c2)s::text[], %(c3)s::text[], %(c4)s::text[], %(c5)s::bigint[],"
    " %(c6)s::bool[], %(c7)s::bool[], %(c8)s::float8[]) AS n(c0, c1, c2, c3, c4, c5, c6, c7, c8)"
    " ON CONFLICT DO NOTHING"
)


class Home:
    """What is shared in the database at an address.

    Every method raises AwayError when nobody answers there now, and ConfigError when the database cannot be used.
    """

    def __init__(self, address: str) -> None:
        self.database = Database(address)
        weakref.finalize(self, _close, self.database, os.getpid())
        #: What this process holds.
        self.claims: set[str] = set()
        self._reservations: set[str] = set()
        #: Reservations that have ended, by ticket, until the database knows: their account, and what they took.
        self._unsettled: dict[str, tuple[str, Spent]] = {}

    async def find(self, key: str) -> tuple[Any, ...] | None:
        """The row of a stored reply, the values of ``tables.CALLS``; None when there is none."""
        return _row(key, await _result(self._of_key(_READ, key)))

    async def store(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Store a row, unless there is a reply of its key, and give up all claims on it; the row that is there now."""
        if not await _result(self._store(row)):
            return await self.find(row[0]) or tuple(row)  # another machine was faster
        return tuple(row)

    def store_all(self, rows: Iterable[Sequence[Any]]) -> None:
        """Store rows whose keys have no reply."""
        for done in [self._store(row) for row in rows]:
            done.result()

    async def claim(self, key: str, ticket: str) -> tuple[bool, tuple[Any, ...] | None]:
        """Claim the call of a key for this ticket: whether it is claimed, and the row of the reply where it is stored.
        It is neither where somebody else is at it."""
        try:
            claimed = self._of_key(_CLAIM, key, ticket=ticket)
            found = self._of_key(_READ, key)  # a reply that came just before the claim is seen
            return bool(await _result(claimed)), _row(key, await _result(found))
        except asyncio.CancelledError:
            self.release(key, ticket)
            raise

    def release(self, key: str, ticket: str) -> None:
        """Give up a claim soon; where nobody answers, it runs out by itself."""
        self._of_key("DELETE FROM paretune_claims WHERE key = %(key)s AND ticket = %(ticket)s", key, ticket=ticket)

    def add_notes(self, notes: Iterable[Sequence[Any]]) -> None:
        """Add notes soon, the values of ``tables.NOTES``; a repetition adds none, and where nobody answers they are
        lost."""
        columns = [list(column) for column in zip(*sorted(map(tuple, notes)), strict=True)]
        values: dict[str, Any] = {f"c{n}": [_text(value) for value in column] for n, column in enumerate(columns[:5])}
        values |= {f"c{n}": column for n, column in enumerate(columns[5:], 5)}
        self._submit(_NOTES, None, **values)

    def fact(self, key: str) -> str | None:
        """The JSON text of a remembered fact."""
        rows = self.database.run("SELECT value FROM paretune_facts WHERE key = %(key)s", key=_text(key))
        return str(rows[0][0]) if rows else None

    def remember(self, key: str, value: str, again: bool) -> None:
        """Remember a fact; the first value stays, unless it was found out ``again``."""
        self.database.run(
            "INSERT INTO paretune_facts AS f VALUES (%(key)s, %(value)s) ON CONFLICT (key) DO UPDATE"
            " SET value = excluded.value WHERE %(again)s",
            key=_text(key), value=_text(value), again=again,
        )  # fmt: skip

    def look(self, split: str, configurations: Sequence[str]) -> int:
        """Note that configurations (digests) are tested on a split; how many were so far."""
        self.database.run(
            "INSERT INTO paretune_looks SELECT %(split)s, unnest(%(new)s::text[]) ON CONFLICT DO NOTHING",
            split=split, new=sorted(configurations),
        )  # fmt: skip
        statement: LiteralString = "SELECT count(*) FROM paretune_looks WHERE split = %(split)s"
        return int(self.database.run(statement, split=split)[0][0])

    async def reserve(self, account: str, caps: Caps, most: Spent, ticket: str) -> Standing:
        """See ``Accounts``."""
        values = {"ticket": ticket, **most._asdict()}
        values |= {f"cap_{name}": None if cap is None else cap * (1 + ROUNDING) for name, cap in caps.items()}
        sums: Rows = []
        try:
            reserved = await _result(self._of_account(_RESERVE, account, **values))
            if not reserved:
                for statement in (_ACCOUNT, _SETTLE_DEAD):
                    self._of_account(statement, account)
                again, then = self._of_account(_RESERVE, account, **values), self._of_account(_SUMS, account)
                reserved, sums = await _result(again), await _result(then)
        except asyncio.CancelledError:  # it may be reserved all the same
            self.settle(account, ticket, Spent())
            raise
        if reserved:
            self._reservations.add(ticket)
            keep_renewing(self)
        return Standing(bool(reserved), *_sums(sums))

    def settle(self, account: str, ticket: str, took: Spent) -> None:
        """See ``Accounts``. It is done soon; while nobody answers it is renewed as if it were in flight."""
        self._unsettled[ticket] = (account, took)
        keep_renewing(self)
        self._settle(ticket, account, took)

    def spent(self, account: str) -> Spent:
        """See ``Accounts``."""
        self._of_account(_SETTLE_DEAD, account)
        return _sums(self._of_account(_SUMS, account).result())[0]

    def renew(self) -> None:
        """Tell others that this process lives, and settle what waits."""
        doing = [self._settle(ticket, *ended) for ticket, ended in list(self._unsettled.items())]
        for statement, tickets in ((_RENEW_CLAIMS, self.claims), (_RENEW_RESERVATIONS, self._reservations)):
            if tickets:
                doing.append(self._submit(statement, None, tickets=list(tickets)))
        for done in doing:
            done.result()

    def close(self) -> None:
        """Do what waits and close the connection; the next use opens another one."""
        self.database.close()

    def _store(self, row: Sequence[Any]) -> Future[Rows]:
        key, model, request, reply, prompt, completion, finish, usage, price, cost, latency, attempts, at, reason = row
        return self._of_key(
            _STORE,
            key,
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

    def _settle(self, ticket: str, account: str, took: Spent) -> Future[Rows]:
        def settled(done: Future[Rows]) -> None:
            if not done.cancelled() and done.exception() is None:
                self._unsettled.pop(ticket, None)
                self._reservations.discard(ticket)

        done = self._of_account(_SETTLE, account, ticket=ticket, **took._asdict())
        done.add_done_callback(settled)
        return done

    def _of_key(self, statement: LiteralString, key: str, **values: Any) -> Future[Rows]:
        return self._submit(statement, (0, key), key=key, **values)

    def _of_account(self, statement: LiteralString, account: str, **values: Any) -> Future[Rows]:
        return self._submit(statement, (1, account), account=account, **values)

    def _submit(self, statement: LiteralString, place: Place | None, **values: Any) -> Future[Rows]:
        return self.database.submit(statement, place, lease=LEASE_S, **values)


async def _result(done: Future[Rows]) -> Rows:
    return await asyncio.wrap_future(done)


def _row(key: str, rows: Rows) -> tuple[Any, ...] | None:
    """The values of ``tables.CALLS`` in what ``_READ`` has found."""
    if not rows:
        return None
    prompt, completion, cost, latency, attempts, answer, model, request, at = rows[0]
    reply, finish, usage, price, reasoning = answer
    accounts = (finish, usage, price, cost, latency, attempts, at, reasoning)
    return (key, model, request, reply, prompt, completion, *accounts)


def _sums(rows: Rows) -> tuple[Spent, Spent]:
    """What an account has spent and reserved."""
    return (Spent(*rows[0][:3]), Spent(*rows[0][3:])) if rows else (Spent(), Spent())


def _close(database: Database, process: int) -> None:
    """Do what waits; a fork has none of it."""
    if os.getpid() == process:
        database.close()


def _text(value: str) -> str:
    """A text without the one character that PostgreSQL cannot hold."""
    return value.replace("\0", "\ufffd")
