"""LanguageModel over a scripted backend: limits, retries, sharing, accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import FatalError, LanguageModelError, RefusedInputError, TransientError, UsageError
from paretune.eventloop import map_ordered, run_maybe_nested
from paretune.lm.language_model import LanguageModel
from paretune.lm.scripted import ScriptedBackend, ScriptedLanguageModel
from paretune.lm.types import Answer, Price, Reply, Request


def ask(text: str = "how?", **options: Any) -> Request:
    return Request(messages=(("user", text),), **options)


def failing(*outcomes: Exception | str) -> Any:
    """A script that goes through ``outcomes``: it raises the errors and answers with the texts."""
    left: Iterator[Exception | str] = iter(outcomes)

    def script(request: Request) -> str:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return script


class Patient:
    """Stands in for sleeping between attempts: notes the seconds and waits for none."""

    def __init__(self, model: LanguageModel) -> None:
        self.seconds: list[float] = []
        model.pause = self.pause

    async def pause(self, seconds: float) -> None:
        self.seconds.append(seconds)


def backend_of(model: LanguageModel) -> ScriptedBackend:
    assert isinstance(model.backend, ScriptedBackend)
    return model.backend


@pytest.mark.parametrize("limit", [1, 3, 16])
def test_the_limit_is_reached_and_never_exceeded(limit: int) -> None:
    """With plenty to do, exactly ``concurrency`` calls are in flight."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.002, jitter=True, concurrency=limit)
    requests = [ask(str(n)) for n in range(64)]
    replies = run_maybe_nested(map_ordered(model.complete, requests))
    assert backend_of(model).peak == limit
    assert len(replies) == len(backend_of(model).calls) == 64


def test_equal_requests_in_flight_are_sent_once() -> None:
    """Whoever asks the same thing meanwhile waits for the one call, and is told that the reply was served."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.01)

    async def main() -> list[Reply]:
        return await asyncio.gather(*(model.complete(ask()) for _ in range(10)))

    replies = run_maybe_nested(main())
    assert len(backend_of(model).calls) == 1
    assert [reply.served for reply in replies] == [False] + [True] * 9
    assert {(reply.text, reply.latency_s) for reply in replies} == {("x", replies[0].latency_s)}
    assert (model.ledger.session.paid, model.ledger.session.served) == (1, 9)


def test_an_error_reaches_everyone_who_waited_for_the_call() -> None:
    """A shared call that fails fails for all, and the next caller tries anew."""
    model = ScriptedLanguageModel(failing(FatalError("bad key"), "x"), latency_s=0.01)

    async def main() -> list[Any]:
        return await asyncio.gather(*(model.complete(ask()) for _ in range(3)), return_exceptions=True)

    assert [str(outcome) for outcome in run_maybe_nested(main())] == ["bad key"] * 3
    assert run_maybe_nested(model.complete(ask())).text == "x"


def test_replicates_are_calls_of_their_own() -> None:
    """The same question as another replicate is asked again."""
    model = ScriptedLanguageModel(lambda request: str(request.replicate))
    replies = run_maybe_nested(map_ordered(model.complete, [ask(replicate=n) for n in (0, 1, 0, 2)]))
    assert [reply.text for reply in replies] == ["0", "1", "0", "2"]
    assert len(backend_of(model).calls) == 3


def test_passing_errors_are_retried() -> None:
    """Time-outs and the like are tried again; the reply tells how many attempts it took."""
    model = ScriptedLanguageModel(failing(TransientError("a"), TransientError("b"), "x"))
    patient = Patient(model)
    reply = run_maybe_nested(model.complete(ask()))
    assert (reply.text, reply.attempts, len(patient.seconds)) == ("x", 3, 2)


def test_waiting_grows_and_is_capped() -> None:
    """Each pause lies below half a second times two to the power of the failed attempts, and below half a minute."""
    model = ScriptedLanguageModel(failing(*(TransientError("a") for _ in range(12))), max_attempts=12)
    patient = Patient(model)
    with pytest.raises(TransientError):
        run_maybe_nested(model.complete(ask()))
    ceilings = [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert len(patient.seconds) == len(ceilings)
    assert all(0 <= seconds <= ceiling for seconds, ceiling in zip(patient.seconds, ceilings, strict=True))
    assert len(set(patient.seconds)) == len(ceilings)  # jitter


def test_the_servers_wish_is_honoured() -> None:
    """No attempt comes sooner than Retry-After asks for."""
    model = ScriptedLanguageModel(failing(TransientError("a", 17.0), TransientError("b", 0.0), "x"))
    patient = Patient(model)
    run_maybe_nested(model.complete(ask()))
    assert patient.seconds[0] == 17.0
    assert patient.seconds[1] <= 1.0


def test_the_last_attempt_says_how_many_there_were() -> None:
    """After max_attempts the error names the model, the attempts and the last reason; nothing is stored."""
    model = ScriptedLanguageModel(failing(TransientError("first"), TransientError("last"), "x"), max_attempts=2)
    Patient(model)
    with pytest.raises(TransientError, match=r"scripted/scripted: gave up after 2 attempts: last"):
        run_maybe_nested(model.complete(ask()))
    assert model.ledger.session.paid == 0
    assert run_maybe_nested(model.complete(ask())).text == "x"


@pytest.mark.parametrize("error", [FatalError("no key"), RefusedInputError("too long"), ZeroDivisionError("a bug")])
def test_other_errors_are_not_retried(error: Exception) -> None:
    """What cannot pass is raised as itself after one call, a bug with its own type."""
    model = ScriptedLanguageModel(failing(error, "x"))
    patient = Patient(model)
    with pytest.raises(type(error), match=str(error)):
        run_maybe_nested(model.complete(ask()))
    assert (len(backend_of(model).calls), patient.seconds) == (1, [])


def test_a_cancelled_sender_does_not_take_the_others_along() -> None:
    """When the caller that was sending goes away, one of those who waited sends, and all get their reply."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.01)

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(model.complete(ask())) for _ in range(4)]
        await asyncio.sleep(0.002)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = run_maybe_nested(main())
    assert isinstance(first, asyncio.CancelledError)
    assert [(reply.text, reply.served) for reply in others] == [("x", False), ("x", True), ("x", True)]
    assert len(backend_of(model).calls) == 2


