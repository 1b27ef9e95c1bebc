"""LanguageModel over a scripted backend: limits, retries, sharing, accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from call_options import request_with
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import (
    BudgetError,
    ConfigError,
    FatalError,
    LanguageModelError,
    RefusedInputError,
    TransientError,
    UsageError,
)
from paretune.eventloop import map_ordered, run_maybe_nested
from paretune.lm.backends.scripted import ScriptedBackend, ScriptedLanguageModel
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.budget import Budget
from paretune.lm.sending import drain
from paretune.lm.types import Answer, Price, Reply, Request


def ask(text: str = "how?", **options: Any) -> Request:
    return request_with((("user", text),), **options)


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
    """When the caller that asked first goes away, the call goes on, and those who joined get its reply."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.01)

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(model.complete(ask())) for _ in range(4)]
        await asyncio.sleep(0.002)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = run_maybe_nested(main())
    assert isinstance(first, asyncio.CancelledError)
    assert [reply.text for reply in others] == ["x", "x", "x"]
    assert len(backend_of(model).calls) == 1


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
    """After callers were cancelled in flight and in the queue, the limit is whole again; what waited was not sent."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.01, concurrency=2)

    async def main() -> None:
        for turn in range(3):
            await cancelled([asyncio.create_task(model.complete(ask(f"{turn} {n}"))) for n in range(6)])
            assert await drain(5) == 0
        assert len(backend_of(model).calls) == model.ledger.session.paid == 6
        backend_of(model).peak = 0
        async with asyncio.timeout(5):
            await asyncio.gather(*(model.complete(ask(str(n))) for n in range(6)))

    run_maybe_nested(main())
    assert backend_of(model).peak == 2


async def cancelled(tasks: list[asyncio.Task[Any]], after_s: float = 0.002) -> None:
    """Cancel tasks that have begun, and wait for their ends."""
    await asyncio.sleep(after_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_what_was_sent_is_stored_when_its_caller_goes_away() -> None:
    """A cancelled caller ends at once; draining waits for the call, whose reply the next one gets without paying."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.02)

    async def main() -> Reply:
        await cancelled([asyncio.create_task(model.complete(ask()))])
        assert model.ledger.session.paid == 0
        assert await drain(5) == 0
        assert model.ledger.session.paid == 1
        return await model.complete(ask())

    assert run_maybe_nested(main()).served
    assert len(backend_of(model).calls) == 1


@pytest.mark.parametrize(
    ("price", "budget", "waited"),
    [
        (Price(0.0, 0.0), {}, False),
        (Price(0.0, 0.0), {"calls": 9}, True),
        (Price(0.0, 1.0), {}, True),
        (None, {}, True),
    ],
)
def test_a_free_call_is_not_waited_for(price: Price | None, budget: dict[str, int], waited: bool) -> None:
    """What costs nothing, and is counted by no budget, is dropped at once and asked anew."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.05, price=price)
    told: list[int] = []

    async def main() -> Reply:
        with Budget(**budget).charging():
            await cancelled([asyncio.create_task(model.complete(ask()))])
            assert await drain(5, told.append) == 0
            return await model.complete(ask())

    assert run_maybe_nested(main()).served == waited
    assert len(told) == (1 if waited else 0) and len(backend_of(model).calls) == (1 if waited else 2)


def test_a_call_that_was_left_can_be_joined() -> None:
    """Whoever asks while a call is in flight that everybody left gets its reply, and is not given up with it."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.03)

    async def main() -> Reply:
        await cancelled([asyncio.create_task(model.complete(ask()))])
        task = asyncio.create_task(model.complete(ask()))
        await asyncio.sleep(0)
        assert await drain(0) == 0
        return await task

    assert run_maybe_nested(main()).text == "x"
    assert len(backend_of(model).calls) == 1


def test_a_call_that_is_joined_while_draining_is_not_given_up() -> None:
    """The end of one search does not take a call from another one that wants its reply by then."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.05)

    async def main() -> Reply:
        await cancelled([asyncio.create_task(model.complete(ask()))])
        draining = asyncio.create_task(drain(0.005))
        await asyncio.sleep(0)
        reply = await model.complete(ask())
        assert await draining == 0
        return reply

    assert run_maybe_nested(main()).text == "x"
    assert len(backend_of(model).calls) == 1


def test_draining_gives_up_what_takes_too_long() -> None:
    """After its time draining says how many calls it gave up; a later caller sends the same request anew."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.5)

    async def main() -> int:
        await cancelled([asyncio.create_task(model.complete(ask(str(n)))) for n in range(3)])
        given_up = await drain(0.01)
        backend_of(model).latency_s = 0
        await model.complete(ask("0"))
        return given_up

    assert run_maybe_nested(main()) == 3
    assert len(backend_of(model).calls) == 4


