"""Short searches with every tuner, in processes that can be killed.

Run as a script it does what a ``Searching`` object asks for, and notes every call that reaches the model.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from odd_numbers import digest_of, fit_arguments, make_builder, mostly_right, numbers, rows

import paretune
from paretune import LanguageModel, ScriptedLanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.trials.record import TrialRecord
from paretune.trials.store import TrialStore
from paretune.tuners import Objective
from paretune.tuners.tuner import Tuner

#: How many calls a search makes at once.
CONCURRENCY = 4
#: When a write may be cut short by a kill; after the last two of these the record is whole.
STAGES = ("before", "middle", "fsync", "after")
#: Short searches with each of the tuners: the arguments that are their own.
SHORT: dict[str, dict[str, Any]] = {
    "GridSearch": {},
    "RandomSearch": {"max_trials": 6},
    "BayesianOptimization": {"max_trials": 6, "num_initial_points": 2},
    "ParetoSearch": {"max_trials": 6},
    "Hyperband": {"max_epochs": 3},
}


def short_search(kind: str, folder: Path, model: LanguageModel, **options: Any) -> Tuner:
    """A short search with a tuner, not yet started."""
    return getattr(paretune.tuners, kind)(
        make_builder(model),
        objective=[Objective("val_reward", "max"), Objective("val_f1", "max")],
        **{"directory": folder, "parallel_trials": 2, "verbose": False, **SHORT[kind], **options},
    )


def run(kind: str, folder: Path, concurrency: int = CONCURRENCY, racing: str = "none", **options: Any) -> Tuner:
    """Do a short search; every call that reaches the model is appended to ``folder/calls`` at once. One that races has
    more validation examples."""
    log = os.open(folder / "calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def script(request: Request) -> str:
        os.write(log, f"{digest_of(request)}-{request.epoch}\n".encode())
        return mostly_right(request)

    model = ScriptedLanguageModel(
        script, ledger=Ledger(folder / "ledger.sqlite"), concurrency=concurrency, latency_s=0.004, jitter=True
    )
    tuner = short_search(kind, folder, model, racing=racing, **options)
    validation = numbers(4 if racing == "none" else 60, start=100)
    tuner.search(**fit_arguments(epochs=2, validation_data=validation))
    os.close(log)
    return tuner


def cut_writes(count: int, stage: str) -> None:
    """From now on this process is killed at its ``count``-th write of a trial's record: before it, in the middle of the
    line, between the write and the fsync, or after it."""
    append, written = TrialStore.append, itertools.count(1)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def cut(store: TrialStore, record: TrialRecord) -> None:
        if next(written) < count:
            return append(store, record)
        if stage == "before":
            die()
        elif stage == "middle":
            append(store, record)
            content = store.path.read_bytes()
            begin = content.rfind(b"\n", 0, -1) + 1
            os.truncate(store.path, (begin + len(content)) // 2)
        elif stage == "fsync":
            os.fsync = lambda _: die()
            append(store, record)
        else:
            append(store, record)
        die()

    TrialStore.append = cut  # type: ignore[method-assign,assignment]


def serve() -> None:
    """For each line of standard input (the JSON of a tuner's name, a folder, the arguments of ``cut_writes`` or null,
    and the rule of racing), do a short search in a fork of this process, and tell when that has ended.

    Forking saves the time of the imports. The records are left in ``folder/records.json``.
    """
    for line in sys.stdin:
        kind, folder, cut, racing = json.loads(line)
        process = os.fork()
        if not process:
            if cut:
                cut_writes(*cut)
            (Path(folder) / "records.json").write_text(json.dumps(rows(run(kind, Path(folder), racing=racing))))
            os._exit(0)
        print(process, flush=True)
        os.waitpid(process, 0)
        print("ended", flush=True)


class Searching:
    """A process that forks short searches, which may be killed."""

    def __init__(self, racing: str = "none") -> None:
        self._racing = racing
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONPATH": str(Path(paretune.__file__).parent.parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Searching:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def start(self, kind: str, folder: Path, cut: tuple[int, str] | None = None) -> int:
        """Begin a search; the process that does it."""
        print(json.dumps([kind, str(folder), cut, self._racing]), file=self._server.stdin)
        return int(self._answer())

    def wait(self) -> None:
        """Return when the search has ended or is dead."""
        assert self._answer() == "ended"

    def finish(self, kind: str, folder: Path) -> None:
        """Do a search to its end."""
        self.start(kind, folder)
        self.wait()

    def kill(self, kind: str, folder: Path, calls: float, later_s: float) -> bool:
        """Begin a search, and kill it some time after so many calls have been made in the folder; False when it had
        ended before."""
        process, deadline = self.start(kind, folder), time.monotonic() + 20
        while len(calls_in(folder)) < calls and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(later_s)
        os.kill(process, signal.SIGKILL)  # until it is waited for, at least a zombie has this number
        self.wait()
        return not (folder / "records.json").exists()

    def _answer(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()

    def killed_at_random(self, kind: str, folder: Path, calls: int, kills: int, rng: random.Random) -> int:
        """Kill a search that makes so many calls at random moments, and do it to its end; how often it was killed."""
        killed = 0
        for kill in range(kills):
            moment = calls * (kill + rng.random()) / (kills + 1)
            killed += self.kill(kind, folder, moment, rng.random() * 0.005)
        self.finish(kind, folder)
        return killed

    def killed_at_every_write(self, kind: str, folder: Path, stages: tuple[str, ...] = STAGES) -> int:
        """Kill a search at each write of a record, at these stages in turn, until it ends; how often it was killed.

        A run that is killed before its record is whole gets nowhere; so the next one may first finish that trial.
        """
        for kill in itertools.count():
            lost = kill and stages[(kill - 1) % len(stages)] in STAGES[:2]
            self.start(kind, folder, (2 if lost else 1, stages[kill % len(stages)]))
            self.wait()
            if (folder / "records.json").exists():
                return kill
        raise AssertionError


def records_in(folder: Path) -> list[dict[str, Any]]:
    """The records of a search that has ended."""
    return json.loads((folder / "records.json").read_text())  # type: ignore[no-any-return]


def calls_in(folder: Path) -> list[str]:
    """The calls that reached the model so far."""
    calls = folder / "calls"
    return calls.read_text().split() if calls.exists() else []


if __name__ == "__main__":
    serve()
