"""Searches on many machines that are killed (kill -9): ``python benchmarks/cluster.py [TUNER …]``, some minutes.

For each tuner: a search on a Dask cluster of three worker processes, which are killed at 30 random moments, and the
scheduler in the middle of it. Then the same under a cap that is too low. Then ``paretune gateway`` with four searches
in processes of their own, each of which is killed, and the gateway too; and that with a ledger in PostgreSQL. All of it
must have the results of searches in one process, may repeat only the calls that were in flight, and may never pass a
cap: the models' server, on loopback, counts requests.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))

from cluster_project import (
    CONCURRENCY,
    KEY,
    TUNERS,
    Cluster,
    configure,
    ended,
    forget_records,
    gateway,
    kill_one,
    label_by_digest,
    left_by,
    make_project,
    start_search,
    workers_of,
)
from ledger_rows import stored as stored_calls
from openai_server import Asked, OpenAIServer, openai_server
from postgres_server import PostgresServer, programs

KILLS, DELAY_S, CLIENTS = 30, 0.4, 4
#: A reward that takes a core for a quarter of a second.
SLOW = """
import time

def slow(y_true, y_pred):
    until = time.thread_time() + 0.25
    while time.thread_time() < until:
        pass
    return float(y_true["label"] == y_pred["label"])
"""


def asked(requests: Sequence[Asked]) -> Counter[str]:
    return Counter(json.dumps(one.body, sort_keys=True) for one in requests)


def in_one_process(folder: Path, server: OpenAIServer, *search: str) -> tuple[bytes, int]:
    """The trials of the project's search in one process, from the same ledger, and how many calls that paid for."""
    forget_records(Path(os.environ["PARETUNE_HOME"]))
    configure(folder, server.api_base, *search)
    ended(start_search(folder))
    trials, _, run = left_by(folder)
    return trials, run["lm_calls_paid"]


def on_a_cluster(folder: Path, server: OpenAIServer, kind: str, rng: random.Random) -> str:
    """Kill workers and the scheduler under a search, then check what it has left."""
    search = [f"tuner={kind}", *TUNERS[kind]]
    cluster, begun = Cluster(3, free_port()), len(server.asked)
    configure(folder, server.api_base, *search, "search.executor=dask", f"search.scheduler={cluster.address}")
    kills, restarts = 0, 0
    with contextlib.closing(cluster):
        cluster.start()
        process = start_search(folder)
        while process.poll() is None or process.returncode:
            if process.poll() is not None:  # the scheduler is gone
                errors = process.communicate()[1]
                assert restarts and "the Dask scheduler is gone" in errors, errors
                cluster.start()
                process = start_search(folder)
            time.sleep(rng.uniform(0, 0.4))
            if len(server.asked) == begun:
                continue
            workers = cluster.workers()
            kills += kills < KILLS and kill_one(workers, rng)
            if kills >= KILLS // 2 and not restarts:
                cluster.close()
                restarts = process.wait()
    trials = left_by(folder).trials
    sent = len(server.asked) - begun
    repeated = sent - len(stored(Path(os.environ["PARETUNE_HOME"])))
    same, paid = in_one_process(folder, server, *search)
    assert trials == same and paid == 0, f"{kind}: other results than in one process ({paid} calls paid)"
    assert repeated <= CONCURRENCY, f"{kind}: {repeated} calls repeated"
    return f"{kind}: {sent} calls, {kills} kills of workers, 1 of the scheduler; {repeated} calls repeated"


def under_a_cap(folder: Path, server: OpenAIServer, cap: int, rng: random.Random) -> str:
    """The same under a cap that does not suffice, on a cluster that the search starts itself."""
    search = ["tuner=grid", *TUNERS["grid"], "search.executor=dask", "search.workers=3", f"budget.calls={cap}"]
    configure(folder, server.api_base, *search)
    begun, kills, process = len(server.asked), 0, start_search(folder)
    while process.poll() is None:
        time.sleep(rng.uniform(0, 0.4))
        if len(server.asked) > begun and kills < KILLS:
            kills += kill_one(workers_of(process.pid), rng)
    sent = len(server.asked) - begun
    errors = process.communicate()[1]
    assert f"budget.calls={cap}" in errors or left_by(folder).run["stopped"], errors
    assert sent == cap, f"{sent} calls under a cap of {cap}"
    return f"grid under a cap of {cap} calls: {kills} kills of workers, {sent} requests at the server"