def test_nobody_is_retried_for_no_one() -> None:
    """A call that fails after its caller went away, and one that pauses between attempts, end without another try."""
    model = ScriptedLanguageModel(failing(*(TransientError("a") for _ in range(9))), latency_s=0.01)

    async def forever(seconds: float) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await cancelled([asyncio.create_task(model.complete(ask("in flight")))], after_s=0.002)
        await drain(5)
        model.pause = forever
        await cancelled([asyncio.create_task(model.complete(ask("pausing")))], after_s=0.03)
        assert await drain(5) == 0

    run_maybe_nested(main())
    assert len(backend_of(model).calls) == 2


def test_a_pause_holds_no_place() -> None:
    """While one call pauses between its attempts, others use the only place."""
    model = ScriptedLanguageModel(lambda request: flaky(request), concurrency=1)
    others: list[str] = []

    def flaky(request: Request) -> str:
        if request == ask("flaky") and not others:
            raise TransientError("not yet")
        return "x"

    async def pause(seconds: float) -> None:
        others.append((await model.complete(ask("other"))).text)

    model.pause = pause
    assert run_maybe_nested(asyncio.wait_for(model.complete(ask("flaky")), 5)).attempts == 2
    assert others == ["x"]


def test_a_rate_limit_lowers_the_concurrency() -> None:
    """After a 429 fewer calls are in flight, and nothing begins before the server's Retry-After has passed."""
    first = [TransientError("too many", 30.0, rate_limited=True)]
    model = ScriptedLanguageModel(lambda _: raise_one(first), latency_s=0.005, concurrency=8)
    pauses = Patient(model)

    async def main() -> None:
        await asyncio.gather(*(model.complete(ask(str(n))) for n in range(8)))
        backend_of(model).peak = 0
        await asyncio.gather(*(model.complete(ask(f"later {n}")) for n in range(8)))

    run_maybe_nested(main())
    assert 4 <= backend_of(model).peak < 8
    assert max(pauses.seconds) == pytest.approx(30.0, abs=0.5)


def raise_one(errors: list[Any]) -> str:
    if errors:
        raise errors.pop()
    return "x"


def test_models_made_alike_share_their_limits() -> None:
    """Each trial may make its own object, of one model or of several on one server: the limit holds for all of them."""
    names = ("openai/m", "openai/m", "openai/n", "openai/n")
    alike = [LanguageModel(name, api_base="http://127.0.0.1:9/v1", concurrency=3) for name in names]
    backend = ScriptedBackend(lambda _: "x", latency_s=0.002)
    for model in alike:
        model.backend = backend

    async def main() -> None:
        await asyncio.gather(
            *(model.complete(ask(f"{place} {n}")) for place, model in enumerate(alike) for n in range(6))
        )

    run_maybe_nested(main())
    assert (backend.peak, len(backend.calls)) == (3, 24)


def test_models_of_one_server_keep_their_troubles_apart() -> None:
    """A rate limit of one model does not hold back its fallback on the same server, and a model that is missing there
    does not take the others along."""

    def slow_down(_: Request) -> str:
        raise TransientError("slow down", retry_after=1000.0, rate_limited=True)

    def is_missing(_: Request) -> str:
        raise FatalError("no such model")

    def made(name: str, script: Any, **options: Any) -> LanguageModel:
        model = LanguageModel(name, api_base="http://127.0.0.1:9/v1", concurrency=2, max_attempts=1, **options)
        model.backend = ScriptedBackend(script, name=name, latency_s=0.001)
        return model

    async def outcome(model: LanguageModel, text: str) -> str:
        try:
            return (await model.complete(ask(text))).model
        except LanguageModelError as error:
            return str(error)

    async def main() -> list[str]:
        other = made("openai/other", lambda _: "x")
        limited = made("openai/limited", slow_down, fallbacks=[other])
        missing = made("openai/missing", is_missing)
        asking = [outcome(missing, "a"), outcome(limited, "b"), *(outcome(other, str(n)) for n in range(5))]
        return await asyncio.wait_for(asyncio.gather(*asking), timeout=20)

    missing, *others = run_maybe_nested(main())
    assert "no such model" in missing and others == ["openai/other"] * 6


