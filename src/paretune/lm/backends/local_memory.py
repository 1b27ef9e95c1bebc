"""The local models that are loaded in this process, kept within a limit of memory.

A model that does not fit beside the others takes the place of those that nobody is calling, the one that was used
longest ago first; where all are being called, it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paretune.errors import FatalError

__all__ = ["LoadedModels", "loaded_models", "physical_memory"]

#: The share of the physical memory that models may take when nothing else is said.
_SHARE = 0.7
_WAIT_S = 0.02


@dataclass
class _Place:
    """What is kept in memory for one file; ``model`` is None until it is loaded."""

    size: int
    model: Any = None
    in_flight: int = 0
    used: int = 0


class LoadedModels:
    """Models by their files. ``limit`` is in bytes; None is 70 % of the physical memory.

    It may be used from several event loops at once.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._places: dict[Path, _Place] = {}
        self._users: Counter[Path] = Counter()
        self._lock = threading.Lock()
        self._moments = itertools.count(1)

    def register(self, path: Path) -> None:
        """Note one more user of a file."""
        with self._lock:
            self._users[path] += 1

    def leave(self, path: Path) -> None:
        """Note one user less; the model is unloaded with the last one."""
        with self._lock:
            self._users[path] -= 1
            place = None if self._users[path] > 0 else self._places.pop(path, None)
        if place is not None:
            _unload([place])

    @contextlib.asynccontextmanager
    async def lease(self, path: Path, name: str, size: int, load: Callable[[], Any]) -> AsyncIterator[Any]:
        """The model of a file, which stays loaded while the block lasts; ``load()`` (slow) makes it where it is not.

        ``size`` is what it takes, in bytes. Raises FatalError when that alone is more than the limit, and the errors of
        ``load``.
        """
        place = await self._enter(path, name, size, load)
        try:
            yield place.model
        finally:
            with self._lock:
                place.in_flight -= 1

    async def _enter(self, path: Path, name: str, size: int, load: Callable[[], Any]) -> _Place:
        while True:
            with self._lock:
                place = self._places.get(path)
                if place is not None and place.model is not None:
                    place.in_flight += 1
                    place.used = next(self._moments)
                    return place
                idle = None if place is not None else self._idle_for(name, size)
                if idle is not None:
                    going = [self._places.pop(each) for each in idle]
                    # In flight from the start, so that nobody stops it before the call that it is loaded for.
                    place = self._places[path] = _Place(size, in_flight=1, used=next(self._moments))
            if idle is None or place is None:
                await asyncio.sleep(_WAIT_S)
                continue
            try:
                await asyncio.to_thread(self._load, path, place, going, load)
            except BaseException:
                with self._lock:
                    place.in_flight -= 1
                raise
            if place.model is not None:
                return place

    def _idle_for(self, name: str, size: int) -> list[Path] | None:
        """The files to unload so that ``size`` fits; None when too much is in use for now."""
        limit = int(_SHARE * physical_memory()) if self.limit is None else self.limit
        if size > limit:
            raise FatalError(
                f"{name}: takes about {_gigabytes(size)} (its file, and the context of its calls), but all local "
                f"models may take {_gigabytes(limit)}: raise lm.memory_gb, lower lm.concurrency, or take a smaller file"
            )
        idle = [path for path, place in self._places.items() if place.model is not None and not place.in_flight]
        idle.sort(key=lambda path: self._places[path].used)
        going: list[Path] = []
        free = limit - sum(place.size for place in self._places.values())
        while free < size and idle:
            going.append(idle.pop(0))
            free += self._places[going[-1]].size
        return going if free >= size else None

    def _load(self, path: Path, place: _Place, going: list[_Place], load: Callable[[], Any]) -> None:
        try:
            _unload(going)
            place.model = load()
        except BaseException:
            with self._lock:
                if self._places.get(path) is place:
                    del self._places[path]
            raise
        with self._lock:
            unwanted = self._places.get(path) is not place
        if unwanted:
            _unload([place])

    def loaded(self) -> list[Path]:
        """The files of the loaded models."""
        with self._lock:
            return [path for path, place in self._places.items() if place.model is not None]

    def unload_all(self) -> None:
        """Unload everything, whoever uses it."""
        with self._lock:
            going = list(self._places.values())
            self._places.clear()
        _unload(going)


#: Those of this process.
loaded_models = LoadedModels()


def _unload(places: list[_Place]) -> None:
    for place in places:
        model, place.model = place.model, None
        if model is not None:
            model.stop()


def physical_memory() -> int:
    """The memory of this machine in bytes, or what a container may use of it."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(file).read_text()))
    return min(found)


def _gigabytes(size: int) -> str:
    """A size as it is shown."""
    return f"{size / 1e9:.2g} GB"
