"""Trials as tasks on a Dask cluster: see decision 022.

The driver keeps the oracle, the numbers of trials and the record. Workers get data and return data; language models are
called by the gateway, in this process or where ``lm.gateway`` says: one ledger, one budget, one set of limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import math
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from paretune.errors import ConfigError, SearchError
from paretune.gateway.keys import Run
from paretune.gateway.server import Gateway
from paretune.lm.backends.gateway import KEY
from paretune.lm.ledger.default import default_ledger
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.transport import error_of
from paretune.metrics.outcome import Outcome
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.sections.search import SearchParams
from paretune.terminal import note
from paretune.trials.record import Dropped, TrialRecord
from paretune.tuners.executor import Executor, LocalExecutor, Racer, TrialTask
from paretune.tuners.keras_api import FailedTrialError
from paretune.tuners.plan import Plan
from paretune.tuners.search import Executing

__all__ = ["on_dask"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: So many workers may die with a trial before that is the trial's fault.
_DEATHS = 20
#: How long no worker may be there before that is told, in seconds.
_PATIENCE_S = 10.0
#: Workers here leave Ctrl-C, which a terminal sends to all, to the search.
_PRELOAD = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
#: How Dask is set here.
_SETTINGS = {"distributed.scheduler.allowed-failures": _DEATHS, "distributed.comm.timeouts.connect": "30s"}
#: A lambda travels as its code: a worker that cannot import the function by its name would end of it, without a word.
_run_task = lambda search, task: importlib.import_module("paretune.pipeline.worker").run_task(search, task)  # noqa: E731


def on_dask(params: Mapping[str, Any], setup: ProgramSetup) -> Executing:
    """What runs a search's trials on the cluster that section ``search`` names, or on one of this machine's."""

    @contextlib.asynccontextmanager
    async def executing(local: LocalExecutor, plan: Plan) -> AsyncIterator[Executor]:
        search = {"params": params, "name": plan.record.stem, "folder": str(Path.cwd())}
        async with _gateway(setup) as place, _client(setup.search) as client:
            shared = setup.lm.gateway is not None
            yield _DaskExecutor(client, json.dumps({**search, **place}), local, plan.ledgers if shared else ())

    return executing


class _DaskExecutor:
    """Runs trials on a cluster. ``counting``: ledgers whose calls are counted elsewhere."""

    def __init__(self, client: Any, search: str, local: LocalExecutor, counting: Sequence[Ledger]) -> None:
        self._client, self._search, self._counting = client, search, counting
        #: Builds a trial's program here: raises what that raises.
        self.check = local.check

    async def run(self, task: TrialTask) -> TrialRecord:
        await self.check(task)
        return TrialRecord.from_row((await self.submit(vars(task)))["record"])

    def racer(self, task: TrialTask, order: Sequence[int]) -> Racer:
        return _DaskRacer(self, task, order)

    async def submit(self, task: Mapping[str, Any], worker: str | None = None) -> dict[str, Any]:
        """The result of a task: see ``worker.run_task``. It is run by a certain ``worker``, unless another one is free
        earlier. Raises the task's error."""
        place = {} if worker is None else {"workers": worker, "allow_other_workers": True}
        future = self._client.submit(_run_task, self._search, json.dumps(task), pure=False, **place)
        try:
            result: dict[str, Any] = json.loads(await self._result(future, task["trial"]))
        finally:
            future.release()
        if "rejected" in result:
            raise FailedTrialError(result["rejected"])
        if "error" in result:
            raise error_of(result["error"])
        for ledger, used in zip(self._counting, result["used"], strict=False):
            for name, value in used.items():
                setattr(ledger.session, name, getattr(ledger.session, name) + value)
        return result

    async def _result(self, future: Any, trial: str) -> str:
        from distributed import CancelledError, KilledWorker

        try:
            result: str = await future
            return result
        except KilledWorker as error:
            raise SearchError(
                f"trial {trial} ended {error.allowed_failures + 1} workers that ran it (too little memory?); what was "
                "paid for is kept, and the next run goes on from here"
            ) from None
        except ImportError as error:
            raise ConfigError(
                f"a worker cannot load what runs a trial ({error}): install there what is installed here, in the same "
                "versions, paretune[distributed] first of all"
            ) from None
        except (CancelledError, OSError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            raise SearchError(
                "the Dask scheduler is gone; what was paid for is kept, and the next run goes on from here"
            ) from None


@contextlib.asynccontextmanager
async def _gateway(setup: ProgramSetup) -> AsyncIterator[dict[str, str]]:
    """Where workers call language models, and the key for that. Raises ConfigError where they could not reach it."""
    address, scheduler = setup.lm.gateway, setup.search.scheduler
    if _is_elsewhere(scheduler) and (address is None or not _is_elsewhere(address)):
        raise ConfigError(
            f"search.scheduler: the workers of {scheduler!r} are on other machines, which must reach a gateway: start "
            "`paretune gateway --host ADDRESS` in this folder, and set lm.gateway to http://ADDRESS:PORT"
        )
    if address is not None:
        yield {"gateway": address, "key": os.environ.get(KEY, "")}
        return
    gateway = Gateway(setup.language_model, setup.models)
    key = gateway.keys.issue(Run(draws=False))  # on behalf, and under the budget, of this search
    try:
        yield {"gateway": await gateway.start(ledger=default_ledger()), "key": key.text}
    finally:
        await gateway.close()


def _is_elsewhere(address: str | None) -> bool:
    return address is not None and urlsplit(address).hostname not in _LOOPBACK


@contextlib.asynccontextmanager
async def _client(search: SearchParams) -> AsyncIterator[Any]:
    """A client of the cluster. Raises ConfigError where there is none."""
    try:
        import dask
        from distributed import Client
    except ImportError:
        raise ConfigError("search.executor dask needs Dask: pip install 'paretune[distributed]'") from None
    for logger in ("distributed", "distributed.client"):  # what goes wrong is told here
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    with dask.config.set(_SETTINGS):
        async with contextlib.AsyncExitStack() as stack:
            place = search.scheduler
            if place is None:
                place = await stack.enter_async_context(_cluster_here(search))
            try:
                client = await stack.enter_async_context(Client(place, asynchronous=True))  # type: ignore[no-untyped-call]
            except (OSError, ValueError) as error:
                raise ConfigError(f"search.scheduler: no Dask scheduler answers at {place!r} ({error})") from None
            if search.scheduler is None:
                with contextlib.suppress(TimeoutError):  # else the first one gets all that waits
                    await client.wait_for_workers(_workers(search), timeout=_PATIENCE_S)
            watching = asyncio.create_task(_tell_of_none(client, place))
            try:
                yield client
            finally:
                watching.cancel()


async def _tell_of_none(client: Any, place: str) -> None:
    """Say that there are no workers, each time that they have been missing for a while: they may be in a queue."""
    told = False
    while True:
        await asyncio.sleep(_PATIENCE_S)
        with contextlib.suppress(OSError):
            missing = not await client.ncores()
            if missing and not told:
                note(f"no worker has come to {place}; waiting for one: dask worker {place} --nthreads 1")
            told = missing


@contextlib.asynccontextmanager
async def _cluster_here(search: SearchParams) -> AsyncIterator[str]:
    """The scheduler of a cluster of processes on this machine, which no other machine can reach."""
    from distributed import Scheduler

    workers = _workers(search)
    threads = math.ceil(search.parallel_trials / workers)
    place: dict[str, Any] = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    async with Scheduler(port=0, **place) as scheduler:
        tasks = [asyncio.create_task(_worker_here(scheduler.address, threads)) for _ in range(workers)]
        try:
            yield scheduler.address
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def _workers(search: SearchParams) -> int:
    """How many processes a cluster on this machine has."""
    return search.workers or min(search.parallel_trials, os.cpu_count() or 1)


async def _worker_here(scheduler: str, threads: int) -> None:
    """A worker process, and the next one where it ends: Dask replaces none that ends before it is ready."""
    from distributed import Nanny

    options: dict[str, Any] = {"host": "127.0.0.1", "nthreads": threads, "memory_limit": 0, "preload": _PRELOAD}
    while True:
        with contextlib.suppress(OSError, RuntimeError):
            async with Nanny(scheduler, silence_logs=logging.CRITICAL, **options) as nanny:
                await nanny.finished()
        await asyncio.sleep(0.1)


class _DaskRacer:
    """A trial in a race on a cluster; see ``tuners.entrant.Entrant``. Each slice is a task, which goes to the worker of
    the last one where that is free, and else begins anew, from the ledger."""

    def __init__(self, executor: _DaskExecutor, task: TrialTask, order: Sequence[int]) -> None:
        self.trial = task.trial
        self.record: TrialRecord | None = None
        self._executor, self._task, self._order = executor, task, list(order)
        self._found: TrialRecord | None = None
        self._worker: str | None = None
        self._calls_left = 0

    async def run(self, until: int) -> None:
        if self._found is None:
            await self._executor.check(self._task)
        result = await self._executor.submit({**vars(self._task), "order": self._order, "until": until}, self._worker)
        self._found, self._calls_left = TrialRecord.from_row(result["record"]), result["calls_left"]
        self._worker = result["worker"]
        self.record = self.finished() if result["ended"] else None

    def outcomes(self) -> list[list[Outcome]]:
        return [list(replicate.examples) for replicate in self._so_far.replicates]

    def calls_left(self) -> int:
        return self._calls_left

    def finished(self, dropped: Dropped | None = None) -> TrialRecord:
        return self._so_far.ended_by(dropped)

    @property
    def _so_far(self) -> TrialRecord:
        assert self._found is not None, "run() comes first"
        return self._found
