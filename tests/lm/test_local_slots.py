"""Slots of a local server: the beginning that prompts share is computed once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from paretune.lm.backends.local_slots import Slots, shared_part
from paretune.lm.types import Request

EXAMPLES = "\n\n".join(["Name it.", *(f"Text: it is day {n} of the rain here\nEmotion: sadness" for n in range(12))])


class Server:
    """Stands in for llama.cpp: notes what is computed, saved and restored, and what each slot has."""

    def __init__(self, number: int, *, engines: int = 1, saves: bool = True) -> None:
        self.slots = Slots(number, engines, self.copy)
        self.saves = saves
        self.done: Counter[str] = Counter()
        self.in_use: set[int] = set()
        self.has: dict[int, str] = {}

    def copy(self, slot: int, action: str, name: str) -> bool:
        self.done[action] += 1
        file = self.slots.folder / name
        if action == "save" and self.saves:
            file.write_text(self.has[slot])
        elif action == "restore":
            self.has[slot] = file.read_text()
        return self.saves

    async def call(self, shared: str | None, wait: float = 0.001) -> int:
        async def compute(slot: int) -> None:
            await asyncio.sleep(0.001)
            self.has[slot] = str(shared)
            self.done["compute"] += 1

        async with self.slots.place(shared, compute) as slot:
            assert slot not in self.in_use
            self.in_use.add(slot)
            if shared is not None and self.saves:
                assert self.has[slot] == shared
            await asyncio.sleep(wait)
            self.in_use.discard(slot)
        return slot

    def files(self) -> int:
        return len(list(self.slots.folder.iterdir()))


async def many(server: Server, shared: list[str | None], in_flight: int) -> list[int]:
    """Calls, so many at once."""
    places = asyncio.Semaphore(in_flight)

    async def one(each: str | None) -> int:
        async with places:
            return await server.call(each)

    return await asyncio.gather(*map(one, shared))


def test_a_beginning_is_computed_once_and_copied_to_the_other_slots() -> None:
    """Forty calls in four slots: one computes it, three copy it."""
    server = Server(4)
    slots = asyncio.run(many(server, ["a"] * 40, 4))
    assert set(slots) == {0, 1, 2, 3}
    assert server.done == {"compute": 1, "save": 1, "restore": 3}


def test_an_idle_engine_comes_before_a_slot_that_has_it() -> None:
    """Two calls at once are in two engines, whatever their slots have; one call goes where its beginning is."""
    server = Server(6, engines=2)
    for _ in range(5):
        assert len({slot % 2 for slot in asyncio.run(many(server, ["a", "a"], 2))}) == 2
    assert server.done["compute"] == 1
    copies = server.done["restore"]
    for _ in range(5):
        asyncio.run(many(server, ["a"], 1))
    assert server.done["restore"] == copies


def test_each_batch_of_a_training_has_its_own() -> None:
    """A new beginning takes the slots over; those of the last ones are there still, and older files are gone."""
    server = Server(2)
    shared: list[str | None] = [name for name in "abcdefg" for _ in range(10)]
    asyncio.run(many(server, shared, 2))
    assert server.done["compute"] == server.done["save"] == 7
    asyncio.run(many(server, ["g"] * 4, 2))
    asyncio.run(many(server, ["e"] * 4, 2))
    assert server.done["compute"] == 7
    assert server.files() == 4
    server.slots.close()
    assert not server.slots.folder.exists()


def test_calls_with_and_without_a_beginning_take_turns() -> None:
    """A call that shares nothing takes a free slot, and whoever comes after it does not rely on what was there."""
    server = Server(3)
    asyncio.run(many(server, ["a", None, "b", None] * 20, 3))
    assert server.done["compute"] == 2


def test_where_nothing_can_be_saved_each_call_computes_its_own() -> None:
    """A full disk costs time, no reply."""
    server = Server(2, saves=False)
    assert len(asyncio.run(many(server, ["a"] * 10, 2))) == 10
    assert server.done["restore"] == 0


def test_more_calls_than_slots_wait() -> None:
    """No slot has two calls at once, and what they share is computed once all the same."""
    server = Server(2)
    assert set(asyncio.run(many(server, ["a"] * 30, 30))) == {0, 1}
    assert server.done == {"compute": 1, "save": 1, "restore": 1}


@pytest.mark.parametrize("error", [ValueError("refused"), asyncio.CancelledError()])
def test_a_call_that_fails_takes_nobody_with_it(error: BaseException) -> None:
    """The calls that waited for its state compute their own, and its slot is free again."""

    async def scene() -> list[Any]:
        server, is_first = Server(3), True

        async def compute(slot: int) -> None:
            nonlocal is_first
            await asyncio.sleep(0.001)
            if is_first:
                is_first = False
                raise error

        async def call() -> int:
            async with server.slots.place("a", compute) as slot:
                return slot

        replies = await asyncio.gather(*(call() for _ in range(3)), return_exceptions=True)
        assert sorted(await many(server, [None] * 3, 3)) == [0, 1, 2]
        return replies

    first, *others = asyncio.run(scene())
    assert first is error or isinstance(first, type(error))
    assert others == [1, 2]


def test_what_prompts_share() -> None:
    """All but the last paragraph of a text, all but the last message of a chat; nothing where that is short."""

    def text(prompt: str) -> str | None:
        return shared_part(Request((("prompt", prompt),), "completion"))

    def chat(*messages: tuple[str, str]) -> str | None:
        return shared_part(Request(messages))

    assert text(f"{EXAMPLES}\n\nText: hi\nEmotion:") == text(f"{EXAMPLES}\n\nText: ho\nEmotion:") is not None
    assert text(f"{EXAMPLES}\n\nText: hi\nEmotion:") != text(f"{EXAMPLES}!\n\nText: hi\nEmotion:")
    assert text("Name the emotion.\n\nText: hi\nEmotion:") is None
    assert chat(("system", EXAMPLES), ("user", "hi")) == chat(("system", EXAMPLES), ("user", "ho")) is not None
    assert chat(("system", EXAMPLES), ("user", "hi")) != chat(("assistant", EXAMPLES), ("user", "hi"))
    assert chat(("user", EXAMPLES)) is None
    assert shared_part(Request((("user", EXAMPLES), ("user", "")), body={"messages": []})) is None
