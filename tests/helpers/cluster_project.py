"""A small project whose searches run in processes of their own, with a server on loopback as its language model."""

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
import time
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

from openai_server import Answer, Asked, chat
from project_copy import copy_project

import paretune
from paretune.commands.compose import compose

#: Each tuner, in a search of a few trials.
TUNERS: dict[str, list[str]] = {
    "grid": ["search.max_trials=4"],
    "random": ["search.max_trials=4"],
    "bayesian": ["search.max_trials=5", "tuner.num_initial_points=2"],
    "pareto": ["search.max_trials=5", "tuner.num_initial_points=2"],
    "hyperband": ["tuner.max_epochs=3"],
}
_ROWS = {"train": 8, "val": 24}


class Searched(NamedTuple):
    """What a search has left: the bytes of data/search/trials.jsonl, and reports/run.json."""

    trials: bytes
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
    for stage in (["materialize", "train"], ["split"]):
        command = [sys.executable, "-m", f"paretune.stages.{stage[0]}", *stage[1:]]
        subprocess.run(command, cwd=folder, env=_environment(), check=True, stderr=subprocess.DEVNULL)
    with chdir(folder):
        for name, count in _ROWS.items():
            path = Path(f"data/splits/{name}.jsonl")
            path.write_text("".join(path.read_text().splitlines(keepends=True)[:count]))


def configure(folder: Path, api_base: str, *overrides: str) -> None:
    """Compose the project's params anew."""
    own = ["lm=openai_compatible", "lm.model=openai/m", f"lm.api_base={api_base}", "search.parallel_trials=3"]
    own += ["search.space.structured_output.values=[native,prompt]", "lm.max_attempts=3"]
    compose(folder, [*own, *overrides])


def start_search(folder: Path) -> subprocess.Popen[str]:
    """Begin a search; it is a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "paretune.stages.search"],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def search(folder: Path) -> Searched:
    """Run a search to its end."""
    process = start_search(folder)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return left_by(folder)


def left_by(folder: Path) -> Searched:
    """What the last search has left."""
    run = json.loads((folder / "reports/run.json").read_text())
    return Searched((folder / "data/search/trials.jsonl").read_bytes(), run)


def forget_records(state: Path) -> None:
    """Leave nothing of earlier searches but the ledger."""
    shutil.rmtree(state / "searches")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(paretune.__file__).parent.parent)}


def workers_of(process: int) -> list[int]:
    """The worker processes that the driver of a search has started, and that run."""
    import psutil  # comes with Dask

    found = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process).children():
            with contextlib.suppress(psutil.Error):
                if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(child.cmdline()):
                    found.append(child.pid)
    return found


def kill_workers(process: subprocess.Popen[str], kills: int, seed: int, longest_pause_s: float) -> int:
    """Kill a worker of a search again and again, at random moments, until that is done or the search has ended; how
    often it was done."""
    rng, killed = random.Random(seed), 0
    while killed < kills and process.poll() is None:
        time.sleep(rng.uniform(0, longest_pause_s))
        if workers := workers_of(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(workers), signal.SIGKILL)
                killed += 1
    return killed
