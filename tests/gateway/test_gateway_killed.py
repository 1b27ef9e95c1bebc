"""``paretune gateway`` as its own process, killed in the middle, and its clients killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ledger_rows import stored
from openai_server import OpenAIServer, chat, openai_server
from project_copy import copy_project

from paretune.commands.compose import compose
from paretune.commands.main import main

KEY = "sk-of-the-test"
#: Asks some questions one after the other.
CLIENT = """
import json, os, sys, urllib.request
for text in sys.argv[1:]:
    body = json.dumps({"messages": [{"role": "user", "content": text}], "temperature": 1}).encode()
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, headers)
    print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"], flush=True)
"""


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A server that takes its time, and a project whose model it is, with a cap on calls."""
    monkeypatch.setenv("PARETUNE_GATEWAY_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    copy_project(tmp_path)
    with openai_server() as server:
        server.answer = lambda asked: chat(f"echo {asked.body['messages'][0]['content']}")
        own = ["lm=openai_compatible", "lm.model=openai/m", f"lm.api_base={server.api_base}", "budget.calls=60"]
        compose(tmp_path, [*own, "lm.max_attempts=1"])
        yield server


@contextmanager
def gateway(port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and its address."""
    command = [sys.executable, "-m", "paretune.commands.main", "gateway", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip().removeprefix("export OPENAI_BASE_URL=")
            yield process, address
        finally:
            process.terminate()


def ask(address: str, text: str) -> str:
    """The reply to a question, however often the gateway goes away meanwhile."""
    content = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    request = urllib.request.Request(f"{address}/chat/completions", content, {"Authorization": f"Bearer {KEY}"})
    while True:
        try:
            with urllib.request.urlopen(request) as response:
                reply: str = json.load(response)["choices"][0]["message"]["content"]
                return reply
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.05)


def questions(ledger: Path) -> set[str]:
    """The questions whose replies the ledger has."""
    return {call["request"]["body"]["messages"][0]["content"] for call in stored(ledger).values()}


def asked(server: OpenAIServer, since: int = 0) -> list[str]:
    return [one.body["messages"][0]["content"] for one in server.asked[since:]]


def test_killed_clients_lose_nothing(upstream: OpenAIServer) -> None:
    """A client that is killed in the middle of a call, again and again, is served what it asked: each question is sent
    once."""
    upstream.answer = lambda one: _slowly(f"echo {one.body['messages'][0]['content']}")
    questions = [f"q{n}" for n in range(6)]
    with gateway() as (_, address):
        environment = {**os.environ, "OPENAI_BASE_URL": address, "OPENAI_API_KEY": KEY}
        command = [sys.executable, "-c", CLIENT, *questions]
        for begun in (2, 4):
            with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as client:
                while len(upstream.asked) < begun:
                    time.sleep(0.01)
                client.kill()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == [f"echo {text}" for text in questions]
    assert Counter(asked(upstream)) == Counter(questions)


def test_a_command_with_the_gateway_around_it(upstream: OpenAIServer, capfd: pytest.CaptureFixture[str]) -> None:
    """Its models are reached, its output and its exit code are its own, and the next time all of it is served again."""
    code = f"{CLIENT}\nsys.exit(7)"
    for paid in (2, 2):
        with pytest.raises(SystemExit) as ended:
            main(["gateway", "--", sys.executable, "-c", code, "a", "b"])
        assert ended.value.code == 7
        assert capfd.readouterr().out == "echo a\necho b\n"
        assert len(upstream.asked) == paid


def _slowly(text: str) -> Any:
    answer = chat(text)
    answer.delay_s = 0.1
    return answer


def test_a_killed_gateway_loses_nothing_that_was_stored(upstream: OpenAIServer, own_state: Path) -> None:
    """Four clients, and the gateway killed twice under them: everybody gets every reply, what was stored before a kill
    is never sent again, and the cap is exact in the end."""
    upstream.answer = lambda one: _slowly(f"echo {one.body['messages'][0]['content']}")
    replies: dict[str, str] = {}
    kills: list[tuple[int, set[str]]] = []
    with gateway() as (first, address):
        port = int(address.rsplit(":", 1)[1].partition("/")[0])

        def client(number: int) -> None:
            for text in [*(f"shared {n}" for n in range(4)), *(f"own {number} {n}" for n in range(6))]:
                replies[f"{number} {text}"] = ask(address, text)

        clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        for one in clients:
            one.start()
        _kill_after(first, upstream, 6, own_state, kills)
    with gateway(port) as (second, _):
        _kill_after(second, upstream, 14, own_state, kills)
    with gateway(port):
        for one in clients:
            one.join()
        assert all(reply == f"echo {who.partition(' ')[2]}" for who, reply in replies.items())
        assert len(replies) == 40
        for since, kept in kills:
            assert kept and not kept & set(asked(upstream, since))
        with pytest.raises(urllib.error.HTTPError, match="429"):
            for n in range(60):
                ask(address, f"more {n}")
        assert (
            60 - 8 <= len(upstream.asked) <= 60
        )  # each kill may have cut off four that were reserved, and not yet sent
    with closing(sqlite3.connect(own_state / "ledger.sqlite")) as connection:
        assert connection.execute("SELECT calls FROM budget_spent").fetchall() == [(60,)]


def _kill_after(
    process: subprocess.Popen[str], server: OpenAIServer, calls: int, state: Path, kills: list[tuple[int, set[str]]]
) -> None:
    """Kill the gateway once so many calls were sent; note how many those were, and what was stored by then."""
    while len(server.asked) < calls:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kills.append((len(server.asked), questions(state / "ledger.sqlite")))
