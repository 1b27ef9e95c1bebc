"""Processes of a team on one shared ledger, killed and begun again: see ``Team``."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from openai_server import OpenAIServer, chat
from postgres_server import PostgresServer

import paretune
from paretune.errors import BudgetError
from paretune.eventloop import all_ended
from paretune.lm.ledger import home, leases
from paretune.lm.ledger.budget import Budget
from paretune.lm.options import CallOptions
from paretune.lm.types import Request

__all__ = ["LATENCY_S", "Kills", "Team", "echo"]

LATENCY_S = 0.05
#: In the place of 20 s, so that what the dead held is soon free.
LEASE_S = 2.0


def echo(server: OpenAIServer) -> None:
    """Answer each question with itself, after a while."""

    def answer(asked: object) -> object:
        reply = chat(asked.body["messages"][-1]["content"])  # type: ignore[attr-defined]
        reply.delay_s = LATENCY_S
        return reply

    server.answer = answer  # type: ignore[assignment]


class Kills(NamedTuple):
    """What was asked of the model's server before the first kill of a kind and after, and what was stored by then."""

    asked: int
    stored: frozenset[str]


class Team:
    """``size`` processes that ask the same ``calls`` questions, each with a state folder of its own, on one database.

    ``cap`` is what their budget allows.
    """

    def __init__(self, folder: Path, database: PostgresServer, model: OpenAIServer, size: int, calls: int, cap: int):
        self.database, self.model, self.calls = database, model, calls
        self._command = [sys.executable, __file__, model.api_base, str(calls), str(cap)]
        self._folders = [folder / f"machine-{number}" for number in range(size)]
        self._processes: list[subprocess.Popen[str] | None] = [None] * size
        self.kills: list[Kills] = []

    def start(self) -> None:
        """Begin those that do not run."""
        for number, process in enumerate(self._processes):
            if process is None:
                own = {"PARETUNE_HOME": str(self._folders[number]), "PARETUNE_LEDGER": self.database.address}
                own |= {"PYTHONPATH": os.pathsep.join(sys.path)}
                self._processes[number] = subprocess.Popen(
                    self._command, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )

    def kill(self, number: int) -> None:
        """Kill a process, whatever it does."""
        process = self._processes[number]
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self._processes[number] = None
        self.note()

    def kill_database(self) -> None:
        """Kill the server, and start it again."""
        self.note()
        self.database.kill()
        time.sleep(2 * LATENCY_S)
        self.database.start()

    def note(self) -> None:
        """Note what is stored now."""
        rows = self.database.run("SELECT request FROM paretune_replies")
        stored = frozenset(json.loads(str(request))["messages"][-1][1] for (request,) in rows)
        self.kills.append(Kills(len(self.model.asked), stored))

    def wait_for_calls(self, count: int) -> None:
        """Wait until the model's server was asked so often."""
        while len(self.model.asked) < count:
            assert any(process is not None and process.poll() is None for process in self._processes)
            time.sleep(0.002)

    def results(self) -> list[dict[str, str]]:
        """The replies of each process, by question, once all have ended; without those that the cap did not allow."""
        found = []
        for number, process in enumerate(self._processes):
            assert process is not None
            printed, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
            self._processes[number] = None
            found.append(json.loads(printed))
        return found

    def check_repeated(self) -> int:
        """That nothing was asked again that was stored; how many calls were made more than once."""
        questions = [asked.body["messages"][-1]["content"] for asked in self.model.asked]
        for kill in self.kills:
            assert not kill.stored & set(questions[kill.asked :]), "a reply that was stored was paid for again"
        return sum(count - 1 for count in Counter(questions).values())

    def close(self) -> None:
        """Kill what runs."""
        for process in filter(None, self._processes):
            process.kill()
            process.communicate()


async def _ask(api_base: str, calls: int, cap: int) -> dict[str, str]:
    model = paretune.LanguageModel("openai/m", api_base=api_base, concurrency=8)
    questions = [f"question {number}" for number in range(calls)]
    random.shuffle(questions)
    found = {}

    async def one(question: str) -> None:
        with contextlib.suppress(BudgetError):
            request = Request((("user", question),), structured_output="text", options=CallOptions(max_tokens=9))
            found[question] = (await model.complete(request)).text

    with Budget(calls=cap).charging():
        await all_ended([one(question) for question in questions])
    return found


if __name__ == "__main__":
    place, number_of_calls, most = sys.argv[1:]
    leases.LEASE_S = home.LEASE_S = LEASE_S
    print(json.dumps(paretune.run_maybe_nested(_ask(place, int(number_of_calls), int(most)))))
