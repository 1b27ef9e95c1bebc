"""One search on its way: the record that it holds, the display that it keeps, what it pays, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable

from paretune.errors import BudgetError
from paretune.eventloop import run_together
from paretune.lm.ledger.session import Session
from paretune.lm.sending import drain
from paretune.trials.rules import Rule
from paretune.trials.store import TrialStore
from paretune.tuners.executor import Build, Executor, LocalExecutor
from paretune.tuners.loop import SearchRun
from paretune.tuners.oracles.base import ReplayableOracle
from paretune.tuners.plan import Plan
from paretune.tuners.progress import Progress
from paretune.tuners.race import RacingRun
from paretune.tuners.run_trial import TrialOptions
from paretune.tuners.status import Status, kept_on_disk
from paretune.tuners.summaries import end_notes, start_notes
from paretune.tuners.usage import UsageMeter

__all__ = ["Executing", "Search", "in_this_process"]

#: How long the end of a search waits for the calls that are still in flight, in seconds: they are paid for.
_DRAIN_S = 50.0

#: Gives what runs the trials of a search, given what would run them in this process.
Executing = Callable[[LocalExecutor, Plan], contextlib.AbstractAsyncContextManager[Executor]]


@contextlib.asynccontextmanager
async def in_this_process(local: LocalExecutor, plan: Plan) -> AsyncIterator[Executor]:
    """Run the trials here."""
    yield local


class Search:
    """A planned search, whose record (``store``) this process has for itself.

    ``oracle`` knows no trial yet; ``build`` makes the program at a point of the space. ``records`` are the trials that
    are finished, those of earlier runs that this one has come to among them.
    """

    def __init__(
        self,
        plan: Plan,
        store: TrialStore,
        oracle: ReplayableOracle,
        build: Build,
        options: TrialOptions,
        rule: Rule,
        *,
        verbose: bool,
    ) -> None:
        self.plan, self.oracle, self.rule = plan, oracle, rule
        #: Why the search ended before all its trials (the budget was spent); None when it did not.
        self.stopped: str | None = None
        self.ended = False
        #: What it has paid, known at its end.
        self.session = Session()
        self.known = {number: record for number, record in store.load().items() if int(number) <= plan.total}
        self.usage = UsageMeter(plan.ledgers)
        store.before_append = self.usage.flush
        self.progress = Progress(self.usage.counters, verbose=verbose and bool(plan.fit.get("verbose", "auto")))
        self._local = LocalExecutor(build, oracle.hyperparameters, plan.fit, options, self.progress.trial_started)
        parts = (oracle, self._local, store, self.known, plan.fit, options, self.progress)
        self._run = SearchRun(*parts) if plan.race is None else RacingRun(*parts, race=plan.race)
        self.records = self._run.records

    @property
    def resumed(self) -> int:
        """How many of its trials an earlier run has finished."""
        return self._run.resumed

    def status(self) -> Status:
        """What the search is at."""
        return Status.of(self.plan, self._run, self.usage, self.rule, self.stopped)

    async def run(
        self, executing: Executing, charging: contextlib.AbstractContextManager[object], notes: Iterable[str]
    ) -> None:
        """Run the trials, whose calls are charged in a context, after telling some ``notes``.

        A budget that is spent ends the search, unless nothing is completed yet: then its error is raised.
        """
        self.progress.start(self.plan.total, len(self.known))
        stale = len(self.known) - len(self._run.scored)
        self._note(*start_notes(self.oracle, self.plan.total, stale), *notes)
        try:
            with charging:
                async with executing(self._local, self.plan) as self._run.executor, kept_on_disk(self.status):
                    await run_together([self._run.slot() for _ in range(self.oracle.slots)])
        except BudgetError as error:
            if not any(record.completed for record in (*self.known.values(), *self.records.values())):
                raise
            self.stopped = str(error)
            self._note(f"stopped: {error}")
        except asyncio.CancelledError:
            self._note("interrupted: what is answered is kept, and the same search goes on from here")
            raise
        else:
            self._note(*end_notes(self.oracle, self.records.values(), self.plan.race is not None))
        finally:
            await self._end()

    async def _end(self) -> None:
        self.session = self.usage.since()  # another Ctrl-C may end the wait
        await drain(_DRAIN_S, self.progress.draining)
        self.usage.flush()
        self.progress.stop()
        self._run.take_over()
        self.session = self.usage.since()
        self.ended = True
        self.status().write()

    def _note(self, *texts: str) -> None:
        for text in texts:
            self.progress.note(text)
