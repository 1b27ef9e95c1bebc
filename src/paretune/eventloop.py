"""One event loop for the whole process, so that the library works from scripts, notebooks and async code alike."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["map_ordered", "run_maybe_nested", "run_together"]

Item = TypeVar("Item")
Result = TypeVar("Result")

#: How long Ctrl-C waits for a coroutine's clean-up, in seconds: enough to store the replies of calls in flight. It goes
#: on as soon as that is done, and a second Ctrl-C ends the wait.
_CLEAN_UP_S = 60.0
#: How often whoever waits looks up, in seconds: a signal that came just before the wait began would not end it.
_WAKE_S = 0.5

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

    At most ``limit`` are begun and not yet ended at a time; None: all at once.

    The first error cancels what is still running and is raised as itself.
    """
    results: list[Any] = [None] * len(items)
    pending = iter(range(len(items)))

    async def worker() -> None:
        for position in pending:
            results[position] = await function(items[position])

    await run_together([worker() for _ in range(len(items) if limit is None else min(limit, len(items)))])
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
    first: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
    if first is not None:  # raised out here, so that it keeps the cause and the context that it came with
        raise first


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _shared_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="paretune-loop", daemon=True).start()
        return _loop


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
            results.append(asyncio.run(coroutine))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(target,), name="paretune-nested")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
