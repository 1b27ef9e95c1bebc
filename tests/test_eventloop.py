"""Running coroutines from any kind of code, and many of them in order."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import socket
import threading
import time

import pytest

from paretune.eventloop import in_thread, map_ordered, once_in_thread, run_maybe_nested, run_together, take_turn


async def answer() -> int:
    """A coroutine that really suspends."""
    await asyncio.sleep(0)
    return 42


class Oddity(Exception):
    """An error of nobody else's."""


async def fail() -> None:
    """A coroutine that fails with a cause."""
    await asyncio.sleep(0)
    raise Oddity("odd") from ValueError("reason")


def test_from_plain_code():
    """Without a loop the coroutine runs to its end and gives its result."""
    assert run_maybe_nested(answer()) == 42


def test_inside_a_running_loop():
    """Called from code that a loop runs (as in a notebook), it gives the result as well."""

    async def cell() -> int:
        return run_maybe_nested(answer())

    assert asyncio.run(cell()) == 42


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_nested_inside_itself(depth):
    """A coroutine that it runs may call it again, to any depth."""

    async def nested(level: int) -> int:
        return run_maybe_nested(nested(level - 1)) + 1 if level else await answer()

    assert run_maybe_nested(nested(depth)) == 42 + depth
    assert asyncio.run(nested(depth)) == 42 + depth


def test_from_a_thread_of_nested_code():
    """Code that nested code hands to a thread may call it too."""

    async def inner() -> int:
        return await asyncio.to_thread(lambda: run_maybe_nested(answer()))

    async def outer() -> int:
        return run_maybe_nested(inner())

    assert run_maybe_nested(outer()) == 42


