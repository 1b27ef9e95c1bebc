"""The budget: never more than the cap, over attempts, tasks, processes and kills."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from call_options import request_with
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import BudgetError, ConfigError, TransientError, UsageError
from paretune.eventloop import map_ordered, run_maybe_nested
from paretune.lm.backends.scripted import ScriptedBackend, ScriptedLanguageModel
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.budget import Budget, Spent
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.processes import is_dead, this_process
from paretune.lm.sending import drain
from paretune.lm.types import Price, Request


def ask(text: str = "how?", **options: Any) -> Request:
    return request_with((("user", text),), **options)


def complete(model: LanguageModel, budget: Budget, requests: list[Request]) -> list[Any]:
    """Ask everything at once, charged to a budget; errors stand in the places of replies."""

    async def main() -> list[Any]:
        with budget.charging():
            return await asyncio.gather(*(model.complete(request) for request in requests), return_exceptions=True)

    return run_maybe_nested(main())


def sent(model: LanguageModel) -> int:
    assert isinstance(model.backend, ScriptedBackend)
    return len(model.backend.calls)


def test_no_call_beyond_the_cap() -> None:
    """Of 20 questions at once 7 are sent; the others get one line that names the cap, the account and the cure."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.002)
    budget = Budget(calls=7)
    outcomes = complete(model, budget, [ask(str(n)) for n in range(20)])
    errors = [outcome for outcome in outcomes if isinstance(outcome, BudgetError)]
    assert (sent(model), len(errors), budget.spent().calls) == (7, 13, 7)
    assert str(errors[0]) == (
        "budget.calls=7 does not allow another call: 7 are spent or in flight (account 'default'); "
        "raise budget.calls, or name another budget.account"
    )


def test_a_higher_cap_goes_on_and_another_account_begins_anew() -> None:
    """What was spent stays spent: raising the cap from 3 to 5 allows 2 more; another account has all of its own."""
    model = ScriptedLanguageModel(lambda _: "x")
    for cap, account, expected in ((3, "default", 3), (3, "default", 3), (5, "default", 5), (2, "other", 7)):
        complete(model, Budget(calls=cap, account=account), [ask(f"{cap} {account} {n} {expected}") for n in range(9)])
        assert sent(model) == expected


def test_retries_are_calls() -> None:
    """Each attempt counts, also a failed one: two attempts of three are allowed, and nothing is sent after them."""

    def down(request: Request) -> str:
        raise TransientError("down")

    async def at_once(seconds: float) -> None:
        """Waits for nothing."""

    model = ScriptedLanguageModel(down, max_attempts=3)
    model.pause = at_once
    budget = Budget(calls=2)
    (outcome,) = complete(model, budget, [ask()])
    assert isinstance(outcome, BudgetError)
    assert (sent(model), budget.spent()) == (2, Spent(2, 0, 0.0))


def test_what_was_paid_for_is_kept_and_counted_whatever_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A charge that cannot be settled loses no reply; a reply that cannot be stored is spent, and its error is told."""
    model, budget = ScriptedLanguageModel(lambda _: "x"), Budget(calls=9)

    def fail(*_: Any) -> None:
        raise ConfigError("no room")

    with monkeypatch.context() as full:
        full.setattr("paretune.lm.ledger.accounts.FileAccounts.settle", fail)
        assert isinstance(complete(model, budget, [ask("a")])[0], ConfigError)
    assert complete(model, budget, [ask("a")])[0].served
    with monkeypatch.context() as full:
        full.setattr("paretune.lm.ledger.ledger.Ledger.put", fail)
        assert str(complete(model, budget, [ask("b")])[0]) == "no room"
    assert (sent(model), budget.spent().calls) == (2, 1)  # that of the first one is still held


def test_replies_from_the_ledger_cost_nothing() -> None:
    """A spent budget does not stand in the way of what was paid for."""
    model = ScriptedLanguageModel(lambda _: "x")
    assert [reply.served for reply in complete(model, Budget(calls=1), [ask()])] == [False]
    assert [reply.served for reply in complete(model, Budget(calls=1), [ask(), ask()])] == [True, True]
    assert Budget(calls=1).spent().calls == 1


def test_only_what_is_inside_is_charged() -> None:
    """Calls outside of ``charging`` and under a budget without caps are nobody's."""
    model = ScriptedLanguageModel(lambda _: "x")
    run_maybe_nested(model.complete(ask("outside")))
    complete(model, Budget(), [ask("without caps")])
    assert Budget().spent() == Spent(0, 0, 0.0)
    complete(model, Budget(calls=9), [ask("inside")])
    assert Budget().spent().calls == 1


