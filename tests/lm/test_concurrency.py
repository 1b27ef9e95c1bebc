"""What runs at once is what the language models allow, however many examples there are."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

import paretune
from paretune.eventloop import map_ordered, run_maybe_nested
from paretune.lm.limiter import Limiter


class Text(paretune.DataModel):
    """The input."""

    text: str


class Label(paretune.DataModel):
    """The output."""

    label: str


async def labelling(*models: paretune.LanguageModel) -> paretune.Program:
    """A program that asks each model about each example, one after the other."""
    inputs = output = paretune.Input(data_model=Text)
    for model in models:
        given = inputs if output is inputs else inputs + output
        output = await paretune.Generator(data_model=Label, language_model=model)(given)
    program = paretune.Program(inputs=inputs, outputs=output)
    program.compile(reward=paretune.rewards.ExactMatch())
    return program


def scripted(name: str, concurrency: int, **options: Any) -> paretune.LanguageModel:
    script = lambda request: '{"label": "joy"}'  # noqa: E731
    return paretune.ScriptedLanguageModel(script, name=name, concurrency=concurrency, **options)


def held(name: str, concurrency: int) -> paretune.LanguageModel:
    """A model that answers nobody before it has been asked as often at once as it allows."""
    model = scripted(name, concurrency)
    backend: Any = model.backend
    send, in_flight, full = backend.send, 0, asyncio.Event()

    async def hold(request: Any) -> Any:
        nonlocal in_flight
        in_flight += 1
        backend.peak = max(backend.peak, in_flight)
        if in_flight == concurrency:
            full.set()
        await asyncio.wait_for(full.wait(), 60)
        try:
            return await send(request)
        finally:
            in_flight -= 1

    backend.send = hold
    return model


@pytest.mark.parametrize("concurrency", [3, 300, 600])
def test_as_many_calls_at_once_as_the_model_allows(concurrency: int) -> None:
    """Neither fewer nor more, in evaluate and in predict."""
    model = held("one", concurrency)
    program = run_maybe_nested(labelling(model))
    x = [Text(text=f"text {number}") for number in range(700 if concurrency > 9 else 20)]
    run_maybe_nested(program.evaluate(x, [Label(label="joy") for _ in x]))
    assert (model.backend.peak, len(model.backend.calls)) == (concurrency, len(x))  # type: ignore[attr-defined]
    again = held("again", concurrency)
    assert len(run_maybe_nested(run_maybe_nested(labelling(again)).predict(x))) == len(x)
    assert again.backend.peak == concurrency  # type: ignore[attr-defined]


def test_the_event_loop_goes_on_between_calls() -> None:
    """Of five hundred calls that may begin together, few do before everything else on the loop has had its turn; and so
    it is where the ledger has all replies."""
    model = scripted("one", 500, latency_s=0.1)
    program = run_maybe_nested(labelling(model))
    x = [Text(text=f"text {number}") for number in range(500)]
    y = [Label(label="joy") for _ in x]

    async def watched() -> tuple[int, int]:
        turns, longest, before = 0, 0, len(model.backend.calls)  # type: ignore[attr-defined]

        async def watch() -> None:
            nonlocal turns, longest, before
            while True:
                calls = len(model.backend.calls)  # type: ignore[attr-defined]
                turns, longest, before = turns + 1, max(longest, calls - before), calls
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        await program.evaluate(x, y)
        watching.cancel()
        return turns, longest

    _, longest = run_maybe_nested(watched())
    assert longest <= 20
    turns, longest = run_maybe_nested(watched())
    assert (turns > 50, longest) == (True, 0)


def test_models_one_after_the_other_are_busy_together() -> None:
    """Examples on their way to the second model do not keep the first one waiting."""
    models = [held(name, 200) for name in ("first", "second")]
    program = run_maybe_nested(labelling(*models))
    x = [Text(text=f"text {number}") for number in range(900)]
    run_maybe_nested(program.evaluate(x, [Label(label="joy") for _ in x]))
    assert [model.backend.peak for model in models] == [200, 200]  # type: ignore[attr-defined]


def test_not_all_examples_are_begun_at_once() -> None:
    """What examples hold in memory does not grow with their number: some hundreds are under way where a model takes
    few."""
    model = scripted("slow", 4)
    program = run_maybe_nested(labelling(model))
    begun = most = 0
    original = model.complete

    async def counted(request: Any) -> Any:
        nonlocal begun, most
        begun += 1
        most = max(most, begun)
        try:
            return await original(request)
        finally:
            begun -= 1

    model.complete = counted  # type: ignore[method-assign]
    x = [Text(text=f"text {number}") for number in range(1500)]
    run_maybe_nested(program.evaluate(x, [Label(label="joy") for _ in x]))
    assert len(model.backend.calls) == 1500 and 4 <= most <= 256  # type: ignore[attr-defined]


def test_the_work_of_a_turn_does_not_grow_with_the_window() -> None:
    """With a limit a minute, 8,000 attempts of one window take about ten times as many calls of functions as 800."""

    async def work(count: int) -> int:
        limiter = Limiter(100, requests_per_minute=10**6)
        calls = 0

        def counted(frame: Any, event: str, argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        async def one(_: int) -> None:
            async with limiter.attempt() as attempt:
                await asyncio.sleep(0)
                attempt.sent()

        sys.setprofile(counted)
        try:
            await map_ordered(one, range(count), 200)
        finally:
            sys.setprofile(None)
        return calls

    assert asyncio.run(work(8_000)) < 12 * asyncio.run(work(800))