def test_requests_a_minute_are_kept() -> None:
    """The fifth call of a minute that allows two waits until the third minute, without taking any time here."""
    model = ScriptedLanguageModel(lambda _: "x", requests_per_minute=2)
    patient = Patient(model)
    run_maybe_nested(map_ordered(model.complete, [ask(str(n)) for n in range(5)]))
    assert sum(patient.seconds) == pytest.approx(122, abs=1)


def test_the_minute_begins_after_the_preparations() -> None:
    """What a client takes to load is no part of the minute: else the server would see more calls in one."""
    model = ScriptedLanguageModel(lambda _: "x", requests_per_minute=1, concurrency=1)
    patient = Patient(model)
    model.backend.prepare = lambda: asyncio.sleep(0.3)  # type: ignore[method-assign]
    run_maybe_nested(map_ordered(model.complete, [ask(str(n)) for n in range(2)]))
    assert sum(patient.seconds) > 60.85


def test_a_call_is_given_up_when_its_time_is_over() -> None:
    """No pause is begun that would pass total_timeout_s; the error tells the seconds and the attempts."""
    model = ScriptedLanguageModel(
        failing(*(TransientError("busy", 40.0) for _ in range(9))), max_attempts=9, total_timeout_s=100
    )
    patient = Patient(model)
    with pytest.raises(TransientError, match=r"^scripted/scripted: gave up after 80 s and 3 attempts: busy$"):
        run_maybe_nested(model.complete(ask()))
    assert patient.seconds == [40.0, 40.0]


def test_an_attempt_is_cut_off_when_the_time_is_over() -> None:
    """A server that never ends its answer does not hold the call beyond total_timeout_s."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=30, total_timeout_s=0.02)
    with pytest.raises(TransientError, match=r"gave up after 0 s and 1 attempts: .*no answer in time"):
        run_maybe_nested(asyncio.wait_for(model.complete(ask()), 5))


def test_the_total_time_is_ten_timeouts() -> None:
    """Unless it is given, a call's time over all attempts is ten times that of one attempt."""
    assert ScriptedLanguageModel(lambda _: "x", timeout_s=7).total_timeout_s == 70
    assert ScriptedLanguageModel(lambda _: "x", timeout_s=7, total_timeout_s=9).total_timeout_s == 9


def down(request: Request) -> str:
    raise TransientError("down")


def test_a_fallback_answers_what_the_model_cannot() -> None:
    """After the last attempt the fallback is asked; its reply has its own name, key and price, and is found again."""
    spare = ScriptedLanguageModel(lambda _: "two words", name="spare", price=Price(0, 1e6))
    model = ScriptedLanguageModel(down, name="main", max_attempts=2, fallbacks=[spare], price=Price(0, 5e6))
    Patient(model)
    reply = run_maybe_nested(model.complete(ask()))
    assert (reply.text, reply.model, reply.cost_usd) == ("two words", "scripted/spare", 2.0)
    assert (len(backend_of(model).calls), len(backend_of(spare).calls)) == (2, 1)
    again = run_maybe_nested(model.complete(ask()))
    assert (again.text, again.served, again.key) == (reply.text, True, reply.key)
    assert (len(backend_of(model).calls), len(backend_of(spare).calls)) == (2, 1)
    assert run_maybe_nested(spare.complete(ask())).served


def test_the_models_own_reply_comes_first() -> None:
    """Where the ledger holds replies of both, the model's own one counts; declaring fallbacks leaves its keys alone."""
    plain = ScriptedLanguageModel(lambda _: "own", name="main")
    spare = ScriptedLanguageModel(lambda _: "spare", name="spare")
    run_maybe_nested(spare.complete(ask()))
    own = run_maybe_nested(plain.complete(ask()))
    both = ScriptedLanguageModel(down, name="main", fallbacks=[spare], requests_per_minute=9, concurrency=2)
    found = run_maybe_nested(both.complete(ask()))
    assert (found.text, found.key, found.served) == ("own", own.key, True)
    assert both.identity != plain.identity
    assert both.identity["fallbacks"] == [spare.identity]


@pytest.mark.parametrize("error", [FatalError("no key"), BudgetError("spent"), RefusedInputError("too long")])
def test_only_what_may_pass_falls_back(error: Exception) -> None:
    """A refused input, a bad key and a spent budget are raised as they are."""
    spare = ScriptedLanguageModel(lambda _: "x", name="spare")
    model = ScriptedLanguageModel(failing(error), name="main", fallbacks=[spare])
    with pytest.raises(type(error), match=str(error)):
        run_maybe_nested(model.complete(ask()))
    assert backend_of(spare).calls == []