def test_tokens_and_dollars_are_counted_as_they_were() -> None:
    """3 prompt tokens at 2 dollars a million and 2 completion tokens at 10: 5 tokens, 26 millionths."""
    model = ScriptedLanguageModel(lambda _: "one two", price=Price(2.0, 10.0))
    budget = Budget(usd=1, tokens=10_000)
    complete(model, budget, [ask("a b c", max_tokens=50)])
    assert budget.spent() == (1, 5, pytest.approx(26e-6))


numbers = itertools.count(0, 100)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.floats(0, 0.05),
    st.integers(0, 20_000),
    st.sampled_from([1, 3, 16]),
)
def test_no_cap_is_ever_passed(lengths: list[int], usd: float, tokens: int, concurrency: int) -> None:
    """Whatever the lengths of the replies up to max_tokens: what is spent is the sum of them, and below each cap; a
    call is refused only when its longest reply would not have fit."""
    price = Price(10.0, 40.0)
    model = ScriptedLanguageModel(
        lambda request: "w " * int(request.messages[0][1]),
        price=price,
        latency_s=0.0005,
        concurrency=concurrency,
    )
    budget = Budget(usd=usd, tokens=tokens, account=str(next(numbers)))
    first = next(numbers)
    outcomes = complete(model, budget, [ask(str(n), max_tokens=40, replicate=first + i) for i, n in enumerate(lengths)])
    replies = [outcome for outcome in outcomes if not isinstance(outcome, BudgetError)]
    spent = budget.spent()
    assert spent.calls == len(replies) == sent(model)
    assert spent.tokens == sum(reply.prompt_tokens + reply.completion_tokens for reply in replies) <= tokens
    assert spent.usd == pytest.approx(sum(reply.cost_usd for reply in replies))
    assert spent.usd <= usd * (1 + 1e-9)
    if len(replies) < len(lengths):
        bound = 2 + 600 + 16
        assert spent.tokens + bound + 40 > tokens or spent.usd + (bound * 10 + 40 * 40) / 1e6 > usd


def test_waiting_for_cheaper_ends() -> None:
    """Two calls may take 700 tokens each at most, of 1,000: the second waits for the first, which takes 2, and goes."""
    model = ScriptedLanguageModel(lambda _: "x", latency_s=0.01)
    outcomes = complete(model, Budget(tokens=1000), [ask("a", max_tokens=80), ask("b", max_tokens=80)])
    assert [outcome.text for outcome in outcomes] == ["x", "x"]
    assert isinstance(model.backend, ScriptedBackend) and model.backend.peak == 1


def test_what_nobody_can_bound_is_refused_before_it_is_sent() -> None:
    """Dollars need a price; dollars and tokens need a longest completion, unless completions are free."""
    unpriced = ScriptedLanguageModel(lambda _: "x")
    priced = ScriptedLanguageModel(lambda _: "x", price=Price(1, 1))
    free = ScriptedLanguageModel(lambda _: "x", price=Price(0, 0))
    for model, budget, rule in (
        (unpriced, Budget(usd=1), "budget.usd needs the price of 'scripted/scripted'"),
        (priced, Budget(usd=1), "budget.usd needs max_tokens"),
        (unpriced, Budget(tokens=1), "budget.tokens needs max_tokens"),
    ):
        (outcome,) = complete(model, budget, [ask()])
        assert isinstance(outcome, ConfigError)
        assert rule in str(outcome)
        assert sent(model) == 0
    assert complete(free, Budget(usd=0), [ask()])[0].text == "x"


