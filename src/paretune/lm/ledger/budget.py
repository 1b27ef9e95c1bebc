"""A hard cap on what all processes that share a ledger may spend on calls, retries included.

Each attempt reserves the most that it can take before it is sent, and is settled with what it took: the sum of what is
spent and what is reserved never passes the cap. Both live in the ledger's file, so that the cap holds over processes,
reruns and kills: what was in flight when a process died counts as spent in full. A process renews what it has reserved
every few seconds, by which other machines know that it lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from paretune.errors import BudgetError, ConfigError, UsageError
from paretune.files import canonical_json
from paretune.lm.ledger.ledger import Ledger, default_ledger
from paretune.lm.ledger.processes import LEASE_S, is_dead, this_process
from paretune.lm.passing import links_media
from paretune.lm.types import Backend, Request

__all__ = ["Budget", "Charge", "Spent", "current_budget", "prompt_bytes"]

_TABLES = (
    """CREATE TABLE IF NOT EXISTS budget_spent (
        account TEXT PRIMARY KEY, calls INTEGER NOT NULL, tokens INTEGER NOT NULL, usd REAL NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS budget_reserved (
        id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, owner TEXT NOT NULL, since REAL NOT NULL,
        calls INTEGER NOT NULL, tokens INTEGER NOT NULL, usd REAL NOT NULL
    )""",
)
#: What a provider may add to a prompt beside its text (roles, instructions for tools), in tokens.
_ADDED = 600
_ADDED_PER_MESSAGE = 16
#: A sum of many prices is off by less than this share.
_ROUNDING = 1e-9


class Spent(NamedTuple):
    """Calls (attempts), tokens (of prompts and completions), US dollars."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0


class Budget:
    """What may be spent on language models, over all processes that share a ledger and an account.

    Parameters
    ----------
    usd, calls, tokens
        Caps in US dollars, attempts and tokens; None: no cap. A call that could pass one is not sent. That is known for
        dollars and tokens where the length of a completion is bounded: by ``max_tokens``, else by the longest that
        litellm knows of the model.
    account
        What was spent is kept under this name; another name begins at zero, a higher cap goes on.
    ledger
        Where it is kept; the project's ledger when None.
    """

    def __init__(
        self,
        usd: float | None = None,
        calls: int | None = None,
        tokens: int | None = None,
        account: str = "default",
        ledger: Ledger | None = None,
    ) -> None:
        self.caps: dict[str, float | None] = {"calls": calls, "tokens": tokens, "usd": usd}
        for name, cap in self.caps.items():
            if cap is not None and not 0 <= cap < float("inf"):
                raise UsageError(f"budget.{name} must be a number of at least 0 (got {cap})")
        self.account = account
        self.ledger = ledger if ledger is not None else default_ledger()
        self._has_tables = False

    def declared(self) -> dict[str, Any] | None:
        """The caps that there are, and the account; None where there is no cap."""
        caps = {name: cap for name, cap in self.caps.items() if cap is not None}
        return {**caps, "account": self.account} if caps else None

    @contextlib.contextmanager
    def charging(self) -> Iterator[Budget]:
        """Charge every attempt inside the block, and in the tasks that are begun there, to this budget alone.

        Replies from the ledger cost nothing. A budget without caps keeps no account.
        """
        token = _current.set(self if any(cap is not None for cap in self.caps.values()) else None)
        try:
            yield self
        finally:
            _current.reset(token)

    def spent(self) -> Spent:
        """What the account has spent until now, without what is in flight."""
        with self._transaction() as connection:
            _settle_dead(connection, self.account)
            return _sum(connection, "budget_spent", self.account)

    async def reserve(self, name: str, backend: Backend, request: Request) -> Charge:
        """Reserve the most that an attempt can take; waits while attempts in flight may yet turn out cheaper.

        Raises BudgetError when the rest does not suffice, and ConfigError when nobody knows the most.
        """
        most = self._most(name, backend, request)
        pause_s = 0.005
        while (charge := self._try(most)) is None:
            await asyncio.sleep(pause_s)
            pause_s = min(0.1, 2 * pause_s)
        return charge

    def _try(self, most: Spent) -> Charge | None:
        with self._transaction() as connection:
            spent, held = (_sum(connection, table, self.account) for table in ("budget_spent", "budget_reserved"))
            if self._short(spent, held, most) and held.calls and _settle_dead(connection, self.account):
                spent, held = (_sum(connection, table, self.account) for table in ("budget_spent", "budget_reserved"))
            if self._short(spent, held, most) is None:
                values = (self.account, this_process(), time.time(), *most)
                statement = "INSERT INTO budget_reserved VALUES (NULL, ?, ?, ?, ?, ?, ?)"
                return Charge(self, connection.execute(statement, values).lastrowid or 0, most)
        sure = spent._replace(calls=spent.calls + held.calls)  # a call in flight stays a call, however cheap
        short = self._short(sure, Spent(), most)
        if short is None:
            return None
        raise self._error(short, sure, most)

    def renew(self) -> None:
        """Tell other machines that this process lives, which has reserved something."""
        statement = "UPDATE budget_reserved SET since = ? WHERE account = ? AND owner = ?"
        with self._transaction() as connection:
            connection.execute(statement, (time.time(), self.account, this_process()))

    def _short(self, spent: Spent, held: Spent, most: Spent) -> str | None:
        """The cap that would be passed."""
        for (name, cap), *parts in zip(self.caps.items(), spent, held, most, strict=True):
            if cap is not None and sum(parts) > cap * (1 + _ROUNDING):
                return name
        return None

    def _error(self, short: str, sure: Spent, most: Spent) -> BudgetError:
        cap, was, more = self.caps[short], getattr(sure, short), getattr(most, short)
        if short == "calls":
            reason, cheaper = f"{was} are spent or in flight", ""
        else:
            reason, cheaper = f"{was:.6g} is spent, and this call may take {more:.6g}", "lower max_tokens, "
        return BudgetError(
            f"budget.{short}={cap:g} does not allow another call: {reason} (account {self.account!r}); "
            f"raise budget.{short}, {cheaper}or name another budget.account"
        )

    def _most(self, name: str, backend: Backend, request: Request) -> Spent:
        """A sure upper bound of what one attempt takes: no token is shorter than a byte."""
        capped = [cap for cap in ("tokens", "usd") if self.caps[cap] is not None]
        if not capped:
            return Spent(calls=1)
        price = backend.price()
        if price is None and "usd" in capped:
            raise ConfigError(
                f"budget.usd needs the price of {name!r}, which is unknown; "
                "give one (price: {prompt: …, completion: …} in US dollars per million tokens)"
            )
        if links_media(request):
            raise ConfigError(
                f"budget.{capped[0]}: nobody knows how many tokens the pictures and files are that a request to "
                f"{name!r} links to; send them as data, or cap budget.calls alone"
            )
        longest = request.options.max_tokens
        if longest is None:
            known = getattr(backend, "max_output_tokens", None)  # a backend need not know
            longest = known() if known is not None else None
        tier = request.options.extra.get("service_tier")
        if longest is None:
            if capped == ["usd"] and price is not None and price.most(0, 1, tier) == 0:
                longest = 0
            else:
                raise ConfigError(
                    f"budget.{capped[0]} needs max_tokens: nobody knows how long a reply of {name!r} can be; give it "
                    "to whatever asks this model: a generator, a judge, an optimizer (the pipeline: program.max_tokens)"
                )
        longest *= request.choices
        prompt = prompt_bytes(request) + _ADDED + _ADDED_PER_MESSAGE * len(request.messages)
        usd = 0.0 if price is None else price.most(prompt, longest, tier)
        return Spent(1, prompt + longest, usd)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self.ledger.transaction() as connection:
            if not self._has_tables:
                for statement in _TABLES:
                    connection.execute(statement)
            yield connection
        self._has_tables = True


class Charge:
    """What one attempt has reserved; settled once."""

    __slots__ = ("_id", "_most", "budget")

    def __init__(self, budget: Budget, id_: int, most: Spent) -> None:
        self.budget = budget
        self._id = id_
        self._most = most
        _unsettled.add(self)
        _keep_renewing()

    def settle(self, tokens: int = 0, usd: float = 0.0) -> None:
        """The attempt took this much; one that failed is a call all the same."""
        self._settle(Spent(1, tokens, usd))

    def in_full(self) -> None:
        """Nobody knows what the attempt took: it was cut off."""
        self._settle(self._most)

    def _settle(self, took: Spent) -> None:
        _unsettled.discard(self)
        with self.budget.ledger.transaction() as connection:
            deleted = connection.execute("DELETE FROM budget_reserved WHERE id = ?", (self._id,)).rowcount
            if deleted:  # else another process took this one for dead, and counted it in full
                _spend(connection, self.budget.account, took)


_unsettled: set[Charge] = set()
_renewing: threading.Thread | None = None


def _keep_renewing() -> None:
    """Begin to renew what this process has reserved, in a thread: an event loop may stand still for long."""
    global _renewing
    if _renewing is None or not _renewing.is_alive():  # a fork has no threads
        _renewing = threading.Thread(target=_renew, name="paretune-budgets", daemon=True)
        _renewing.start()


def _renew() -> None:
    while True:
        time.sleep(LEASE_S / 4)
        for budget in {charge.budget for charge in list(_unsettled)}:
            with contextlib.suppress(ConfigError):  # whoever needs the ledger will say it
                budget.renew()


_current: ContextVar[Budget | None] = ContextVar("paretune_budget", default=None)


def current_budget() -> Budget | None:
    """The budget that attempts are charged to here."""
    return _current.get()


def prompt_bytes(request: Request) -> int:
    """The size of everything in a request that a model reads."""
    if request.body is not None:
        return len(canonical_json(request.body).encode())
    size = sum(len(content.encode()) for _, content in request.messages)
    more = [part for part in (request.schema, request.options.extra) if part]  # a provider's parameter may be text
    return size + sum(len(canonical_json(part).encode()) for part in more)


def _sum(connection: sqlite3.Connection, table: str, account: str) -> Spent:
    sums = "COALESCE(SUM(calls), 0), COALESCE(SUM(tokens), 0), COALESCE(SUM(usd), 0.0)"
    return Spent(*connection.execute(f"SELECT {sums} FROM {table} WHERE account = ?", (account,)).fetchone())


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