def on_a_gateway(place: Path, server: OpenAIServer, rng: random.Random, database: PostgresServer | None = None) -> str:
    """Kill four searches and the gateway that they share; then check accounts and results.

    With a database behind it the second gateway begins in an empty folder, as on another machine.
    """
    own = ["tuner=grid", *TUNERS["grid"]]
    seeds = [0, 0, 1, 2]  # two of them are the same search
    head = place / "head"
    projects = [place / f"client{number}" for number in range(CLIENTS)]
    make_project(head, server.api_base, *own)
    cap = 3 * calls_of(head, server, own) + 2 * CONCURRENCY
    configure(head, server.api_base, *own, f"budget.calls={cap}")
    port, begun = free_port(), len(server.asked)
    address = f"http://127.0.0.1:{port}/v1"
    for folder, seed in zip(projects, seeds, strict=True):
        shutil.copytree(head, folder)
        configure(folder, server.api_base, *own, f"search.seed={seed}", f"lm.gateway={address}")

    def start(number: int) -> subprocess.Popen[str]:
        return start_search(projects[number], PARETUNE_HOME=str(place / f"state{number}"), PARETUNE_GATEWAY_KEY=KEY)

    state = {"PARETUNE_HOME": str(place / "state")}
    other = state if database is None else {"PARETUNE_HOME": str(place / "other"), "PARETUNE_LEDGER": database.address}
    state |= {} if database is None else {"PARETUNE_LEDGER": database.address}
    with gateway(head, port, **state) as (first, _):
        searches = [start(number) for number in range(CLIENTS)]
        for number in rng.sample(range(CLIENTS), CLIENTS):
            wait_for(server, begun + 8 * (number + 1))
            searches[number].kill()
            searches[number].communicate()
            searches[number] = start(number)
        wait_for(server, begun + cap // 2)
        first.kill()
        first.wait()
        kept, since = set(asked(server.asked)) - unstored(server, place / "state"), len(server.asked)
    with gateway(head, port, **other):
        for one in searches:
            ended(one)
        again = kept & set(asked(server.asked[since:]))
        assert not again, f"{len(again)} calls were paid for again that were stored"
        results = [left_by(folder).trials for folder in projects]
        said, seed = "", 9
        while "budget.calls" not in said:  # spend the rest
            configure(projects[0], server.api_base, *own, f"search.seed={seed}", f"lm.gateway={address}")
            said, seed = start(0).communicate()[1], seed + 1
    sent = len(server.asked) - begun
    assert cap - CONCURRENCY <= sent <= cap, f"{sent} calls under a cap of {cap}"
    for seed, trials in zip(seeds, results, strict=True):
        configure(head, server.api_base, *own, f"search.seed={seed}")
        ended(start_search(head, **other))
        assert left_by(head).trials == trials and not left_by(head).run["lm_calls_paid"]
    stored_now = stored(place / "state") if database is None else database.run("SELECT key FROM paretune_replies")
    name = "gateway" if database is None else "gateway on PostgreSQL"
    return (
        f"{name}: {CLIENTS} searches killed once each and the gateway once: {sent} requests under a cap of {cap}, "
        f"{sent - len(stored_now)} calls repeated, none of them stored"
    )


def seconds(place: Path, server: OpenAIServer) -> str:
    """The same search in one process and on two workers here, of calls that wait and with a reward that computes."""
    folder, found = place / "p", []
    own = ["tuner=grid", *TUNERS["grid"], "lm.concurrency=16", "search.parallel_trials=2"]
    make_project(folder, server.api_base, *own)
    (folder / "slow.py").write_text(SLOW)
    computing = ["layout.source=slow.py", "layout.reward={name: 'slow:slow'}"]
    for what, more in (("waiting", []), ("computing", computing)):
        for executor in ("local", "dask"):
            times = []
            for number in range(2):
                state = {"PARETUNE_HOME": str(place / f"{what}-{executor}-{number}")}
                configure(folder, server.api_base, *own, *more, f"search.executor={executor}", "search.workers=2")
                ended(start_search(folder, **state))
                times.append(left_by(folder).run["seconds"])
            found.append(f"{what}, {executor}: {min(times)} s")
    return "; ".join(found)


def calls_of(folder: Path, server: OpenAIServer, search: list[str]) -> int:
    """How many calls a search makes."""
    before, server.answer = len(server.asked), label_by_digest
    ended(start_search(folder, PARETUNE_HOME=str(folder.parent / "counted")))
    server.answer = slowly
    return len(server.asked) - before


def slowly(one: Asked) -> object:
    return label_by_digest(one, DELAY_S)


def stored(state: Path) -> dict[str, dict[str, Any]]:
    """The calls that the ledger has."""
    return stored_calls(state / "ledger.sqlite")


def unstored(server: OpenAIServer, state: Path) -> set[str]:
    """What the server was asked and the ledger does not have."""
    known = {json.dumps(call["request"]["messages"]) for call in stored(state).values()}
    return {text for text in asked(server.asked) if json.dumps(json.loads(text)["messages"]) not in known}


def wait_for(server: OpenAIServer, calls: int) -> None:
    while len(server.asked) < calls:
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def main() -> None:
    """Print one line a proof."""
    rng = random.Random(7)
    kinds = [each for each in sys.argv[1:] if each in TUNERS] or list(TUNERS)

    def run(proof: Callable[[Path, OpenAIServer], str]) -> None:
        with tempfile.TemporaryDirectory() as place, openai_server() as server:
            server.answer = slowly
            os.environ["PARETUNE_HOME"] = str(Path(place, "home"))
            started = time.monotonic()
            print(proof(Path(place), server), f"({time.monotonic() - started:.0f} s)", flush=True)

    for kind in kinds:

        def killed(place: Path, server: OpenAIServer, kind: str = kind) -> str:
            make_project(place / "p", server.api_base, f"tuner={kind}", *TUNERS[kind])
            return on_a_cluster(place / "p", server, kind, rng)

        run(killed)

    def capped(place: Path, server: OpenAIServer) -> str:
        make_project(place / "p", server.api_base)
        return under_a_cap(place / "p", server, 90, rng)

    run(capped)
    run(lambda place, server: on_a_gateway(place, server, rng))
    if programs() is None:
        print("there is no PostgreSQL on this machine", flush=True)
    else:
        with contextlib.closing(PostgresServer()) as database:
            run(lambda place, server: on_a_gateway(place, server, rng, database))
    run(seconds)


if __name__ == "__main__":
    main()
