"""One event loop for the whole process, so that the library works from scripts, notebooks and async code alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

__all__ = ["map_ordered", "run_maybe_nested"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def run_maybe_nested(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end and return its result, also when the caller already runs inside an event loop.

    All such coroutines share one loop in a background thread: connections and concurrency limits live as long as the
    process. Ctrl-C cancels the coroutine and waits for its clean-up before KeyboardInterrupt goes on.
    """
    loop = _shared_loop()
    if _running_loop() is loop:  # called from code that this very loop runs: waiting for it would never end
        return _run_in_new_thread(coroutine)
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        asyncio.run_coroutine_threadsafe(_settle(), loop).result(timeout=5)
        raise


async def map_ordered(
    function: Callable[[Item], Awaitable[Result]], items: Sequence[Item], limit: int = 256
) -> list[Result]:
    """Apply an async function to all items, at most ``limit`` at a time, and return the results in input order.

    The first error cancels what is still running and is raised as itself.
    """
    results: list[Any] = [None] * len(items)
    pending = iter(range(len(items)))

    async def worker() -> None:
        for position in pending:
            results[position] = await function(items[position])

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(limit, len(items))):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return results


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


async def _settle() -> None:
    """Give cancelled tasks a few turns to run their finally blocks."""
    for _ in range(10):
        await asyncio.sleep(0)


def _run_in_new_thread(coroutine: Coroutine[Any, Any, Result]) -> Result:
    results: list[Result] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(asyncio.run(coroutine))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=target, name="paretune-nested")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