def test_a_cancelled_waiter_leaves_the_call_alone() -> None:
    """When a caller that waited goes away, the call and the others go on."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.01)

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(model.complete(ask())) for _ in range(3)]
        await asyncio.sleep(0.002)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = run_maybe_nested(main())
    assert (first.text, third.text) == ("x", "x")
    assert isinstance(second, asyncio.CancelledError)
    assert len(backend_of(model).calls) == 1


def test_cancelled_callers_give_their_place_back() -> None:
    """After callers were cancelled in flight, between attempts and in the queue, the limit is whole again."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.01, concurrency=2)

    async def main() -> None:
        for _ in range(3):
            tasks = [asyncio.create_task(model.complete(ask(str(n)))) for n in range(6)]
            await asyncio.sleep(0.002)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        backend_of(model).peak = 0
        async with asyncio.timeout(5):
            await asyncio.gather(*(model.complete(ask(str(n))) for n in range(6)))

    run_maybe_nested(main())
    assert backend_of(model).peak == 2


def test_two_event_loops_share_a_model() -> None:
    """The same model, and the very same request, from two loops at once and from a third one later."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.02, concurrency=1)

    async def both() -> list[Reply]:
        there = asyncio.to_thread(lambda: asyncio.run(model.complete(ask())))
        return list(await asyncio.gather(model.complete(ask()), there, model.complete(ask())))

    assert [reply.text for reply in run_maybe_nested(both())] == ["x"] * 3
    assert asyncio.run(model.complete(ask())).served
    assert asyncio.run(model.complete(ask("new"))).text == "x"


def test_loops_that_ended_are_forgotten() -> None:
    """A call cut off by the end of its loop does not block the same request on a later loop."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.01)

    async def leave() -> None:
        asyncio.create_task(model.complete(ask()))  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(leave())
    assert asyncio.run(asyncio.wait_for(model.complete(ask()), 5)).text == "x"


def test_the_reply_in_the_ledger_is_the_one_to_go_on_with() -> None:
    """Another process was first with the same request: its reply counts, as it will in every rerun."""
    mine = ScriptedLanguageModel(lambda _: run_first(), name="m")
    theirs = ScriptedLanguageModel(lambda _: "theirs", name="m", ledger=mine.ledger)

    async def run_first() -> str:
        await theirs.complete(ask())
        return "mine"

    assert run_maybe_nested(mine.complete(ask())).text == "theirs"


def test_an_unknown_price_is_no_price_of_zero() -> None:
    """Where nobody knows the price, the cost is None, and what was spent stays 0."""
    model = ScriptedLanguageModel(lambda _: "x")
    assert run_maybe_nested(model.complete(ask())).cost_usd is None
    assert model.price() is None
    assert model.ledger.session.spent_usd == 0


def test_cost_is_tokens_times_price() -> None:
    """Prices are per million tokens: 3 prompt tokens at 2 dollars and 2 completion tokens at 10 cost 26 millionths."""
    model = ScriptedLanguageModel(lambda _: "one two", price=Price(2.0, 10.0))
    reply = run_maybe_nested(model.complete(ask("a b c")))
    assert (reply.prompt_tokens, reply.completion_tokens) == (3, 2)
    assert reply.cost_usd == pytest.approx(26e-6)
    assert model.ledger.session.spent_usd == reply.cost_usd


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1e4), st.floats(0, 1e4))
def test_price_arithmetic(prompt_tokens: int, completion_tokens: int, prompt: float, completion: float) -> None:
    """The cost is linear in tokens and prices, and 0 for a price of 0."""
    answer = Answer("", prompt_tokens, completion_tokens)
    expected = prompt_tokens * prompt * 1e-6 + completion_tokens * completion * 1e-6
    assert Price(prompt, completion).cost(answer) == pytest.approx(expected)
    assert Price(0, 0).cost(answer) == 0


