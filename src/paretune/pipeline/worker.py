"""A worker of a search on many machines: it builds the same search from the same params, and runs trials of it. What
arrives and what is returned is JSON.

A worker keeps nothing that counts: the replies that it needs come through the gateway, from the ledger there where they
were paid for before. So a task that is run again, here or elsewhere, ends as it would have.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError, ParetuneError, UsageError
from paretune.eventloop import run_maybe_nested
from paretune.lm.backends.gateway import KEY, GatewayBackend
from paretune.lm.ledger.attribution import attributed_to
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.transport import error_values
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.tuners import VALIDATION, make_tuner, search_data
from paretune.programs.program import Program
from paretune.tuners.executor import LocalExecutor, Racer, TrialTask
from paretune.tuners.keras_api import FailedTrialError, HyperParameters

__all__ = ["PROJECT", "run_task"]

#: Names the project's folder on a worker's machine, where it has another path than on the head.
PROJECT = "PARETUNE_PROJECT"
_HERE = f"the worker on {socket.gethostname()}"


def run_task(search: str, task: str) -> str:
    """Run a trial, or a part of it; both arguments and the result are the JSON of an object.

    ``search`` has ``params``, ``name`` (of the search, in the ledger), ``gateway``, ``key`` and ``folder``. ``task``
    has the fields of a TrialTask and, in a race, the ``order`` of the validation examples and ``until`` how many to run
    them. The result has the ``record`` of the trial, as far as it was run; whether it has ``ended``, and how many
    ``calls_left`` there are; ``worker``: the address of this one; ``used``: its calls since its last result. Or it has
    an ``error``, or why the hypermodel has ``rejected`` the values.
    """
    try:
        with _process.serving(search) as found:
            result = run_maybe_nested(found.run(json.loads(task)))
    except FailedTrialError as error:
        result = {"rejected": str(error)}
    except ParetuneError as error:
        result = {"error": error_values(error)}
    return json.dumps(result)


class _Process:
    """What this process has built and loaded. Folder, state and key of a search are the process's, so it serves one
    search at a time, for any number of tasks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._given = ""
        self._search: _Search | None = None
        self._folder: Path | None = None
        self._tasks = 0
        self._loaded: dict[str, float] = {}
        self._note_loaded()

    @contextlib.contextmanager
    def serving(self, given: str) -> Iterator[_Search]:
        """The search that is given. Raises ConfigError where it cannot be built here."""
        with self._changed:
            self._changed.wait_for(lambda: given == self._given or not self._tasks)
            if given != self._given:
                self._given, values = "", json.loads(given)
                folder = Path(os.environ.get(PROJECT) or values["folder"])
                self._check(folder)
                self._folder = folder
                self._search = _Search(values, folder)
                self._given = given
                self._note_loaded()
            self._tasks, search = self._tasks + 1, self._search
        assert search is not None
        try:
            yield search
        finally:
            with self._changed:
                self._tasks -= 1
                self._changed.notify_all()

    def _note_loaded(self) -> None:
        """Note when the files of the modules that are loaded were last seen as they are."""
        for module in list(sys.modules.values()):
            if file := getattr(module, "__file__", None):
                self._loaded.setdefault(file, time.time())

    def _check(self, folder: Path) -> None:
        """Raise ConfigError where the code that this process has loaded is not that of the project in a folder."""
        if not (folder / VALIDATION).is_file():
            raise ConfigError(
                f"{_HERE} finds no {VALIDATION} in {str(folder)!r}: give it a copy of the project with the data of "
                f"this search, and name its folder in {PROJECT}"
            )
        changed = [file for file, at in self._loaded.items() if os.path.exists(file) and os.stat(file).st_ctime > at]
        if changed or self._folder not in (None, folder):
            why = f"{changed[0]} has changed since" if changed else f"that of {str(self._folder)!r}"
            raise ConfigError(f"{_HERE} has other code loaded ({why}): restart the workers")


class _Search:
    """A search as this worker has built it."""

    def __init__(self, given: Mapping[str, Any], folder: Path) -> None:
        from distributed import get_worker  # an extra, which is there where this runs

        os.chdir(folder)
        sys.path += [str(path) for path in (folder, folder / "src") if str(path) not in sys.path]
        # A new one for each search, whose ledger has all that was replied to it; Dask clears it away.
        os.environ["PARETUNE_HOME"] = tempfile.mkdtemp(prefix="paretune-", dir=get_worker().local_directory)
        self._address: str = get_worker().address
        os.environ[KEY] = given["key"]
        self._name: str = given["name"]
        self._racers: dict[str, Racer] = {}
        lm = {**given["params"]["lm"], "gateway": given["gateway"], "env_file": None}
        with contextlib.redirect_stderr(io.StringIO()):  # what there is to say of a search is said on the head
            run_maybe_nested(self._build({**given["params"], "lm": lm}))

    async def _build(self, params: Mapping[str, Any]) -> None:
        setup = ProgramSetup(params)
        await setup.fit_space()
        tuner = make_tuner(params, setup)
        plan = await tuner.plan(**search_data(setup))
        if plan.record.stem != self._name:
            raise ConfigError(
                f"{_HERE} builds another search from the project in {str(Path.cwd())!r}: code or data there, or its "
                "paretune, are not those of the head; make them equal"
            )
        self._ledgers = plan.ledgers
        self._executor = LocalExecutor(_checked(tuner._build), plan.oracle.hyperparameters, plan.fit, tuner.options)

    async def run(self, task: dict[str, Any]) -> dict[str, Any]:
        order, until = task.pop("order", ()), task.pop("until", None)
        states = task.pop("states")
        trial = TrialTask(**task, states=None if states is None else tuple(states))
        result: dict[str, Any] = {"ended": True, "calls_left": 0}
        try:
            with attributed_to(search=self._name, trial=trial.trial):
                if until is None:
                    record = await self._executor.run(trial)
                else:
                    racer = self._racers.pop(trial.trial, None) or self._executor.racer(trial, order)
                    await racer.run(until)
                    record = racer.record or racer.finished()
                    result = {"ended": racer.record is not None, "calls_left": racer.calls_left()}
                    if racer.record is None:
                        self._racers[trial.trial] = racer
        finally:
            for ledger in self._ledgers:
                ledger.flush()
        row = {**record.row(), "seconds": record.seconds}
        return {**result, "record": row, "worker": self._address, "used": [_used(ledger) for ledger in self._ledgers]}


def _used(ledger: Ledger) -> dict[str, Any]:
    """What a ledger has counted since this was asked last."""
    used = vars(ledger.session).copy()
    ledger.session.clear()
    return used


def _checked(build: Any) -> Any:
    """Refuse programs whose models are not reached through the gateway."""

    async def built(point: HyperParameters, fit: Mapping[str, Any]) -> Program:
        program: Program = await build(point, fit)
        for model in program.language_models:
            if not isinstance(model.backend, GatewayBackend):
                raise UsageError(
                    f"search.executor dask: {model.model!r} has a backend of its own, which a worker cannot share: "
                    "name the model alone, or run with search.executor local"
                )
        return program

    return built


_process = _Process()
