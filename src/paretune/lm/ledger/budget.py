"""A hard cap on what all processes that share a ledger may spend on calls, retries included.

Each attempt reserves the most that it can take before it is sent, and is settled with what it took: the sum of what is
spent and what is reserved never passes the cap. Both live where the ledger is (see lm.ledger.accounts), so that the cap
holds over processes, reruns and kills: what was in flight when a process died counts as spent in full.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from paretune.errors import BudgetError, ConfigError, UsageError
from paretune.files import canonical_json
from paretune.lm.ledger.accounts import Spent, short_of
from paretune.lm.ledger.away import patiently
from paretune.lm.ledger.default import default_ledger
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.passing import links_media
from paretune.lm.types import Backend, Request

__all__ = ["Budget", "Charge", "Spent", "current_budget", "prompt_bytes"]

#: What a provider may add to a prompt beside its text (roles, instructions for tools), in tokens.
_ADDED = 600
_ADDED_PER_MESSAGE = 16


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
        return self.ledger.accounts.spent(self.account)

    async def reserve(self, name: str, backend: Backend, request: Request) -> Charge:
        """Reserve the most that an attempt can take; waits while attempts in flight may yet turn out cheaper.

        Raises BudgetError when the rest does not suffice, and ConfigError when nobody knows the most.
        """
        most = self._most(name, backend, request)
        ticket, pause_s = uuid.uuid4().hex, 0.005
        while not await patiently(lambda: self._try(most, ticket)):
            await asyncio.sleep(pause_s)
            pause_s = min(0.1, 2 * pause_s)
        return Charge(self, ticket, most)

    async def _try(self, most: Spent, ticket: str) -> bool:
        reserved, spent, held = await self.ledger.accounts.reserve(self.account, self.caps, most, ticket)
        sure = spent._replace(calls=spent.calls + held.calls)  # a call in flight stays a call, however cheap
        if not reserved and (short := short_of(self.caps, sure, most)):
            raise self._error(short, sure, most)
        return reserved

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


class Charge:
    """What one attempt has reserved; settled once."""

    __slots__ = ("_most", "_ticket", "budget")

    def __init__(self, budget: Budget, ticket: str, most: Spent) -> None:
        self.budget = budget
        self._ticket = ticket
        self._most = most

    def settle(self, tokens: int = 0, usd: float = 0.0) -> None:
        """The attempt took this much; one that failed is a call all the same."""
        self._settle(Spent(1, tokens, usd))

    def in_full(self) -> None:
        """Nobody knows what the attempt took: it was cut off."""
        self._settle(self._most)

    def _settle(self, took: Spent) -> None:
        self.budget.ledger.accounts.settle(self.budget.account, self._ticket, took)


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
