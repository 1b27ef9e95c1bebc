"""How many calls a model gets at once, and how many calls and tokens a minute."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any

from paretune.errors import BudgetError, FatalError, TransientError, UsageError

__all__ = ["Attempt", "Limiter", "Places"]

#: The window of the limits a minute, in seconds: a second more, for requests that are not equally long under way.
_WINDOW_S = 61.0
_NEVER = float("-inf")
_WHEN_ONE_ENDS = float("inf")


class Limiter:
    """Lets attempts go in the order in which they came (FIFO), within three limits.

    Calls at once: at most ``limit``, which starts at ``concurrency``. A rate limit (status 429) halves it, once for all
    attempts that were in flight together; each full window of successes raises it by one (additive increase,
    multiplicative decrease, as TCP does). Retry-After of a rate limit holds back everything that has not begun.

    Calls and tokens a minute: a sliding window, so that no 60 seconds, wherever they begin, see more than the limit.
    Tokens are counted as estimated until ``Attempt.settle`` tells the real number; an attempt that is estimated above
    the whole limit goes alone in its window, so that it goes at all.

    Whose turn it is takes one of ``places`` as well, which limiters may share. One limiter belongs to one event loop.
    ``clock`` gives seconds, ``pause`` waits for some.
    """

    def __init__(
        self,
        concurrency: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        places: Places | None = None,
    ) -> None:
        for name, limit in (
            ("concurrency", concurrency),
            ("requests_per_minute", requests_per_minute),
            ("tokens_per_minute", tokens_per_minute),
        ):
            if limit is not None and limit < 1:
                raise UsageError(f"{name} must be at least 1 (got {limit})")
        self.concurrency = concurrency
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self.clock = clock
        self.pause = pause
        self.places = places
        #: How many may be in flight at once, now.
        self.limit = concurrency
        self.in_flight = 0
        self._queue: deque[tuple[asyncio.Future[None], Attempt]] = deque()
        #: Attempts of the last minute, in the order of their ends; one that is sent goes to the end at once.
        self._window: OrderedDict[Attempt, None] = OrderedDict()
        self._window_tokens = 0
        self._held_until = _NEVER
        #: The end of the last pause: time has come that far, whatever the clock's resolution.
        self._reached = _NEVER
        self._timer: asyncio.Task[None] | None = None
        self._round = 0
        self._successes = 0

    def attempt(self, tokens: int = 0) -> Attempt:
        """One attempt as an async context: it waits for its turn, and gives its place back at the end.

        ``tokens`` is what it will take, as estimated. A TransientError that leaves the block tells the limiter of rate
        limits; a FatalError is raised for everyone in the queue as well.
        """
        return Attempt(self, tokens)

    def _enter(self, attempt: Attempt) -> asyncio.Future[None] | None:
        """Begin at once (None), or queue up."""
        if not self._queue and self._ready_at(attempt) is None:
            self._begin(attempt)
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((future, attempt))
        self._admit()
        return future

    def _admit(self) -> None:
        """Let everyone go whose turn it is; where only time is missing, come back when it has passed."""
        while self._queue:
            future, attempt = self._queue[0]
            if not future.done():  # else its caller went away
                ready = self._ready_at(attempt)
                if ready is not None:
                    if ready < _WHEN_ONE_ENDS and self._timer is None:
                        self._timer = asyncio.get_running_loop().create_task(self._come_back(ready))
                    return
                self._begin(attempt)
                future.set_result(None)
            self._queue.popleft()

    def _ready_at(self, attempt: Attempt) -> float | None:
        """When an attempt may begin; None for now."""
        if self.in_flight >= self.limit:
            return _WHEN_ONE_ENDS
        ready = self._time_of(attempt)
        if ready is None and self.places is not None and not self.places.free_for(self):
            return _WHEN_ONE_ENDS
        return ready

    def _time_of(self, attempt: Attempt) -> float | None:
        """When the limits in time let an attempt go; None for now."""
        if not self._window and self._held_until == _NEVER:  # nothing that time could change
            return None
        now = self._now()
        while self._window and next(iter(self._window)).ends <= now:
            self._window_tokens -= self._window.popitem(last=False)[0].tokens
        many = self.requests_per_minute is not None and len(self._window) >= self.requests_per_minute
        if self._window and (many or self._is_much(attempt.tokens)):
            return max(next(iter(self._window)).ends, self._held_until)
        return self._held_until if self._held_until > now else None

    def _is_much(self, tokens: int) -> bool:
        return self.tokens_per_minute is not None and self._window_tokens + tokens > self.tokens_per_minute

    def _now(self) -> float:
        return max(self.clock(), self._reached)

    async def _come_back(self, ready: float) -> None:
        try:
            await self.pause(ready - self._now())
            self._reached = max(self._reached, ready)
        finally:
            self._timer = None
        self._admit()

    def _begin(self, attempt: Attempt) -> None:
        self.in_flight += 1
        if self.places is not None:
            self.places.free -= 1
        attempt.round = self._round
        if self.requests_per_minute is not None or self.tokens_per_minute is not None:
            attempt.ends = self._now() + _WINDOW_S
            self._window[attempt] = None
            self._window_tokens += attempt.tokens

    def _count_from_now(self, attempt: Attempt) -> None:
        if attempt.ends == _NEVER:
            return
        if attempt not in self._window:  # its window ended while it prepared
            self._window_tokens += attempt.tokens
        self._window[attempt] = None
        self._window.move_to_end(attempt)
        attempt.ends = self._now() + _WINDOW_S

    def _end(self, attempt: Attempt, error: BaseException | None) -> None:
        self.in_flight -= 1
        if isinstance(error, FatalError) and not isinstance(error, BudgetError):  # budgets differ from call to call
            self._refuse(error)
        elif isinstance(error, TransientError) and error.rate_limited:
            self._held_until = max(self._held_until, self._now() + (error.retry_after or 0.0))
            if attempt.round == self._round:
                self.limit = max(1, self.limit // 2)
                self._round += 1
                self._successes = 0
        elif error is None and attempt.round == self._round and self.limit < self.concurrency:
            self._successes += 1
            if self._successes >= self.limit:
                self.limit += 1
                self._successes = 0
        if self.places is not None:
            self.places.give_back()
        self._admit()

    def _refuse(self, error: FatalError) -> None:
        """No call can succeed: whoever waits for a place gets the error too, and sends nothing."""
        for future, _ in self._queue:
            if not future.done():
                future.set_exception(type(error)(str(error)))
        self._queue.clear()

    def _settle(self, attempt: Attempt, tokens: int) -> None:
        if attempt.ends > self._now():  # else it has left the window, or there is none
            self._window_tokens += tokens - attempt.tokens
            attempt.tokens = tokens


class Places:
    """How many calls a server takes at once, over the limiters of all its models."""

    def __init__(self, count: int) -> None:
        self.free = count
        #: The limiters that wait for a place, the one that has waited longest first.
        self._waiting: dict[Limiter, None] = {}

    def free_for(self, limiter: Limiter) -> bool:
        """Whether there is a place; where there is none, the limiter is told when there is."""
        if self.free <= 0:
            self._waiting[limiter] = None
        return self.free > 0

    def give_back(self) -> None:
        """One place is free again: it goes to who has waited longest."""
        self.free += 1
        for limiter in list(self._waiting):
            if self.free <= 0:
                break
            del self._waiting[limiter]
            limiter._admit()


class Attempt:
    """One attempt: ``async with limiter.attempt(tokens) as attempt``."""

    __slots__ = ("_limiter", "ends", "round", "tokens")

    def __init__(self, limiter: Limiter, tokens: int) -> None:
        self.tokens = tokens
        self.round = 0
        #: When it leaves the window of the limits a minute.
        self.ends = _NEVER
        self._limiter = limiter

    def sent(self) -> None:
        """Tell that it goes out only now, after preparations: the limits a minute count from here."""
        self._limiter._count_from_now(self)

    def settle(self, tokens: int) -> None:
        """Tell how many tokens it really took."""
        self._limiter._settle(self, tokens)

    async def __aenter__(self) -> Attempt:
        turn = self._limiter._enter(self)
        if turn is not None:
            try:
                await turn
            except asyncio.CancelledError as error:
                if turn.cancelled():
                    self._limiter._admit()
                elif turn.exception() is None:  # its turn came in the same moment
                    self._limiter._end(self, error)
                raise
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._limiter._end(self, error)
