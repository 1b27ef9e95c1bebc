"""A ledger in PostgreSQL: what it costs, and what it survives: ``python benchmarks/postgres.py [--kills N]``.

The server is the machine's own PostgreSQL, on loopback. First a reply is looked for, claimed and stored, and a budget
reserved and settled, some thousand times one after the other; beside that the same in a file. Then four processes ask
the same questions while they are killed, one after the other, and the server with them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))

from openai_server import openai_server
from postgres_server import PostgresServer, programs
from team_calls import LEASE_S, Team, echo

from paretune.lm.ledger import home
from paretune.lm.ledger.budget import Budget
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.shared import SharedLedger
from paretune.lm.types import Reply

CALLS, RUNS = 1_000, 3


async def calls(ledger: Ledger, name: str) -> dict[str, float]:
    """Milliseconds of each step of a call, of wall time."""
    took = dict.fromkeys(("look for", "claim", "store", "find again"), 0.0)
    reply = Reply("a reply of some length " * 5, 100, 20, 0.001, 0.5, 1)
    for number in range(CALLS):
        key = f"{name} {number}"
        steps = {
            "look for": lambda key=key: ledger.get(key),
            "store": lambda key=key: ledger.put(key, "m", '{"messages":[]}', reply),
            "find again": lambda key=key: ledger.get(key),
        }
        for step, work in steps.items():
            if step == "store":
                started = time.perf_counter()
                await ledger.claim(key)
                took["claim"] += time.perf_counter() - started
            started = time.perf_counter()
            work()
            took[step] += time.perf_counter() - started
    return {step: seconds / CALLS * 1000 for step, seconds in took.items()}


def budgets(ledger: Ledger) -> float:
    """Milliseconds of a reservation and its end."""
    budget = Budget(calls=10**9, ledger=ledger)
    from paretune import ScriptedLanguageModel
    from paretune.lm.types import Request

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
            f"{kills} kills, {kills // 5} of them of the server: {number_of_calls} questions of four processes, "
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
            database.empty()
            kill(Path(folder), database, arguments.kills, arguments.seed)
    finally:
        database.close()


if __name__ == "__main__":
    main()
