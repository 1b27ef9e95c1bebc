"""A ledger in PostgreSQL: what it costs, and what it survives: ``python benchmarks/postgres.py [--kills N]``.

The server is the machine's own PostgreSQL, on loopback. First a reply is claimed and stored, and a budget reserved and
settled, some thousand times one after the other; beside that the same in a file. Then calls of 0.2 s, 64 of them in
flight, under a budget, with the server as far away as it is told. Then four processes ask the same questions while they
are killed, one after the other, and the server with them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))

from openai_server import openai_server
from postgres_server import PostgresServer, programs
from slow_link import slow_link
from team_calls import LEASE_S, Team, echo

from paretune import ScriptedLanguageModel
from paretune.lm.ledger import home
from paretune.lm.ledger.budget import Budget
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.shared import SharedLedger
from paretune.lm.types import Reply, Request

CALLS, RUNS = 1_000, 3
#: Calls in flight: how many, how many together, their seconds, and the milliseconds of a round trip to the server.
FLOWN, IN_FLIGHT, LATENCY_S, AWAY_MS = 640, 64, 0.2, (0, 2, 20)


async def calls(ledger: Ledger, name: str) -> dict[str, float]:
    """Milliseconds of each step of a call, of wall time."""
    took = dict.fromkeys(("claim", "store", "find again"), 0.0)
    reply = Reply("a reply of some length " * 5, 100, 20, 0.001, 0.5, 1)

    async def find_again(key: str) -> None:
        ledger.get(key)

    for number in range(CALLS):
        key = f"{name} {number}"
        steps = {"claim": ledger.claim(key), "store": ledger.store(key, "m", '{"messages":[]}', reply)}
        for step, work in {**steps, "find again": find_again(key)}.items():
            started = time.perf_counter()
            await work
            took[step] += time.perf_counter() - started
    return {step: seconds / CALLS * 1000 for step, seconds in took.items()}


def budgets(ledger: Ledger) -> float:
    """Milliseconds of a reservation and its end."""
    budget = Budget(calls=10**9, ledger=ledger)
    backend, request = ScriptedLanguageModel(lambda _: "x", ledger=ledger).backend, Request((("user", "x"),))

    async def several() -> None:
        for _ in range(CALLS):
            (await budget.reserve("m", backend, request)).settle(5, 0.1)

    started = time.perf_counter()
    asyncio.run(several())
    return (time.perf_counter() - started) / CALLS * 1000


def compare(folder: Path, database: PostgresServer) -> None:
    """A table: milliseconds a step, the best of some runs."""
    found: dict[str, list[dict[str, float]]] = {"a file": [], "PostgreSQL": []}
    for run in range(RUNS):
        for kind, results in found.items():
            path = folder / f"{kind}-{run}" / "ledger.sqlite"
            ledger = Ledger(path) if kind == "a file" else SharedLedger(path, database.address)
            results.append({**asyncio.run(calls(ledger, str(run))), "budget": budgets(ledger)})
            ledger.close()
    print("| step | a file, ms | PostgreSQL and a file, ms |\n|---|---|---|")
    for step in found["a file"][0]:
        one, other = (min(result[step] for result in results) for results in found.values())
        print(f"| {step} | {one:.2f} | {other:.2f} |")


async def flight(ledger: Ledger) -> tuple[float, float]:
    """Seconds of calls in flight together, over the ideal, and the longest that the event loop stood still."""
    model = ScriptedLanguageModel(lambda _: "a reply" * 20, latency_s=LATENCY_S, ledger=ledger, concurrency=IN_FLIGHT)
    questions = [Request((("user", f"question {number}" + " word" * 50),)) for number in range(FLOWN)]
    stall = 0.0

    async def watch() -> None:
        nonlocal stall
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            stall = max(stall, time.perf_counter() - started)

    model.capabilities  # noqa: B018  (the connection is there then)
    watching = asyncio.create_task(watch())
    started = time.perf_counter()
    with Budget(calls=10**9, ledger=ledger).charging():
        await asyncio.gather(*map(model.complete, questions))
    took = time.perf_counter() - started
    watching.cancel()
    return took / (FLOWN / IN_FLIGHT * LATENCY_S), stall


def fly(folder: Path, database: PostgresServer) -> None:
    """A table: what calls in flight together take with the server so far away, the best of some runs."""
    print(f"\n{FLOWN} calls of {LATENCY_S} s, {IN_FLIGHT} in flight\n")
    print("| ledger | times the ideal | event loop stood still, ms |\n|---|---|---|")
    for away_ms in (None, *AWAY_MS):
        found = []
        for run in range(RUNS):
            place = folder / f"away-{away_ms}-{run}" / "ledger.sqlite"
            with contextlib.ExitStack() as stack:
                ledger = Ledger(place)
                if away_ms is not None:
                    database.empty()
                    port = stack.enter_context(slow_link(database.port, away_ms / 1000))
                    ledger = SharedLedger(place, database.address.replace(str(database.port), str(port)))
                found.append(asyncio.run(flight(ledger)))
                ledger.close()
        name = "a file" if away_ms is None else f"PostgreSQL, {away_ms} ms away"
        print(f"| {name} | {min(found)[0]:.2f} | {min(stall for _, stall in found) * 1000:.0f} |")


def kill(folder: Path, database: PostgresServer, kills: int, seed: int) -> None:
    """Kill until it is done so often; every fifth time the server."""
    chance, number_of_calls = random.Random(seed), 25 * kills
    cap = 2 * number_of_calls
    with openai_server() as model:
        echo(model)
        team = Team(folder, database, model, 4, number_of_calls, cap)
        try:
            team.start()
            for number in range(kills):
                team.wait_for_calls(len(model.asked) + chance.randrange(1, 15))
                if number % 5 == 4:
                    team.kill_database()
                else:
                    team.kill(chance.randrange(4))
                    team.start()
            results = team.results()
        finally:
            team.close()
        repeated = team.check_repeated()
        assert all(len(found) == number_of_calls for found in results), "a process lacks replies"
        home.LEASE_S = LEASE_S
        time.sleep(LEASE_S)
        spent = Budget(calls=cap, ledger=SharedLedger(folder / "any.sqlite", database.address)).spent().calls
        assert len(model.asked) <= spent <= cap, (len(model.asked), spent, cap)
        print(
            f"\n{kills} kills, {kills // 5} of them of the server: {number_of_calls} questions of four processes, "
            f"{len(model.asked)} calls, {repeated} of them repeated, none that was stored; {spent} counted as spent"
        )


def main() -> None:
    """Both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if programs() is None:
        sys.exit("there is no PostgreSQL on this machine: install it from its packages")
    database = PostgresServer()
    try:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), database)
            fly(Path(folder), database)
            database.empty()
            kill(Path(folder), database, arguments.kills, arguments.seed)
    finally:
        database.close()


if __name__ == "__main__":
    main()
