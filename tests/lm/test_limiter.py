"""The limiter: calls at once, calls and tokens a minute, fairness, and what a rate limit changes."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import FatalError, TransientError, UsageError
from paretune.lm.limiter import Limiter, Places


class Time:
    """Time that passes when everybody waits for it, and only then."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, self._count, future))
        await future

    async def pass_until(self, done: Callable[[], bool]) -> None:
        """Let time pass until ``done``; nothing left to wait for is a stall."""
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            if done():
                return
            assert self._sleepers, "nobody will ever wake"
            self.now, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            task = asyncio.create_task(work())
            await self.pass_until(task.done)
            await task

        asyncio.run(main())


class Log:
    """Attempts under a limiter, as they began and ended."""

    def __init__(self, time: Time, limiter: Limiter) -> None:
        self.time = time
        self.limiter = limiter
        self.begun: list[tuple[float, int, int]] = []
        self.in_flight = 0

    async def attempt(
        self,
        number: int,
        seconds: float = 1.0,
        tokens: int = 0,
        real: int | None = None,
        error: Exception | None = None,
    ) -> None:
        try:
            async with self.limiter.attempt(tokens) as attempt:
                self.begun.append((self.time.now, number, tokens))
                self.in_flight += 1
                try:
                    await self.time.sleep(seconds)
                    if error is not None:
                        raise error
                    attempt.settle(tokens if real is None else real)
                finally:
                    self.in_flight -= 1
        except TransientError:
            assert error is not None

    async def all(self, *attempts: Coroutine[Any, Any, None]) -> None:
        await asyncio.gather(*attempts)


def limited(*limits: int | None) -> tuple[Time, Log]:
    time = Time()
    return time, Log(time, Limiter(*limits, clock=time.clock, pause=time.sleep))  # type: ignore[arg-type]


def too_many(retry_after: float | None = None) -> TransientError:
    return TransientError("too many", retry_after, rate_limited=True)


