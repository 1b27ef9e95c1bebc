"""Searches whose trials run on a Dask cluster: the results of one process, whatever becomes of the cluster's."""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cluster_project import (
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
    searched,
    start_search,
    workers_of,
)
from openai_server import OpenAIServer, openai_server

from paretune.errors import ConfigError
from paretune.pipeline.worker import PROJECT

pytest.importorskip("distributed", reason="Dask is an extra")


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    """A server that answers each question as always."""
    with openai_server() as found:
        yield found


@pytest.fixture(scope="module")
def project(server: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all searches here: workers serve no second one."""
    folder: Path = tmp_path_factory.mktemp("project")
    make_project(folder, server.api_base)
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three worker processes, which other searches have used already."""
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}}
    with (
        LocalCluster(n_workers=3, threads_per_worker=1, host="127.0.0.1", memory_limit=0, **options) as started,
        Client(started) as client,
    ):
        yield client


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(autouse=True)
def _afresh(server: OpenAIServer) -> None:
    server.asked.clear()
    server.answer = label_by_digest


def configured(project: Path, server: OpenAIServer, kind: str, *overrides: str) -> None:
    configure(project, server.api_base, *SEARCHES[kind], *overrides)


def on(scheduler: str) -> tuple[str, str]:
    return "search.executor=dask", f"search.scheduler={scheduler}"


def slowly(asked: Any) -> Any:
    return label_by_digest(asked, 0.15)


SEARCHES = {kind: [f"tuner={kind}", *overrides] for kind, overrides in TUNERS.items()}
SEARCHES["racing"] = [*SEARCHES["grid"], "search.racing=fast"]


@pytest.mark.parametrize("kind", SEARCHES)
def test_a_cluster_finds_what_one_process_finds(
    kind: str, cluster: Any, server: OpenAIServer, project: Path, own_state: Path
) -> None:
    """Trials and replies are the same, byte for byte; each call is paid for and counted once."""
    address = cluster.scheduler.address
    configured(project, server, kind, *on(address))
    there = searched(project)
    assert there.run["lm_calls_paid"] == len(server.asked) > 0
    forget_records(own_state)
    configured(project, server, kind)
    here = searched(project)
    assert (here.trials, here.replies) == (there.trials, there.replies)
    assert here.run["lm_calls_paid"] == 0
    racing = {name: here.run.get(name) for name in ("dropped", "calls_saved")}
    assert {name: there.run.get(name) for name in racing} == racing
    assert all(trial["seconds"] is not None for trial in there.run["trials"])


def test_workers_without_the_project(cluster: Any, server: OpenAIServer, project: Path, tmp_path: Path) -> None:
    """A worker that has no data, or a copy of the project when it has served another folder, says so in one line."""
    address = cluster.scheduler.address
    configured(project, server, "grid", *on(address))
    searched(project)
    asked = len(server.asked)
    shutil.copytree(project, tmp_path / "copy")
    for folder, why in (("nowhere", "finds no data/splits/val.jsonl"), ("copy", "has other code loaded")):
        cluster.run(lambda place: os.environ.update({PROJECT: place}), str(tmp_path / folder))
        try:
            configured(project, server, "random", *on(address))
            with pytest.raises(ConfigError, match=f"^the worker on .* {why}"):
                searched(project)
        finally:
            cluster.run(lambda: os.environ.pop(PROJECT))
    assert len(server.asked) == asked