def test_fallbacks_that_fail_too_are_all_named() -> None:
    """The error of a call that nobody could answer tells what each model said."""
    spare = ScriptedLanguageModel(down, name="spare", max_attempts=1)
    model = ScriptedLanguageModel(down, name="main", max_attempts=1, fallbacks=[spare])
    with pytest.raises(TransientError, match=r"scripted/main: gave up .* down; scripted/spare: gave up .* down"):
        run_maybe_nested(model.complete(ask()))


def test_a_fallback_is_asked_for_what_it_takes() -> None:
    """Effort and grammar stay away from a fallback without them, a schema goes as a tool; without either it is refused
    before anything is paid."""

    class Simple(ScriptedBackend):
        form = "tool"

        def capabilities(self) -> dict[str, Any]:
            return {"structured_output": self.form, "reasoning_effort": False, "grammar": False}

    simple = Simple(lambda _: "x", name="simple")
    model = ScriptedLanguageModel(
        down, max_attempts=1, reasoning_effort=True, fallbacks=[LanguageModel("simple", backend=simple)]
    )
    run_maybe_nested(model.complete(ask(reasoning_effort="low", grammar="root ::= x", schema={})))
    assert simple.calls == [ask(structured_output="tool", schema={})]

    class Simpler(Simple):
        form = "prompt"

    model = ScriptedLanguageModel(down, fallbacks=[LanguageModel("b", backend=Simpler(lambda _: "x", name="b"))])
    with pytest.raises(ConfigError, match="fallback 'b' takes no JSON schema"):
        run_maybe_nested(model.complete(ask("other")))
    assert backend_of(model).calls == []


def test_what_makes_a_model_again() -> None:
    """The arguments hold the limits and the fallbacks; a fallback with a backend of its own cannot be made again."""
    made = LanguageModel("openai/a", requests_per_minute=60, tokens_per_minute=900, total_timeout_s=50, fallbacks=["b"])
    assert made.arguments is not None
    again = LanguageModel(**{**made.arguments, "fallbacks": [LanguageModel(**made.arguments["fallbacks"][0])]})
    assert again.arguments == made.arguments
    assert [again.fallbacks[0].model, again.total_timeout_s] == ["b", 50]
    own = LanguageModel("openai/a", fallbacks=[ScriptedLanguageModel(lambda _: "x")])
    assert own.arguments is None


def test_a_reply_tells_its_key_and_its_model() -> None:
    """Paid for or served, a reply names the model that answered and its key in the ledger."""
    model = ScriptedLanguageModel(lambda _: "x", name="m")
    paid, served = (run_maybe_nested(model.complete(ask())) for _ in range(2))
    assert paid.model == served.model == "scripted/m"
    assert len(paid.key) == 64 and paid.key == served.key


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


def test_a_dead_server_is_asked_no_more() -> None:
    """The twentieth call in a row without a reply is fatal; a reply in between begins the count anew."""
    down = TransientError("connection refused")
    model = ScriptedLanguageModel(failing(*[down] * 19, "up", *[down] * 20), max_attempts=1)

    async def outcome(number: int) -> str:
        try:
            return (await model.complete(ask(f"question {number}"))).text
        except LanguageModelError as error:
            return type(error).__name__

    outcomes = [run_maybe_nested(outcome(number)) for number in range(40)]
    assert outcomes == ["TransientError"] * 19 + ["up"] + ["TransientError"] * 19 + ["FatalError"]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"concurrency": 0}, "at least 1"),
        ({"max_attempts": 0}, "at least 1"),
        ({"requests_per_minute": 0}, "requests_per_minute must be above 0, or None"),
        ({"tokens_per_minute": -1}, "tokens_per_minute must be above 0, or None"),
        ({"timeout_s": 0.0}, "timeout_s must be above 0"),
        ({"total_timeout_s": float("nan")}, "total_timeout_s must be above 0, or None"),
        ({"fallbacks": "openai/a"}, "fallbacks must be a list of models"),
    ],
)
def test_limits_that_allow_nothing_are_refused(options: dict[str, Any], rule: str) -> None:
    """A model that could never be called is an error where it is made."""
    with pytest.raises(UsageError, match=rule):
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
