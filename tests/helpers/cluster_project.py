"""A small project whose searches run here, or in processes of their own, with a server on loopback as language model;
and the processes of a Dask cluster and of a gateway for it, which can be killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

from openai_server import Answer, Asked, chat
from project_copy import copy_project

import paretune
from paretune.commands.compose import compose
from paretune.stages import search as stage

#: Each tuner, in a search of a few trials.
TUNERS: dict[str, list[str]] = {
    "grid": ["search.max_trials=4"],
    "random": ["search.max_trials=4"],
    "bayesian": ["search.max_trials=5", "tuner.num_initial_points=2"],
    "pareto": ["search.max_trials=5", "tuner.num_initial_points=2"],
    "hyperband": ["tuner.max_epochs=3"],
}
_ROWS = {"train": 8, "val": 24}
#: How many calls a language model of the project has in flight.
CONCURRENCY = 4
KEY = "sk-of-the-tests-of-clusters"


class Searched(NamedTuple):
    """What a search has left: the bytes of data/search/trials.jsonl and of replies.jsonl, and reports/run.json."""

    trials: bytes
    replies: bytes
    run: dict[str, Any]


def label_by_digest(asked: Asked, delay_s: float = 0.0) -> Answer:
    """A label for each question, always the same, that has to do with how it was asked."""
    dice = hashlib.sha256(json.dumps(asked.body["messages"]).encode()).digest()[0]
    answer = chat(json.dumps({"label": ("joy", "sadness", "anger", "fear")[dice % 4]}))
    answer.delay_s = delay_s
    return answer


def make_project(folder: Path, api_base: str, *overrides: str) -> None:
    """A project in an empty folder, with its rows."""
    copy_project(folder)
    configure(folder, api_base, *overrides)
    for name in (["materialize", "train"], ["split"]):
        command = [sys.executable, "-m", f"paretune.stages.{name[0]}", *name[1:]]
        subprocess.run(command, cwd=folder, env=_environment(), check=True, stderr=subprocess.DEVNULL)
    with chdir(folder):
        for name_, count in _ROWS.items():
            path = Path(f"data/splits/{name_}.jsonl")
            path.write_text("".join(path.read_text().splitlines(keepends=True)[:count]))


def configure(folder: Path, api_base: str, *overrides: str) -> None:
    """Compose the project's params anew."""
    own = ["lm=openai_compatible", "lm.model=openai/m", f"lm.api_base={api_base}", "search.parallel_trials=3"]
    own += ["search.space.structured_output.values=[native,prompt]", "lm.max_attempts=3"]
    compose(folder, [*own, f"lm.concurrency={CONCURRENCY}", *overrides])


def searched(folder: Path) -> Searched:
    """Run a search here to its end. Raises its errors."""
    with chdir(folder):
        stage.main()
    return left_by(folder)


def start_search(folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Begin a search; it is a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "paretune.stages.search"],
        cwd=folder,
        env=_environment(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for a search to end well; what it has written to stderr."""
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return errors


def left_by(folder: Path) -> Searched:
    """What the last search has left."""
    files = [(folder / "data/search" / name).read_bytes() for name in ("trials.jsonl", "replies.jsonl")]
    return Searched(files[0], files[1], json.loads((folder / "reports/run.json").read_text()))


def forget_records(state: Path) -> None:
    """Leave nothing of earlier searches but the ledger."""
    shutil.rmtree(state / "searches")


def _environment(more: Mapping[str, str] = {}) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(paretune.__file__).parent.parent), **more}


class Cluster:
    """A scheduler on loopback and workers of one thread, each a ``dask`` command as a user would start it."""

    def __init__(self, workers: int, port: int) -> None:
        self.address, self._workers = f"tcp://127.0.0.1:{port}", workers
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all of it."""
        host, port = self.address.removeprefix("tcp://").split(":")
        self._run("scheduler", "--host", host, "--port", port, "--dashboard-address", f"{host}:0")
        for _ in range(self._workers):
            self._run("worker", self.address, "--nthreads", "1", "--host", host)

    def _run(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
        settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "100"}
        self._processes.append(
            subprocess.Popen(command, env=_environment(settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def workers(self) -> list[int]:
        """The numbers of the processes that run trials now. Where a command has ended (a worker was killed before it
        was ready), it is started again, as a cluster's manager would do."""
        for process in self._processes[1:]:
            if process.poll() is not None:
                self._processes.remove(process)
                self._run("worker", self.address, "--nthreads", "1", "--host", "127.0.0.1")
        return [worker for process in self._processes[1:] for worker in workers_of(process.pid)]

    def close(self) -> None:
        """Kill all of it, the scheduler first."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes.clear()


@contextlib.contextmanager
def gateway(folder: Path, port: int = 0, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``paretune gateway`` in a project's folder: the process, and its address."""
    command = [sys.executable, "-m", "paretune.commands.main", "gateway", "--port", str(port)]
    given = _environment({"PARETUNE_GATEWAY_KEY": KEY, **environment})
    with subprocess.Popen(
        command, cwd=folder, env=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip().removeprefix("export OPENAI_BASE_URL=")
        finally:
            process.terminate()


def workers_of(process: int) -> list[int]:
    """The workers of Dask that a process has started, and that run."""
    import psutil  # comes with Dask

    found = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process).children():
            with contextlib.suppress(psutil.Error):
                if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(child.cmdline()):
                    found.append(child.pid)
    return found


def kill_one(workers: list[int], rng: random.Random) -> bool:
    """Kill a random worker; whether there was one."""
    if workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(workers), signal.SIGKILL)
            return True
    return False