def test_a_cluster_that_is_not_there(server: OpenAIServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No scheduler, workers on other machines that could reach no gateway, and no Dask: one line each."""
    monkeypatch.setitem(_settings(), "distributed.comm.timeouts.connect", "200ms")
    for scheduler, why in (
        ("tcp://127.0.0.1:9", "no Dask scheduler answers at 'tcp://127.0.0.1:9'"),
        ("tcp://10.1.2.3:8786", "on other machines, which must reach a gateway"),
    ):
        configured(project, server, "grid", *on(scheduler))
        with pytest.raises(ConfigError, match=f"^search.scheduler: .*{why}"):
            searched(project)
    configured(project, server, "grid", *on("tcp://127.0.0.1:9"))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "distributed", None)
        with pytest.raises(ConfigError, match=r"pip install 'paretune\[distributed\]'"):
            searched(project)
    assert not server.asked


def _settings() -> dict[str, Any]:
    from paretune.pipeline import cluster

    return cluster._SETTINGS


@pytest.mark.slow
def test_killed_workers_repeat_no_call(server: OpenAIServer, project: Path, own_state: Path) -> None:
    """Workers of a search's own cluster are killed three times: the search has the results of one that was left alone,
    asks nothing twice, and ends exactly at its cap."""
    search = [*SEARCHES["grid"], "search.racing=none", "search.executor=dask", "search.workers=2"]
    server.answer = slowly
    configure(project, server.api_base, *search, "budget.calls=100")
    process, rng, kills = start_search(project), random.Random(3), 0
    while process.poll() is None and kills < 3:
        if len(server.asked) > 20 * kills:
            kills += kill_one(workers_of(process.pid), rng)
        time.sleep(0.02)
    assert "budget.calls=100" in ended(process) and kills == 3
    texts = [str(one.body) for one in server.asked]
    assert len(texts) == len(set(texts)) == 100
    server.answer = label_by_digest
    configure(project, server.api_base, *search[:-2])
    rest = searched(project)
    forget_records(own_state)
    assert (again := searched(project)).trials == rest.trials and again.run["lm_calls_paid"] == 0
    assert len(server.asked) == 112


@pytest.mark.slow
def test_a_scheduler_that_is_killed(server: OpenAIServer, project: Path, free_port: int) -> None:
    """The search ends with one line and goes on in the next run, elsewhere if need be; no call is repeated."""
    server.answer = slowly
    with closing(Cluster(1, free_port)) as own:
        own.start()
        configured(project, server, "grid", *on(own.address))
        process = start_search(project)
        while len(server.asked) < 30:
            time.sleep(0.02)
        own.close()
        _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("error: the Dask scheduler is gone; what was paid for is kept")
    server.answer = label_by_digest
    configured(project, server, "grid")
    assert searched(project).run["lm_calls_paid"] < 112 - 20
    assert len(server.asked) == 112


@pytest.mark.slow
def test_a_gateway_and_its_clients_are_killed(
    server: OpenAIServer,
    project: Path,
    own_state: Path,
    tmp_path: Path,
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A search by way of a gateway is killed, and then the gateway under the next one: what was stored is not asked
    again, the cap holds exactly, and the results are those of a search without a gateway."""
    address, cap = f"http://127.0.0.1:{free_port}/v1", 112 + 10
    configured(project, server, "grid", "search.racing=none", f"budget.calls={cap}", f"lm.gateway={address}")
    server.answer = slowly
    state = {"PARETUNE_HOME": str(tmp_path / "client"), "PARETUNE_GATEWAY_KEY": KEY}
    with gateway(project, free_port) as (first, _):
        for calls in (20, 50):
            process = start_search(project, **state)
            while len(server.asked) < calls:
                time.sleep(0.02)
            (process if calls == 20 else first).kill()
            if calls == 20:
                process.communicate()
        first.wait()
        sent = len(server.asked)
    with gateway(project, free_port):
        ended(process)
        there = left_by(project)
        assert 112 <= len(server.asked) <= 112 + 4  # at most those in flight are sent again
        assert not {str(one.body) for one in server.asked[: sent - 4]} & {str(one.body) for one in server.asked[sent:]}
        monkeypatch.setenv("PARETUNE_GATEWAY_KEY", KEY)
        configured(
            project,
            server,
            "grid",
            "search.racing=none",
            f"budget.calls={cap}",
            f"lm.gateway={address}",
            "search.seed=5",
        )
        assert searched(project).run["stopped"]
        assert cap - 4 <= len(server.asked) <= cap  # what the dead gateway had reserved is spent
        configured(project, server, "grid", "budget.calls=1000", f"lm.gateway={address}")
        with pytest.raises(ConfigError, match=r"^budget: .*'calls': 1000.* start it with the same budget"):
            searched(project)
    configured(project, server, "grid")
    assert (here := searched(project)).trials == there.trials and here.run["lm_calls_paid"] == 0