attempts = st.lists(
    st.tuples(
        st.floats(0, 100),  # when it comes
        st.floats(0, 100),  # how long it takes
        st.integers(0, 120),  # tokens
        st.sampled_from(["answered", "answered", "rate limit", "retry after", "error", "cancelled"]),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(attempts, st.integers(1, 5), st.none() | st.integers(1, 4), st.none() | st.integers(50, 200))
def test_no_limit_is_passed_and_nothing_stalls(
    planned: list[tuple[float, float, int, str]], concurrency: int, requests: int | None, tokens: int | None
) -> None:
    """Whatever comes, fails and goes away: every limit holds in every window, and everybody has a turn."""
    time, log = limited(concurrency, requests, tokens)
    peaks: list[int] = []

    async def one(number: int, comes: float, takes: float, size: int, fate: str) -> None:
        await time.sleep(comes)
        error = {"rate limit": too_many(), "retry after": too_many(20.0), "error": TransientError("")}.get(fate)
        task = asyncio.create_task(log.attempt(number, takes, size, error=error))
        await asyncio.sleep(0)
        peaks.append(log.in_flight)
        if fate == "cancelled":
            await time.sleep(5)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled() or task.exception() is None

    async def work() -> None:
        await asyncio.gather(*(one(number, *plan) for number, plan in enumerate(planned)))

    time.run(work)
    assert max(peaks, default=0) <= concurrency
    assert log.limiter.in_flight == 0
    assert {number for number, plan in enumerate(planned) if plan[3] != "cancelled"} <= {one[1] for one in log.begun}
    for start, _, _ in log.begun:
        window = [size for began, _, size in log.begun if start <= began < start + 60 - 1e-9]  # sums of floats
        assert requests is None or len(window) <= requests
        assert tokens is None or sum(window) <= tokens or len([size for size in window if size]) == 1


def test_first_come_first_served() -> None:
    """Attempts begin in the order in which they came, also after a cancelled one and one that takes long."""
    time, log = limited(2)

    async def work() -> None:
        tasks = [asyncio.create_task(log.attempt(number, 5.0 if number == 1 else 1.0)) for number in range(8)]
        await time.sleep(0.5)
        tasks[3].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    time.run(work)
    assert [number for _, number, _ in log.begun] == [0, 1, 2, 4, 5, 6, 7]


def test_a_turn_that_comes_with_the_cancellation_is_passed_on() -> None:
    """Whoever is cancelled in the moment in which its turn came leaves the place to the next."""
    time, log = limited(1)

    async def work() -> None:
        holder = log.limiter.attempt()
        await holder.__aenter__()
        tasks = [asyncio.create_task(log.attempt(number)) for number in range(2)]
        await asyncio.sleep(0)
        await holder.__aexit__(None, None, None)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    time.run(work)
    assert [number for _, number, _ in log.begun] == [1]


def test_a_fatal_error_is_everybodys() -> None:
    """Whoever waits when no call can succeed gets the error and sends nothing, also where it is cancelled in that
    moment; whoever comes later may try."""
    time, log = limited(1)
    errors: list[BaseException | None] = []

    async def work() -> None:
        holder = log.limiter.attempt()
        await holder.__aenter__()
        tasks = [asyncio.create_task(log.attempt(number)) for number in range(3)]
        await asyncio.sleep(0)
        await holder.__aexit__(None, FatalError("the key is refused"), None)
        tasks[0].cancel()
        errors.extend(await asyncio.gather(*tasks, return_exceptions=True))
        await log.attempt(3)

    time.run(work)
    assert [number for _, number, _ in log.begun] == [3]
    assert [str(error) for error in errors[1:]] == ["the key is refused"] * 2
    assert log.limiter.in_flight == 0


def test_a_rate_limit_halves_once_a_round_and_successes_raise() -> None:
    """Of 8 in flight together five are refused: 4 remain. Then windows of 4, 5, 6 and 7 successes raise it to 8."""
    time, log = limited(8)
    limits: list[int] = []

    async def work() -> None:
        await log.all(*(log.attempt(number, error=too_many() if number < 5 else None) for number in range(8)))
        limits.append(log.limiter.limit)
        for window in (3, 1, 5, 6, 7, 20):
            await log.all(*(log.attempt(number) for number in range(window)))
            limits.append(log.limiter.limit)

    time.run(work)
    assert limits == [4, 4, 5, 6, 7, 8, 8]


def test_rate_limits_round_after_round_leave_one() -> None:
    """The limit falls by half each round, and never below one."""
    time, log = limited(6)
    limits: list[int] = []

    async def work() -> None:
        for _ in range(5):
            await log.attempt(0, error=too_many())
            limits.append(log.limiter.limit)

    time.run(work)
    assert limits == [3, 1, 1, 1, 1]


def test_other_errors_change_nothing() -> None:
    """A time-out or a server's fault is no sign of too many calls."""
    time, log = limited(6)
    time.run(lambda: log.attempt(0, error=TransientError("time-out", 30.0)))
    assert log.limiter.limit == 6
    time.run(lambda: log.attempt(1))
    assert [began for began, _, _ in log.begun] == [0, 1]


def test_retry_after_holds_back_all_new_attempts() -> None:
    """After a rate limit at second 1 with Retry-After 30 nothing begins before second 31; what runs goes on."""
    time, log = limited(3)

    async def work() -> None:
        running = log.attempt(0, 5.0), log.attempt(1, 1.0, error=too_many(30.0))
        await log.all(*running, *(log.attempt(number) for number in range(2, 6)))

    time.run(work)
    assert [(began, number) for began, number, _ in log.begun] == [
        *((0, 0), (0, 1), (0, 2)),  # three at once
        *((31, 3), (32, 4), (32, 5)),  # one at once, as the limit was halved; its success makes them two
    ]


def test_calls_a_minute() -> None:
    """Two a minute: the first two at once, the next two a minute (and a second) later, however short they are."""
    time, log = limited(9, 2)
    time.run(lambda: log.all(*(log.attempt(number, 0.1) for number in range(5))))
    assert [began for began, _, _ in log.begun] == [0, 0, 61, 61, 122]


def test_the_minute_begins_when_it_is_sent() -> None:
    """What takes ten seconds to prepare leaves the window a minute after that; what takes longer than its window, a
    minute after it was sent as well."""
    time, log = limited(9, 1)
    begun: list[float] = []

    async def prepared(seconds: float) -> None:
        async with log.limiter.attempt() as attempt:
            await time.sleep(seconds)
            attempt.sent()
            begun.append(time.now)

    time.run(lambda: log.all(prepared(10), prepared(10), prepared(0)))
    assert begun == [10, 81, 142]


def test_tokens_a_minute_are_settled() -> None:
    """Of 100 a minute 80 are estimated and 30 taken: 70 more fit at once when that is known, the next 1 does not."""
    time, log = limited(9, None, 100)
    time.run(lambda: log.all(log.attempt(0, 1.0, 80, real=30), log.attempt(1, 1.0, 70), log.attempt(2, 1.0, 1)))
    assert [began for began, _, _ in log.begun] == [0, 1, 61]


def test_an_attempt_above_the_whole_limit_goes_alone() -> None:
    """More tokens than a minute allows wait for an empty window, instead of for ever."""
    time, log = limited(9, None, 100)
    time.run(lambda: log.all(log.attempt(0, 1, 10), log.attempt(1, 1, 500), log.attempt(2, 1, 10)))
    assert [began for began, _, _ in log.begun] == [0, 61, 122]


@pytest.mark.parametrize("limits", [(0,), (1, 0), (1, None, 0)])
def test_limits_below_one_are_refused(limits: tuple[int | None, ...]) -> None:
    """A limiter that lets nobody go is an error where it is made."""
    with pytest.raises(UsageError, match="must be at least 1"):
        Limiter(*limits)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(1, 9), st.booleans()), min_size=1, max_size=30
    ),
)
def test_shared_places(count: int, attempts: list[tuple[int, int, int, bool]]) -> None:
    """Over several limiters no more go at once than there are places, whoever is cancelled; all come through in the
    end, and every place is free again."""
    time = Time()
    places = Places(count)
    limiters = [Limiter(3, clock=time.clock, pause=time.sleep, places=places) for _ in range(3)]
    now, done = [0], [0]

    async def attempt(which: int, wait: int, length: int) -> None:
        await time.sleep(wait)
        async with limiters[which].attempt():
            now[0] += 1
            assert now[0] <= count
            try:
                await time.sleep(length)
            finally:
                now[0] -= 1
        done[0] += 1

    async def cancel(task: asyncio.Task[None], after: int) -> None:
        await time.sleep(after)
        task.cancel()

    async def work() -> None:
        tasks = []
        for which, wait, length, stays in attempts:
            task = asyncio.create_task(attempt(which, wait, length))
            tasks += [task] if stays else [task, asyncio.create_task(cancel(task, wait + length // 2))]
        await asyncio.gather(*tasks, return_exceptions=True)

    time.run(work)
    assert done[0] >= sum(stays for *_, stays in attempts)
    assert places.free == count and all(limiter.in_flight == 0 for limiter in limiters)


def test_waiting_for_a_place_is_no_beginning() -> None:
    """What waits for a place of its server has not begun: its minute does not run, and a rate limit holds it back."""
    time = Time()
    places = Places(1)
    busy = Limiter(1, clock=time.clock, pause=time.sleep, places=places)
    slow = Limiter(5, requests_per_minute=2, clock=time.clock, pause=time.sleep, places=places)
    began: list[float] = []

    async def hold() -> None:
        async with busy.attempt():
            await time.sleep(200.0)

    async def attempt() -> None:
        async with slow.attempt() as place:
            place.sent()
            began.append(time.now)

    async def work() -> None:
        await asyncio.gather(hold(), *(attempt() for _ in range(5)))

    time.run(work)
    assert began[:2] == [200.0, 200.0]
    assert all(later - earlier >= 60.0 for earlier, later in zip(began, began[2:], strict=False))
