"""One event loop for the whole process, so that the library works from scripts, notebooks and async code alike."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import selectors
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from paretune.collecting import collect_if_grown, seldom_collecting

__all__ = [
    "all_ended",
    "in_thread",
    "map_ordered",
    "new_loop",
    "on_another_loop",
    "once_in_thread",
    "run_maybe_nested",
    "run_together",
    "take_turn",
]

Item = TypeVar("Item")
Result = TypeVar("Result")

#: How long Ctrl-C waits for a coroutine's clean-up, in seconds: enough to store the replies of calls in flight. It goes
#: on as soon as that is done, and a second Ctrl-C ends the wait.
_CLEAN_UP_S = 60.0
#: How often whoever waits looks up, in seconds: a signal that came just before the wait began would not end it.
_WAKE_S = 0.5
#: So many replies are read, items of a map begun or calls sent, before everything else on the loop has its turn.
_AT_ONCE = 4
#: The process's growth is looked at after so many items of a map.
_ITEMS = 64

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
#: Whether the shared loop waits for the code that runs here, so that it cannot be asked to run anything.
_nested: contextvars.ContextVar[bool] = contextvars.ContextVar("paretune_nested", default=False)


def run_maybe_nested(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end and return its result, also when the caller already runs inside an event loop.

    All such coroutines share one loop in a background thread: connections and concurrency limits live as long as the
    process. Ctrl-C cancels the coroutine and waits for its clean-up before KeyboardInterrupt goes on.
    """
    loop = _shared_loop()
    if _nested.get() or _running_loop() is loop:  # waiting for the loop that waits for this would never end
        return _run_in_new_thread(coroutine)
    job = _Job(coroutine)
    try:
        future = asyncio.run_coroutine_threadsafe(job.run(), loop)
        while not concurrent.futures.wait([future], timeout=_WAKE_S).done:
            pass
        return future.result()
    except KeyboardInterrupt:
        asyncio.run_coroutine_threadsafe(job.cancel(), loop).result()
        raise


async def map_ordered(
    function: Callable[[Item], Awaitable[Result]], items: Sequence[Item], limit: int | None = None
) -> list[Result]:
    """Apply an async function to all items and return the results in input order.

    At most ``limit`` are begun and not yet ended at a time; None: all at once. They are begun a few at a time, so that
    the event loop goes on meanwhile.

    The first error cancels what is still running and is raised as itself.
    """
    results: list[Any] = [None] * len(items)
    room = asyncio.Semaphore(max(1, len(items)) if limit is None else limit)

    async def one(position: int) -> None:
        try:
            results[position] = await function(items[position])
        finally:
            room.release()

    async def begin(group: asyncio.TaskGroup) -> None:
        for position in range(len(items)):
            await room.acquire()
            await take_turn()
            group.create_task(one(position))
            if position % _ITEMS == _ITEMS - 1:
                collect_if_grown()

    with seldom_collecting():
        await _in_group(begin)
    return results


async def all_ended(coroutines: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results of coroutines that run side by side, in order. All run to their ends; then the first one's error is
    raised, whichever failed first."""
    if len(coroutines) == 1:
        return [await coroutines[0]]
    results: list[Result] = []
    for result in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


async def run_together(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines side by side to their ends; the first error cancels the others and is raised as itself."""

    async def begin(group: asyncio.TaskGroup) -> None:
        for coroutine in coroutines:
            group.create_task(coroutine)

    await _in_group(begin)


async def _in_group(begin: Callable[[asyncio.TaskGroup], Awaitable[None]]) -> None:
    """Run the tasks that are begun in a group to their ends."""
    first: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            await begin(group)
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
    if first is not None:  # raised out here, so that it keeps the cause and the context that it came with
        raise first


async def in_thread(function: Callable[[], Result]) -> Result:
    """What a function returns that works for long, in a thread: the event loop goes on meanwhile. A cancellation waits
    for its end."""
    working = asyncio.create_task(asyncio.to_thread(function))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


async def on_another_loop(function: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """As ``in_thread``, for a coroutine that works for long between its awaits."""
    return await in_thread(lambda: asyncio.run(function()))


_working: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Callable[[], Any], asyncio.Task[Any]]] = (
    weakref.WeakKeyDictionary()
)


async def once_in_thread(function: Callable[[], Result]) -> Result:
    """As ``in_thread``, for what many want at once: whoever comes while it runs waits for the same."""
    working = _working.setdefault(asyncio.get_running_loop(), {})
    if function not in working:
        task = working[function] = asyncio.create_task(asyncio.to_thread(function))
        task.add_done_callback(lambda _: working.pop(function))
        task.add_done_callback(lambda _: task.cancelled() or task.exception())  # all who wanted it may be gone
    found: Result = await asyncio.shield(working[function])
    return found


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _shared_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = new_loop()
            threading.Thread(target=_loop.run_forever, name="paretune-loop", daemon=True).start()
        return _loop


class _FairSelector(selectors.DefaultSelector):
    """Tells of a few sockets at a time: of a thousand replies at once, each takes its turn with everything else."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout)[:_AT_ONCE]


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop that reads a few replies at a time."""
    return asyncio.SelectorEventLoop(_FairSelector())


class _Turns:
    """How many may go on in one turn of an event loop, and who waits for the next."""

    def __init__(self) -> None:
        self.left = _AT_ONCE
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        loop = asyncio.get_running_loop()
        if not self.left:
            self.waiting.append(loop.create_future())
            return await self.waiting[-1]
        if self.left == _AT_ONCE:
            loop.call_soon(self._renew, loop)
        self.left -= 1

    def _renew(self, loop: asyncio.AbstractEventLoop) -> None:
        woken = 0
        while woken < _AT_ONCE and self.waiting:
            future = self.waiting.popleft()
            if not future.done():  # else its caller went away
                future.set_result(None)
                woken += 1
        self.left = 0 if woken else _AT_ONCE  # who comes now is behind those
        if woken:
            loop.call_soon(self._renew, loop)


_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = weakref.WeakKeyDictionary()


async def take_turn() -> None:
    """Wait while many others go on in this turn of the event loop: where a thousand can go on at the same moment,
    everything else on the loop comes in between."""
    await _turns.setdefault(asyncio.get_running_loop(), _Turns()).take()


class _Job(Generic[Result]):
    """A coroutine that can be cancelled from the moment on at which it is handed to the loop."""

    def __init__(self, coroutine: Coroutine[Any, Any, Result]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> Result:
        self._task = asyncio.current_task()
        return await self._coroutine

    async def cancel(self) -> None:
        """Cancel, and wait for the finally blocks (for some seconds at most)."""
        if self._task is None:
            self._coroutine.close()
        else:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CLEAN_UP_S)


def _run_in_new_thread(coroutine: Coroutine[Any, Any, Result]) -> Result:
    results: list[Result] = []
    errors: list[BaseException] = []

    def target() -> None:
        _nested.set(True)
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                results.append(runner.run(coroutine))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(target,), name="paretune-nested")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
