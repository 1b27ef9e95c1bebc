"""The search loop: slots that share the language models' limits, and take the next trial as soon as it may start."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from paretune.errors import SearchError
from paretune.eventloop import in_thread
from paretune.lm.ledger.attribution import attributed_to
from paretune.trials.frontier import frontier
from paretune.trials.record import TrialRecord
from paretune.trials.store import TrialStore
from paretune.tuners.executor import Executor, TrialTask
from paretune.tuners.keras_api import FailedTrialError, Trial, TrialStatus
from paretune.tuners.oracles.base import ReplayableOracle, trial_id
from paretune.tuners.progress import Progress, summary_line
from paretune.tuners.run_trial import TrialOptions
from paretune.tuners.spaces import Values, plain

__all__ = ["SearchRun", "restore"]


class SearchRun:
    """The trials of one run of a search, from the record of earlier ones to the last.

    ``known`` are the trials that an earlier run has finished, ``fit`` the arguments of ``Program.fit``. ``records`` has
    the finished trials of both runs.
    """

    def __init__(
        self,
        oracle: ReplayableOracle,
        executor: Executor,
        store: TrialStore,
        known: Mapping[str, TrialRecord],
        fit: Mapping[str, Any],
        options: TrialOptions,
        progress: Progress,
    ) -> None:
        self.oracle, self.executor, self.store, self.known = oracle, executor, store, known
        self.fit, self.options, self.progress = fit, options, progress
        #: Those of the known trials that were scored as this run does; the others keep their values alone.
        self.scored = {name: record for name, record in known.items() if record.scoring == options.scoring}
        self.records: dict[str, TrialRecord] = {}
        #: Guards the oracle, and tells the slots that wait for a result.
        self._turn = asyncio.Condition()

    @property
    def resumed(self) -> int:
        """How many of the trials an earlier run has finished."""
        return len(self.known.keys() & self.records.keys())

    async def slot(self) -> None:
        """Run one trial after another until none is left."""
        while (trial := await self._next_trial()) is not None:
            record = self.scored.get(trial.trial_id)
            if record is None:
                with attributed_to(search=self.store.path.stem, trial=trial.trial_id):
                    record = await self._run(trial)
                await in_thread(functools.partial(self.store.append, record))
            async with self._turn:
                self._finish(trial, record)
                self._turn.notify_all()
            self._stop_when_all_fail()

    def take_over(self) -> None:
        """Count the trials of the earlier run that this one did not come to, because it was stopped."""
        for number, record in self.scored.items():
            if number not in self.records:
                self.records[number] = record
                restore(self.oracle, record)

    async def _next_trial(self) -> Trial | None:
        """Start the next trial as soon as it may start; None when there will be none."""
        async with self._turn:
            while True:
                if (trial := await self._start()) is not None:
                    return trial
                if self.oracle.done() or not self.oracle.ongoing_trials:
                    return None
                await self._turn.wait()

    async def _start(self) -> Trial | None:
        """Start the next trial; None where none may start now, or the space is exhausted."""
        number = self.oracle.next_number()
        if number is None:
            return None
        values = await self._values(number)
        if values is None:
            self.oracle.exhausted = True
            return None
        return self.oracle.start(number, values)

    async def _values(self, number: int) -> Values | None:
        """The recorded values of a trial that was finished before, else those that the oracle proposes."""
        record = self.known.get(trial_id(number))
        if record is not None:
            return record.values
        propose = self.oracle.propose
        values = await asyncio.to_thread(propose, number) if self.oracle.slow else propose(number)
        return None if values is None else {name: plain(value) for name, value in values.items()}

    async def _run(self, trial: Trial) -> TrialRecord:
        try:
            record = await self.executor.run(self._task(trial))
        except FailedTrialError as error:
            record = self._rejected(trial.trial_id, error)
        return replace(record, scoring=self.options.scoring)

    def _rejected(self, number: str, error: FailedTrialError) -> TrialRecord:
        self.progress.trial_started(number, 0)
        values = dict(self.oracle.trials[number].hyperparameters.values)
        return TrialRecord(number, "FAILED", values, error=f"rejected by the hypermodel: {error}", seconds=0.0)

    def _task(self, trial: Trial) -> TrialTask:
        """A trial as data."""
        values, states = dict(trial.hyperparameters.values), None
        if "tuner/trial_id" in values:  # its training goes on from where another one's was
            states = tuple(one.reached or {} for one in self.records[values["tuner/trial_id"]].replicates)
        return TrialTask(trial.trial_id, values, states)

    def _finish(self, trial: Trial, record: TrialRecord) -> None:
        _finish(self.oracle, trial, record)
        self.records[record.trial] = record
        self.progress.trial_ended(record, summary_line(record, self.oracle.goals), self._standing)

    def _stop_when_all_fail(self) -> None:
        allowed = self.options.max_consecutive_failures
        ended = (self.records[number] for number in reversed(self.oracle.end_order))
        scored = (record for record in ended if not record.failed or record.replicates)  # no rejected ones
        last = list(itertools.islice(scored, allowed))[::-1]
        if len(last) == allowed and all(record.failed for record in last):
            raise SearchError(
                f"{allowed} trials in a row failed; the last one: {last[-1].error}. "
                "What was paid for is kept, and the next run goes on from here"
            )

    def _standing(self) -> str:
        """The best trial so far, and how many trials no other one beats."""
        best = self.oracle.get_best_trials(1)
        if not best:
            return ""
        summary = summary_line(self.records[best[0].trial_id], self.oracle.goals)
        several = len(self.oracle.goals.objectives) > 1
        size = f"{sum(frontier(list(self.records.values()), self.oracle.goals))} on the frontier  " if several else ""
        return f"{size}best trial {int(best[0].trial_id)}: {summary}"


def restore(oracle: ReplayableOracle, record: TrialRecord) -> None:
    """Tell an oracle of a trial that an earlier run has finished."""
    _finish(oracle, oracle.trials.get(record.trial) or oracle.start(int(record.trial) - 1, record.values), record)


def _finish(oracle: ReplayableOracle, trial: Trial, record: TrialRecord) -> None:
    status = TrialStatus.FAILED if record.failed else TrialStatus.COMPLETED
    epoch = record.replicates[record.best_replicate].epoch if record.replicates else 0
    oracle.finish(trial, status, record.metrics, epoch, record.error, record.dropped is not None)
