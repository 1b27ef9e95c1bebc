"""Where trials run. A trial is data: whoever builds the same search can run it, in this process or elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from paretune.metrics.outcome import Outcome
from paretune.programs.program import Program
from paretune.trials.record import Dropped, TrialRecord
from paretune.tuners.entrant import Entrant
from paretune.tuners.keras_api import HyperParameters
from paretune.tuners.run_trial import TrialOptions, planned_calls_of, run_trial
from paretune.tuners.spaces import Values, plain

__all__ = ["Executor", "LocalExecutor", "Racer", "TrialTask"]

Build = Callable[[HyperParameters, Mapping[str, Any]], Awaitable[Program]]
BuildReplicate = Callable[[int], Awaitable[Program]]


@dataclass(frozen=True)
class TrialTask:
    """A trial to run: its number and its values and, where its training goes on from that of an earlier trial, the
    states from which it begins, by replicate. All are JSON values."""

    trial: str
    values: Values
    states: tuple[dict[str, Any], ...] | None = None


class Racer(Protocol):
    """A trial in a race, validated slice by slice; see ``Entrant``."""

    trial: str
    record: TrialRecord | None

    async def run(self, until: int) -> None: ...

    def outcomes(self) -> list[list[Outcome]]: ...

    def calls_left(self) -> int: ...

    def finished(self, dropped: Dropped | None = None) -> TrialRecord: ...


class Executor(Protocol):
    """Runs trials. Both methods' programs raise FailedTrialError where the hypermodel rejects the values."""

    async def run(self, task: TrialTask) -> TrialRecord:
        """Train a trial and validate it on all examples."""

    def racer(self, task: TrialTask, order: Sequence[int]) -> Racer:
        """A trial whose validation examples are run in this order, some at a time."""


class LocalExecutor:
    """Runs trials in this process.

    ``build`` makes the program at a point of the ``space``, ``fit`` are the arguments of ``Program.fit``. ``started``
    is told the number of a trial and how many calls it will make.
    """

    def __init__(
        self,
        build: Build,
        space: HyperParameters,
        fit: Mapping[str, Any],
        options: TrialOptions,
        started: Callable[[str, int], object] = lambda trial, calls: None,
    ) -> None:
        self._build, self._space, self._fit = build, space, fit
        self._options, self._started = options, started
        self._building = asyncio.Lock()

    async def run(self, task: TrialTask) -> TrialRecord:
        """Train a trial and validate it; again at once where too many examples failed and that is allowed."""
        values, fit, build = self._prepared(task)
        started = time.monotonic()
        for _ in range(1 + self._options.retries):
            record = await run_trial(build, task.trial, values, self._options, fit)
            if record.completed:
                break
        return replace(record, seconds=round(time.monotonic() - started, 3))

    def racer(self, task: TrialTask, order: Sequence[int]) -> Racer:
        """A trial in a race."""
        return Entrant(task.trial, *self._prepared(task), self._options, order)

    async def check(self, task: TrialTask) -> None:
        """Build the program of a trial that runs elsewhere: raises what that raises before its first call."""
        _, _, build = self._prepared(task)
        await build(0)

    def _prepared(self, task: TrialTask) -> tuple[Values, Mapping[str, Any], BuildReplicate]:
        """A trial's values (to which those are added that only the hypermodel declares), the arguments of its ``fit``,
        and what builds the program of each of its replicates, in the state from which its training begins."""
        values, fit = dict(task.values), self._fit_of(task.values)
        proposed = {kind.name for kind in self._space.space}

        async def build(replicate: int) -> Program:
            async with self._building:  # one at a time: the modules' automatic names start anew with each program
                point = self._space.copy()
                point.values = dict(task.values)
                program = await self._build(point, fit)
            #: Those that only the hypermodel declares, and that are not varied.
            values.update({name: plain(value) for name, value in point.values.items() if name not in proposed})
            if task.states is not None:  # the training goes on from where it was
                program.load_state(task.states[replicate])
            self._started(task.trial, self._options.replicates * planned_calls_of(program, fit))
            return program

        return values, fit, build

    def _fit_of(self, values: Values) -> Mapping[str, Any]:
        """The arguments of ``fit`` for a trial, whose epochs may be those of Hyperband."""
        if "tuner/epochs" not in values:
            return self._fit
        return {**self._fit, "epochs": values["tuner/epochs"], "initial_epoch": values["tuner/initial_epoch"]}
