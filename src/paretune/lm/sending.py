"""A question on its way: the attempts to get its answer, in one task for all who ask the same.

What was sent is paid for, so nobody who goes away takes the answer along: a call in flight goes on, and its reply is
stored, unless it is known to be free. What has not begun (the wait for a place, the pause between attempts) ends when
nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from paretune.errors import ConfigError, TransientError
from paretune.eventloop import take_turn
from paretune.lm.ledger.budget import Charge, current_budget, prompt_bytes
from paretune.lm.limiter import Attempt, Limiter
from paretune.lm.types import Answer, Backend, Price, Reply, Request

__all__ = ["Retries", "Sending", "drain"]

#: Its own source of chance, so that the programs' seeds are left alone.
_jitter = random.Random()

#: What is in flight although nobody waits for it any more, by event loop.
_left: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, set[Sending]] = weakref.WeakKeyDictionary()


async def drain(timeout_s: float, tell: Callable[[int], object] = lambda _: None) -> int:
    """Wait until every call in flight on this event loop whose callers went away is answered, and its reply stored.

    Calls that somebody waits for are left alone, and those that cost nothing are dropped. Returns how many were given
    up after ``timeout_s`` seconds: their replies are lost, and a budget counts them in full.
    """
    left = [sending for sending in _left.get(asyncio.get_running_loop(), ()) if not sending.is_wanted]
    await _drop([sending for sending in left if sending.is_free])
    left = [sending for sending in left if not sending.is_free]
    if left:
        tell(len(left))
        await asyncio.wait([sending.task for sending in left], timeout=timeout_s)
    return await _drop(left)


async def _drop(sendings: Sequence[Sending]) -> int:
    """Cancel those of these calls that nobody waits for; how many there were."""
    dropped = [sending.task for sending in sendings if not sending.task.done() and not sending.is_wanted]
    for task in dropped:
        task.cancel()
    if dropped:
        await asyncio.wait(dropped)
    return len(dropped)


class Retries(NamedTuple):
    """How long an answer is tried for: attempts, and seconds over all attempts and the pauses between them."""

    max_attempts: int
    total_timeout_s: float
    pause: Callable[[float], Awaitable[object]]


class Sending:
    """One question on its way, for any number of callers of ``wait``.

    ``claim`` is a context in which nobody else sends this; it gives the reply where one has come meanwhile. ``store``
    makes the reply of an answer, the seconds that its attempt took, and the number of attempts.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        request: Request,
        limiter: Limiter,
        retries: Retries,
        claim: Callable[[], AbstractAsyncContextManager[Reply | None]],
        store: Callable[[Answer, float, int], Awaitable[Reply]],
    ) -> None:
        self.name = name
        self.backend = backend
        self.request = request
        self.limiter = limiter
        self.retries = retries
        self._claim = claim
        self._store = store
        self._listed: tuple[dict[str, Sending], str] = ({}, "")
        self._waiting = 0
        self._in_flight = False
        #: Whether what is in flight costs nothing, in dollars or by a budget.
        self.is_free = False
        #: Seconds of attempts and pauses until now.
        self._spent_s = 0.0
        self.task = asyncio.create_task(self._run())

    def list_in(self, on_the_way: dict[str, Sending], key: str) -> None:
        """Be found by others who ask the same, for as long as they may join."""
        on_the_way[key] = self
        self._listed = on_the_way, key

    def _unlist(self) -> None:
        on_the_way, key = self._listed
        if on_the_way.get(key) is self:
            del on_the_way[key]

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for the reply."""
        return self._waiting > 0

    async def wait(self) -> Reply:
        """The reply. Raises the error of the last attempt."""
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting -= 1
            if not self.is_wanted and not self.task.done():
                self._leave()

    def _leave(self) -> None:
        if self._in_flight:
            left = _left.setdefault(asyncio.get_running_loop(), set())
            left.add(self)
            self.task.add_done_callback(lambda _: left.discard(self))
            self.task.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody else retrieves it
        else:
            self._unlist()
            self.task.cancel()

    async def _run(self) -> Reply:
        try:
            async with self._claim() as reply:
                return reply or await self._try()
        finally:
            self._unlist()

    async def _try(self) -> Reply:
        """Attempt until it succeeds, with capped exponential backoff and full jitter between the attempts."""
        for attempt in range(1, self.retries.max_attempts + 1):
            try:
                return await self._attempt(attempt)
            except TransientError as error:
                if not self.is_wanted:
                    raise
                if attempt == self.retries.max_attempts:
                    raise self._gave_up(f"{attempt} attempts", error) from error
                ceiling = min(30.0, 0.5 * 2.0 ** (attempt - 1))
                pause_s = max(_jitter.uniform(0, ceiling), error.retry_after or 0.0)
                if self._spent_s + pause_s >= self.retries.total_timeout_s:
                    seconds = f"{self._spent_s:.0f} s and {attempt} attempts"
                    raise self._gave_up(seconds, error) from error
            self._spent_s += pause_s
            await self.retries.pause(pause_s)
        raise AssertionError("unreachable")

    def _gave_up(self, after: str, error: TransientError) -> TransientError:
        return TransientError(f"{self.name}: gave up after {after}: {error}", error.retry_after, error.rate_limited)

    async def _attempt(self, attempt: int) -> Reply:
        estimate = 0 if self.limiter.tokens_per_minute is None else _estimated_tokens(self.request)
        try:
            async with self.limiter.attempt(estimate) as place:
                answer, latency_s, charge = await self._answer(place)
            # Nothing has suspended since the answer came; storing keeps what was paid for also where it is cancelled.
            try:
                reply = await self._store(answer, latency_s, attempt)
            except BaseException:
                with contextlib.suppress(ConfigError):  # the first error tells more
                    self._settle(charge, answer)
                raise
            self._settle(charge, answer)
            return reply
        finally:
            self._in_flight = False

    def _settle(self, charge: Charge | None, answer: Answer) -> None:
        if charge is not None:
            price = self.backend.price()
            charge.settle(_tokens(answer), 0.0 if price is None else price.cost(answer))

    async def _answer(self, place: Attempt) -> tuple[Answer, float, Charge | None]:
        """What the model answers, the seconds that it took, and what is to be settled."""
        await self.backend.prepare()
        await take_turn()
        budget = current_budget()
        charge = None if budget is None else await budget.reserve(self.name, self.backend, self.request)
        deadline = asyncio.timeout(self.retries.total_timeout_s - self._spent_s)
        self.is_free = charge is None and self.backend.price() == Price(0.0, 0.0)
        place.sent()
        started = time.perf_counter()
        self._in_flight = True
        try:
            async with deadline:
                answer = await self.backend.send(self.request)
        except BaseException as error:
            if charge is not None:
                unknown = deadline.expired() or not isinstance(error, Exception)
                charge.in_full() if unknown else charge.settle()
            if deadline.expired():
                self._spent_s = self.retries.total_timeout_s
                raise TransientError(f"{self.name}: no answer in time") from None
            self._spent_s += time.perf_counter() - started
            raise
        latency_s = round(time.perf_counter() - started, 4)
        place.settle(_tokens(answer))
        return answer, latency_s, charge


def _tokens(answer: Answer) -> int:
    return (answer.prompt_tokens or 0) + (answer.completion_tokens or 0)


def _estimated_tokens(request: Request) -> int:
    """Four bytes are about one token; the completion is counted at its longest, where that is given."""
    return prompt_bytes(request) // 4 + (request.options.max_tokens or 0) * request.choices