def test_the_longest_completion_may_be_the_backends_to_know() -> None:
    """Without max_tokens the backend's own bound counts."""

    class Bounded(ScriptedBackend):
        def max_output_tokens(self) -> int:
            return 400

    model = LanguageModel("m", backend=Bounded(lambda _: "x"))
    assert isinstance(complete(model, Budget(tokens=1000), [ask()])[0], BudgetError)
    assert complete(model, Budget(tokens=1100), [ask()])[0].text == "x"


@pytest.mark.parametrize("end", ["given up", "cut off"])
def test_what_nobody_knows_counts_in_full(end: str) -> None:
    """A call that was cut off in flight may have been billed: its reservation counts as spent."""
    seconds = 0.01 if end == "cut off" else None
    model = ScriptedLanguageModel(lambda _: "x", latency_s=30, max_attempts=1, total_timeout_s=seconds)
    budget = Budget(tokens=5000)

    async def main() -> None:
        with budget.charging():
            task = asyncio.create_task(model.complete(ask("abcd", max_tokens=100)))
        await asyncio.sleep(0.03)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await drain(0)

    run_maybe_nested(main())
    assert budget.spent() == (1, 4 + 600 + 16 + 100, 0.0)


@pytest.mark.parametrize("caps", [{"usd": -1}, {"calls": float("nan")}, {"tokens": float("inf")}])
def test_caps_that_are_no_numbers_are_refused(caps: dict[str, Any]) -> None:
    """A cap is a number of at least 0, or None."""
    with pytest.raises(UsageError, match=f"budget.{next(iter(caps))} must be a number of at least 0"):
        Budget(**caps)


PROCESS = textwrap.dedent(
    """
    import asyncio, os, sys
    from paretune.errors import BudgetError
    from paretune.lm.ledger.budget import Budget
    from paretune.lm.ledger.ledger import Ledger
    from paretune.lm.backends.scripted import ScriptedLanguageModel
    from paretune.lm.types import Request

    folder, name, cap, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    arrivals = os.open(folder + "/arrivals", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def script(request):
        os.write(arrivals, b"x")
        await asyncio.sleep(seconds)
        return "x"

    ledger = Ledger(folder + "/ledger.sqlite")
    model = ScriptedLanguageModel(script, ledger=ledger, concurrency=32)

    async def main():
        with Budget(calls=cap, ledger=ledger).charging():
            requests = [Request(messages=(("user", f"{name} {n}"),)) for n in range(150)]
            outcomes = await asyncio.gather(*map(model.complete, requests), return_exceptions=True)
        assert all(isinstance(one, BudgetError) or one.text == "x" for one in outcomes), outcomes

    asyncio.run(main())
    """
)


def process(folder: Path, name: str, cap: int, seconds: float) -> subprocess.Popen[bytes]:
    source = str(Path(__file__).parents[2] / "src")
    environment = {**os.environ, "PYTHONPATH": source}
    return subprocess.Popen([sys.executable, "-c", PROCESS, str(folder), name, str(cap), str(seconds)], env=environment)


def arrivals(folder: Path) -> int:
    path = folder / "arrivals"
    return path.stat().st_size if path.exists() else 0


def test_two_processes_share_one_cap(tmp_path: Path) -> None:
    """Two processes with 32 calls in flight each and 150 questions each: exactly 100 of them arrive."""
    both = [process(tmp_path, name, 100, 0.005) for name in ("one", "two")]
    assert [one.wait(30) for one in both] == [0, 0]
    assert arrivals(tmp_path) == 100
    assert Budget(calls=1, ledger=Ledger(tmp_path / "ledger.sqlite")).spent().calls == 100


