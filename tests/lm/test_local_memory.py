"""Local models in a limited memory, with models that take none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from paretune.errors import FatalError
from paretune.lm.backends.local_memory import LoadedModels, physical_memory

A, B, C = Path("a"), Path("b"), Path("c")


class Model:
    """Tells when it is loaded and stopped."""

    def __init__(self, path: Path, log: list[str]) -> None:
        self.name, self.log, self.running = str(path), log, True
        log.append(f"+{path}")

    def stop(self) -> None:
        self.running = False
        self.log.append(f"-{self.name}")


class Memory(LoadedModels):
    """A memory of some bytes; ``log`` tells what was loaded and unloaded."""

    def __init__(self, limit: int | None) -> None:
        super().__init__(limit)
        self.log: list[str] = []
        for path in (A, B, C):
            self.register(path)

    async def call(self, path: Path, size: int = 10, steps: int = 0) -> None:
        async with self.lease(path, str(path), size, lambda: Model(path, self.log)) as model:
            for _ in range(steps):
                await asyncio.sleep(0)
            assert model.name == str(path) and model.running


def test_what_fits_stays() -> None:
    """Models that fit beside each other are loaded once, however they are called."""
    memory = Memory(20)

    async def calls() -> None:
        await asyncio.gather(*(memory.call(path, steps=3) for path in (A, B, A, B, A)))

    asyncio.run(calls())
    assert sorted(memory.log) == ["+a", "+b"]


def test_the_one_used_longest_ago_goes_first() -> None:
    """Of the idle ones; and no more of them than it takes."""
    memory = Memory(20)

    async def calls() -> None:
        for path in (A, B, A, C):
            await memory.call(path)

    asyncio.run(calls())
    assert memory.log == ["+a", "+b", "-b", "+c"]
    assert memory.loaded() == [A, C]


def test_a_model_in_use_is_waited_for() -> None:
    """Nothing is stopped in the middle of a call."""
    memory = Memory(10)

    async def calls() -> None:
        await asyncio.gather(*(memory.call(path, steps=50) for path in (A, B, C, A, B, C)))

    asyncio.run(calls())
    assert len(memory.loaded()) == 1
    assert memory.log[0] == "+a" and memory.log.count("+a") == 1  # both calls of a in one go


def test_many_loops_share_one_memory() -> None:
    """Each of several threads with its own event loop gets its calls done."""
    memory = Memory(10)

    async def in_threads() -> None:
        runs = [asyncio.to_thread(asyncio.run, memory.call(path, steps=2)) for path in (A, B, C) * 3]
        await asyncio.gather(*runs)

    asyncio.run(in_threads())
    assert len(memory.loaded()) == 1


def test_bigger_than_the_limit() -> None:
    """It can never fit: that is an error at once, and leaves the others alone."""
    memory = Memory(10)
    asyncio.run(memory.call(A))
    with pytest.raises(FatalError, match=r"^b: takes about 11 GB .* may take 1e-08 GB"):
        asyncio.run(memory.call(B, size=11_000_000_000))
    assert memory.loaded() == [A]


def test_a_failed_start_is_told_and_can_be_tried_again() -> None:
    """The place is free again, and the next call loads."""
    memory = Memory(10)

    def broken() -> Model:
        raise FatalError("cannot load")

    async def call() -> None:
        async with memory.lease(A, "a", 10, broken):
            """Never reached."""

    for _ in range(2):
        with pytest.raises(FatalError, match="cannot load"):
            asyncio.run(call())
    asyncio.run(memory.call(B))
    assert memory.log == ["+b"]


def test_the_last_user_unloads() -> None:
    """Two users of one file: it stays for the other one."""
    memory = Memory(10)
    memory.register(A)
    asyncio.run(memory.call(A))
    memory.leave(A)
    assert memory.loaded() == [A]
    memory.leave(A)
    assert memory.log == ["+a", "-a"]


def test_left_while_it_loads() -> None:
    """Nobody uses it any more when it is there, so it goes at once; who still asks for it loads it again."""
    memory = Memory(10)

    def load() -> Model:
        if not memory.log:
            memory.leave(A)
        return Model(A, memory.log)

    async def call() -> None:
        async with memory.lease(A, "a", 10, load) as model:
            assert model.running

    asyncio.run(call())
    assert memory.log == ["+a", "-a", "+a"]


def test_the_default_is_a_share_of_what_there_is() -> None:
    """The machine's memory: more than this test takes, and less than a petabyte."""
    assert 10**8 < physical_memory() < 10**15
    memory = Memory(None)
    asyncio.run(memory.call(A, size=physical_memory() // 2))
    with pytest.raises(FatalError, match="may take"):
        asyncio.run(memory.call(B, size=physical_memory()))