class Slow(ScriptedBackend):
    """A backend that takes its time to get ready, and can be asked while it does."""

    preparing = 0

    async def prepare(self) -> None:
        self.preparing += 1
        await asyncio.sleep(0.05)

    async def send(self, request: Request) -> Answer:
        assert self.preparing
        return await super().send(request)


def test_getting_ready_is_no_calls_latency() -> None:
    """Latency is measured from sending to answering, without queueing and without preparation."""
    model = LanguageModel("m", backend=Slow(lambda _: "x", latency_s=0.005), concurrency=1)
    replies = run_maybe_nested(map_ordered(model.complete, [ask("a"), ask("b")]))
    assert all(0.004 < reply.latency_s < 0.04 for reply in replies)


def test_latency_is_that_of_the_attempt_that_succeeded() -> None:
    """Failed attempts and pauses do not count as the model's latency."""
    model = ScriptedLanguageModel(failing(TransientError("a"), "x"), latency_s=0.005)

    async def pause(seconds: float) -> None:
        await asyncio.sleep(0.05)

    model.pause = pause
    assert 0.004 < run_maybe_nested(model.complete(ask())).latency_s < 0.04


def test_a_grammar_goes_only_where_it_is_taken() -> None:
    """A backend without grammars is asked without one, under the key of the plain request."""

    class Plain(ScriptedBackend):
        def capabilities(self) -> dict[str, Any]:
            return {**super().capabilities(), "grammar": False}

    backend = Plain(lambda _: "x")
    model = LanguageModel("m", backend=backend)
    run_maybe_nested(model.complete(ask(grammar="root ::= x")))
    assert backend.calls == [ask()]
    assert run_maybe_nested(model.complete(ask())).served


def test_half_characters_do_not_break_the_ledger() -> None:
    """A reply cut in the middle of a character is stored with a replacement; such a prompt is refused."""
    model = ScriptedLanguageModel(lambda _: "joy \ud83d")
    assert run_maybe_nested(model.complete(ask())).text == "joy \ufffd"
    with pytest.raises(RefusedInputError, match="Unicode"):
        run_maybe_nested(model.complete(ask("sad \ud83d")))


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"max_attempts": 0}])
def test_limits_below_one_are_refused(options: dict[str, int]) -> None:
    """A model that could never be called is an error where it is made."""
    with pytest.raises(UsageError, match="at least 1"):
        ScriptedLanguageModel(lambda _: "x", **options)


def test_a_local_model_takes_no_address() -> None:
    """The local server has an address of its own."""
    with pytest.raises(UsageError, match="leave api_base empty"):
        LanguageModel("local/smollm2-135m-instruct", api_base="http://127.0.0.1:1/v1")


def test_a_price_can_be_put_on_a_local_model() -> None:
    """A local model costs nothing unless a price is given."""
    name = "local/smollm2-135m-instruct"
    assert LanguageModel(name).price() == Price(0.0, 0.0)
    assert LanguageModel(name, price={"prompt": 1.0, "completion": 2.0}).price() == Price(1.0, 2.0)


def test_scripts_may_be_async_and_may_fail() -> None:
    """The scripted model takes sync and async functions, counts words, and raises what the script raises."""

    async def script(request: Request) -> str:
        if "bad" in request.messages[-1][1]:
            raise RefusedInputError("no")
        return "three words here"

    model = ScriptedLanguageModel(script, name="fake")
    reply = run_maybe_nested(model.complete(ask("two words")))
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("three words here", 2, 3)
    assert (model.model, repr(model)) == ("scripted/fake", "LanguageModel('scripted/fake')")
    with pytest.raises(LanguageModelError, match="no"):
        run_maybe_nested(model.complete(ask("bad")))
    assert [request.messages[-1][1] for request in backend_of(model).calls] == ["two words", "bad"]


def test_scripted_capabilities() -> None:
    """The scripted model takes JSON and grammars; reasoning effort where the test says so."""
    plain = ScriptedLanguageModel(lambda _: "", name="a").capabilities
    assert plain == {"structured_output": "native", "reasoning_effort": False, "grammar": True}
    assert ScriptedLanguageModel(lambda _: "", name="b", reasoning_effort=True).capabilities["reasoning_effort"]


def test_scripted_models_of_two_names_share_nothing() -> None:
    """The name stands for the script in the ledger."""
    first = ScriptedLanguageModel(lambda _: "1", name="a")
    second = ScriptedLanguageModel(lambda _: "2", name="b")
    same = ScriptedLanguageModel(lambda _: "3", name="a")
    replies = [run_maybe_nested(model.complete(ask())).text for model in (first, second, same)]
    assert replies == ["1", "2", "1"]


def test_an_unknown_option_is_an_error() -> None:
    """A misspelt option of the scripted model is not swallowed."""
    with pytest.raises(TypeError, match="latency"):
        ScriptedLanguageModel(lambda _: "x", latency=1)