def test_what_a_killed_process_had_in_flight_is_spent(tmp_path: Path) -> None:
    """A process is killed with 32 calls in flight: they count; a cap of 40 then allows 8 more."""
    killed = process(tmp_path, "killed", 40, 60.0)
    until = time.monotonic() + 20
    while arrivals(tmp_path) < 32 and time.monotonic() < until:
        time.sleep(0.01)
    budget = Budget(calls=40, ledger=Ledger(tmp_path / "ledger.sqlite"))
    assert budget.spent().calls == 0  # it lives: its calls are in flight
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    assert (arrivals(tmp_path), budget.spent().calls) == (32, 32)
    assert process(tmp_path, "next", 40, 0.0).wait(30) == 0
    assert (arrivals(tmp_path), budget.spent().calls) == (40, 40)


def test_nobody_waits_for_the_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead process's reservation of 720 tokens will not turn out cheaper: with 1,000 the next call is refused."""
    model = ScriptedLanguageModel(lambda _: "x")
    budget = Budget(tokens=1000)
    place, number, started = this_process().rsplit(" ", 2)
    with monkeypatch.context() as patch:
        patch.setattr("paretune.lm.ledger.accounts.this_process", lambda: f"{place} {number} 1{started}")
        run_maybe_nested(budget.reserve("m", model.backend, ask("abcd", max_tokens=100)))
    (outcome,) = run_maybe_nested(asyncio.wait_for(asyncio.to_thread(complete, model, budget, [ask(max_tokens=1)]), 5))
    assert str(outcome) == (
        "budget.tokens=1000 does not allow another call: 720 is spent, and this call may take 621 (account 'default'); "
        "raise budget.tokens, lower max_tokens, or name another budget.account"
    )


def test_a_process_is_known_by_more_than_its_number() -> None:
    """This process lives, and one that had its number at another time is dead; one of another machine, of before the
    machine's last start, or of another container is dead when it has renewed nothing for 20 s."""
    machine, boot, container, number, started = this_process().split(" ")
    now = time.time()
    assert not is_dead(this_process(), 0.0)
    assert is_dead(f"{machine} {boot} {container} {number} 1{started}", now)
    for place in (f"other {boot} {container}", f"{machine} other {container}", f"{machine} {boot} other"):
        assert not is_dead(f"{place} {number} {started}", now - 10)
        assert is_dead(f"{place} {number} {started}", now - 30)


def test_reservations_of_another_machine_are_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in flight on another machine stays reserved for as long as that one renews it, longer than a lease lasts;
    when that one has ended, it is spent as soon as the lease ends, once."""
    for module in ("processes", "leases"):
        monkeypatch.setattr(f"paretune.lm.ledger.{module}.LEASE_S", 0.4)
    monkeypatch.setattr("paretune.lm.ledger.leases._renewing", None)  # another thread would be in a pause of 5 s
    budget, backend = Budget(calls=9, account="leases"), ScriptedLanguageModel(lambda _: "x").backend
    with monkeypatch.context() as there:
        there.setattr("paretune.lm.ledger.accounts.this_process", lambda: "there boot container 1 2")
        charge = run_maybe_nested(budget.reserve("m", backend, ask()))
        time.sleep(1.0)
        assert budget.spent().calls == 0
    time.sleep(0.6)
    assert budget.spent().calls == 1
    charge.settle()
    assert budget.spent().calls == 1


def test_a_dead_process_that_was_not_reaped_is_dead() -> None:
    """A killed child that its parent has not waited for holds no reservation."""
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from paretune.lm.ledger.processes import this_process; print(this_process(), flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    assert child.stdout is not None and child.stdin is not None
    name = child.stdout.readline().decode().strip()
    assert not is_dead(name, time.time())
    child.kill()
    child.stdout.read()
    until = time.monotonic() + 5
    while not is_dead(name, time.time()) and time.monotonic() < until:
        time.sleep(0.01)
    assert is_dead(name, time.time())
    child.stdin.close()
    child.stdout.close()
    child.wait()


def test_many_examples_go_through_one_budget() -> None:
    """Tasks that are begun inside are charged too."""
    model = ScriptedLanguageModel(lambda _: "x")
    budget = Budget(calls=50)

    async def main() -> None:
        with budget.charging():
            await map_ordered(model.complete, [ask(str(n)) for n in range(50)])

    run_maybe_nested(main())
    assert budget.spent().calls == sent(model) == 50