def test_from_several_threads_at_once():
    """Threads share the loop without waiting for each other."""
    both = threading.Barrier(2, timeout=5)

    async def meet() -> int:
        return await asyncio.to_thread(both.wait)

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(run_maybe_nested(meet()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1]


def test_one_loop_for_all():
    """Coroutines of separate calls run in the same loop, so that connections and limits live on."""

    async def loop() -> int:
        return id(asyncio.get_running_loop())

    assert run_maybe_nested(loop()) == run_maybe_nested(loop())


def test_context_is_carried_over():
    """Context variables of the caller hold inside, nested or not."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def read() -> str:
        return variable.get()

    async def nested() -> str:
        return run_maybe_nested(read())

    variable.set("set")
    assert run_maybe_nested(read()) == run_maybe_nested(nested()) == "set"


@pytest.mark.parametrize("nested", [False, True])
def test_errors_keep_their_type_and_cause(nested):
    """An error comes out as itself, with its cause."""

    async def outer() -> None:
        run_maybe_nested(fail())

    with pytest.raises(Oddity) as raised:
        run_maybe_nested(outer() if nested else fail())
    assert isinstance(raised.value.__cause__, ValueError)


def test_interrupt_cancels_and_cleans_up():
    """Ctrl-C cancels the coroutine and waits for its clean-up; the loop is good for the next call."""
    started, events = threading.Event(), []

    async def forever() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            events.append("cleaned up")

    def interrupt() -> None:
        started.wait(5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            run_maybe_nested(forever())
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert events == ["cleaned up"]
    assert run_maybe_nested(answer()) == 42


@pytest.mark.parametrize(("n", "limit"), [(0, 3), (1, 3), (20, 1), (20, 3), (20, 100)])
def test_map_ordered(n, limit):
    """Results stand in the order of the items, whichever ends first, and never more than the limit are at work."""
    running, peak = 0, 0

    async def work(item: int) -> int:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        for _ in range((n - item) % 7 + n):  # longer than it takes to begin all
            await asyncio.sleep(0)
        running -= 1
        return item * item

    assert run_maybe_nested(map_ordered(work, range(n), limit)) == [item * item for item in range(n)]
    assert peak == min(n, limit)


def test_map_ordered_raises_the_first_error():
    """The first error is raised as itself with its cause, what still runs is cancelled, and nothing more is begun."""
    begun, cancelled = [], []

    async def work(item: int) -> None:
        begun.append(item)
        if item == 2:
            await fail()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    with pytest.raises(Oddity) as raised:
        run_maybe_nested(map_ordered(work, range(10), 4))
    assert isinstance(raised.value.__cause__, ValueError)
    assert begun == [0, 1, 2, 3] and sorted(cancelled) == [0, 1, 3]


def test_run_together_raises_what_was_raised():
    """An error group that a coroutine raises itself is not taken apart."""

    async def several() -> None:
        raise ExceptionGroup("several", [Oddity("a"), Oddity("b")])

    with pytest.raises(ExceptionGroup, match="several"):
        run_maybe_nested(run_together([several()]))


def test_what_can_go_on_at_the_same_moment_goes_on_a_few_at_a_time():
    """Of a thousand that wait for one event, few go on before everything else has had its turn; in order."""
    gone, longest = [], 0

    async def go(number: int, event: asyncio.Event) -> None:
        await event.wait()
        await take_turn()
        gone.append(number)

    async def look() -> None:
        nonlocal longest
        event = asyncio.Event()
        tasks = [asyncio.create_task(go(number, event)) for number in range(1_000)]
        await asyncio.sleep(0)
        event.set()
        before = 0
        while len(gone) < 1_000:
            await asyncio.sleep(0)
            longest, before = max(longest, len(gone) - before), len(gone)
        await asyncio.gather(*tasks)

    run_maybe_nested(look())
    assert gone == list(range(1_000))
    assert 1 <= longest <= 20


def test_a_caller_that_goes_away_takes_no_turn():
    """Those behind one that was cancelled while it waited go on."""

    async def some() -> int:
        tasks = [asyncio.create_task(take_turn()) for _ in range(100)]
        await asyncio.sleep(0)
        for task in tasks[50:60]:
            task.cancel()
        return sum(found is None for found in await asyncio.gather(*tasks, return_exceptions=True))

    assert run_maybe_nested(some()) == 90


def test_items_are_begun_a_few_at_a_time():
    """A thousand items whose work never suspends (the ledger has all replies) leave the loop to others in between."""
    turns = 0

    async def work(item: int) -> int:
        return item

    async def both() -> list[int]:
        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        watching = asyncio.create_task(others())
        found = await map_ordered(work, range(1_000), 300)
        watching.cancel()
        return found

    assert run_maybe_nested(both()) == list(range(1_000))
    assert turns > 50


def test_many_replies_at_once_are_read_a_few_at_a_time():
    """Of a hundred sockets that have something to read, the loop reads few before it goes on."""
    read, longest = 0, 0

    async def look() -> None:
        nonlocal read, longest
        loop = asyncio.get_running_loop()
        pairs = [socket.socketpair() for _ in range(100)]

        def take(ours: socket.socket) -> None:
            nonlocal read
            read += len(ours.recv(1))
            loop.remove_reader(ours)

        for ours, theirs in pairs:
            loop.add_reader(ours, take, ours)
            theirs.send(b"x")
        before = 0
        while read < 100:
            await asyncio.sleep(0)
            longest, before = max(longest, read - before), read
        for pair in pairs:
            for end in pair:
                end.close()

    run_maybe_nested(look())
    assert longest <= 10


def test_a_thread_is_waited_for_when_its_caller_is_cancelled():
    """What is written in a thread is written when the cancellation goes on."""
    began, ended = threading.Event(), threading.Event()

    def write() -> None:
        began.set()
        time.sleep(0.05)
        ended.set()

    async def cancel() -> bool:
        task = asyncio.create_task(in_thread(write))
        await asyncio.to_thread(began.wait)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return ended.is_set()

    assert run_maybe_nested(cancel())


def test_what_many_want_runs_once_in_a_thread():
    """Whoever comes while it runs gets the same; later it runs anew, and an error is everybody's."""
    ran = []

    def work() -> int:
        time.sleep(0.02)
        ran.append(threading.current_thread().name)
        if len(ran) > 1:
            raise Oddity("second")
        return len(ran)

    async def many() -> list[object]:
        return await asyncio.gather(*(once_in_thread(work) for _ in range(20)), return_exceptions=True)

    assert run_maybe_nested(many()) == [1] * 20
    assert [type(each) for each in run_maybe_nested(many())] == [Oddity] * 20
    assert len(ran) == 2 and "paretune-loop" not in ran
