"""The slots of a llama.cpp server: what its prompts have in common is computed once, and copied from slot to slot.

llama.cpp computes a request in a slot, and computes anew what differs from the slot's last prompt: with four slots, the
examples of a prompt are computed four times. It can write the state of a slot to a file and read it back, in a few
milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path

from paretune.lm.types import Request

__all__ = ["APART", "Slots", "shared_part"]

#: The slot of the engine that computes beginnings.
APART = -1

#: Characters from which the beginning of a prompt is worth a copy, about 100 tokens.
_LONG = 400
#: Beginnings whose states are kept.
_KEPT = 4
_WAIT_S = 0.005


class Slots:
    """Who is in which slot, and what is in it. It may be used from several event loops at once.

    They belong in turn to so many ``engines``, which read and write the same files. ``copy(slot, action, name)`` saves
    the state of a slot to the file ``name`` in ``folder``, or restores it, and says whether that worked. Of several
    engines' slots a beginning is in none when it is computed, but in APART, an engine's that does nothing else.
    """

    def __init__(self, number: int, engines: int, copy: Callable[[int, str, str], bool]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="paretune-slots-"))
        #: Deletes the files; the end of the process does so too.
        self.close = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self._copy = copy
        self._lock = threading.Lock()
        self._apart = threading.Lock()
        self._at_work = [0] * engines
        #: Free ones, the one that was used longest ago first, and the beginning that each has.
        self._free = list(range(number))
        self._holds: dict[int, str | None] = {}
        self._states: OrderedDict[str, Future[str | None]] = OrderedDict()
        self._named = 0

    @contextlib.asynccontextmanager
    async def place(self, shared: str | None, compute: Callable[[int], Awaitable[object]]) -> AsyncIterator[int]:
        """A slot, kept while the block lasts, that has the beginning ``shared`` of a prompt where there is one;
        ``compute(slot)`` has the server compute the prompt. Waits for a free one."""
        while (slot := self._take(shared)) is None:
            await asyncio.sleep(_WAIT_S)
        try:
            if shared is not None and self._holds.get(slot) != shared:
                self._holds[slot] = None
                await self._fill(slot, shared, compute)
            self._holds[slot] = shared
            yield slot
        finally:
            with self._lock:
                self._free.append(slot)
                self._at_work[self._engine(slot)] -= 1

    def _take(self, shared: str | None) -> int | None:
        with self._lock:
            if not self._free:
                return None

            # An idle engine first: what it lacks is copied in milliseconds.
            def cost(slot: int) -> tuple[int, bool]:
                return self._at_work[self._engine(slot)], self._holds.get(slot) != shared

            slot = min(self._free, key=cost)
            self._free.remove(slot)
            self._at_work[self._engine(slot)] += 1
            return slot

    def _engine(self, slot: int) -> int:
        return slot % len(self._at_work)

    async def _fill(self, slot: int, shared: str, compute: Callable[[int], Awaitable[object]]) -> None:
        with self._lock:
            state = self._states.get(shared)
            if is_first := state is None:
                self._named += 1
                name, state = f"{self._named}.bin", Future()
                self._states[shared] = state
        assert state is not None
        if is_first:
            saved = False
            try:
                async with self._computing(slot) as computing:
                    await compute(computing)
                    saved = await asyncio.to_thread(self._copy, computing, "save", name)
            finally:
                if not saved:  # the next call tries again
                    with self._lock:
                        self._states.pop(shared, None)
                state.set_result(name if saved else None)
            self._forget()
            if computing == slot:
                return
        kept = await asyncio.shield(asyncio.wrap_future(state))
        if kept is not None:
            await asyncio.to_thread(self._copy, slot, "restore", kept)

    @contextlib.asynccontextmanager
    async def _computing(self, slot: int) -> AsyncIterator[int]:
        """Where to compute a beginning for a slot: there, or in APART, when that is free."""
        if len(self._at_work) == 1:
            yield slot
            return
        while not self._apart.acquire(blocking=False):
            await asyncio.sleep(_WAIT_S)
        try:
            yield APART
        finally:
            self._apart.release()

    def _forget(self) -> None:
        """Keep the states of a few beginnings: each takes megabytes, of a big model hundreds."""
        with self._lock:
            done = [shared for shared, state in self._states.items() if state.done()]
            going = [self._states.pop(shared).result() for shared in done[:-_KEPT]]
        for name in filter(None, going):
            (self.folder / name).unlink(missing_ok=True)


def shared_part(request: Request) -> str | None:
    """The beginning of a prompt that other prompts are likely to have: all but the last message of a chat, or the last
    paragraph of a text to continue; None where it is too short to matter."""
    if request.body is not None:
        return None
    if request.structured_output == "completion":
        shared = request.messages[0][1].rpartition("\n\n")[0]
    else:
        shared = "\n".join(f"{role}: {content}" for role, content in request.messages[:-1])
    return f"{request.structured_output == 'completion'} {shared}" if len(shared) >= _LONG else None
