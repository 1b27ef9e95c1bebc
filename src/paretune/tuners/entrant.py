"""A trial in a race: its programs are trained at once and validated slice by slice."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from paretune.metrics.outcome import Outcome
from paretune.programs.examples import Examples, examples_of
from paretune.programs.program import Program
from paretune.programs.running import Evaluation, evaluation_of, run_all
from paretune.programs.trainer import FitOptions, History, train
from paretune.prompting.trace import Sample
from paretune.trials.record import Dropped, TrialRecord
from paretune.tuners.run_trial import TrialOptions, best_epoch, run_of, trial_record
from paretune.tuners.spaces import Values

__all__ = ["Entrant"]


@dataclass
class _Replicate:
    """One training: its history, and by epoch the outcomes of the validation examples that were run."""

    program: Program
    number: int
    history: History
    validation: Examples
    ran: list[dict[int, Outcome]]

    @classmethod
    async def trained(cls, program: Program, number: int, fit: Mapping[str, Any]) -> _Replicate:
        examples, validation = examples_of(program, fit)
        assert validation is not None, "a race without validation examples is refused"
        options = FitOptions(
            epochs=fit.get("epochs", 1),
            batch_size=fit.get("batch_size") or 32,
            shuffle=fit.get("shuffle", True),
            initial_epoch=fit.get("initial_epoch", 0),
            callbacks=(),
            verbose=2 if fit.get("verbose") else 0,
            replicate=number,
        )
        history = await train(program, examples, None, options)
        return cls(program, number, history, validation, [{} for _ in history.epoch])

    async def validate(self, places: Sequence[int]) -> None:
        """Run those of the examples that were not run yet, in each epoch's state."""
        for epoch, state, ran in zip(self.history.epoch, self.history.states, self.ran, strict=True):
            left = [place for place in places if place not in ran]
            self.program.load_state(state)
            found = await run_all(self.program, self.validation, left, Sample(self.number, epoch))
            ran.update(zip(left, (one.outcome for one in found), strict=True))

    def evaluations(self) -> list[Evaluation]:
        """By epoch, the examples that were run, in data order."""
        found = []
        for ran in self.ran:
            places = sorted(ran)
            gold = [self.validation.gold[place] for place in places]
            found.append(evaluation_of(self.program, [ran[place] for place in places], gold))
        return found

    def failed(self, options: TrialOptions, n_val: int) -> bool:
        """Whether too many examples have failed, of those to learn from or of all to validate on."""
        parts = [part.outcomes for part in self.history.training if part is not None]
        parts += [tuple(ran.values()) for ran in self.ran]
        if not any(outcome.status == "failed" for part in parts for outcome in part):
            return False  # as nearly always, and quickly told
        return run_of(self.history, self.evaluations(), options, n_val).error is not None

    def calls_left(self) -> int:
        """How many calls the examples that were not run would make."""
        each = self.program.calls_per_run + self.program.reward.calls_per_example
        return each * sum(len(self.validation) - len(ran) for ran in self.ran)

    def outcomes(self, options: TrialOptions) -> list[Outcome]:
        """Those of the best epoch so far, in data order."""
        best = 0 if len(self.ran) == 1 else best_epoch(self.history, self.evaluations(), options)
        return [self.ran[best][place] for place in sorted(self.ran[best])]


class Entrant:
    """A trial in a race. ``record`` is there once it is known how it ended; ``order`` has the places of the validation
    examples in the order of the race."""

    def __init__(
        self,
        trial: str,
        values: Values,
        fit: Mapping[str, Any],
        build: Callable[[int], Awaitable[Program]],
        options: TrialOptions,
        order: Sequence[int],
    ) -> None:
        self.trial, self.values, self.fit, self.build = trial, values, fit, build
        self.options, self.order = options, order
        self.record: TrialRecord | None = None
        self._replicates: list[_Replicate] = []
        self._seconds = 0.0

    async def run(self, until: int) -> None:
        """Train, unless that is done, and run the examples up to so many; from the start where too many have failed and
        the trial may be run again."""
        started = time.monotonic()
        for retries_left in range(self.options.retries, -1, -1):
            failed = await self._failed(until)
            if failed and retries_left:
                self._replicates = []
            if not failed:
                break
        self._seconds += time.monotonic() - started
        if failed:
            self.record = self.finished()

    def outcomes(self) -> list[list[Outcome]]:
        """By replicate, the outcomes on the examples that were run, in data order."""
        return [replicate.outcomes(self.options) for replicate in self._replicates]

    def calls_left(self) -> int:
        """How many calls the examples that were not run would make."""
        return sum(each.calls_left() for each in self._replicates)

    def finished(self, dropped: Dropped | None = None) -> TrialRecord:
        """The trial's record, by the examples that were run."""
        runs = [run_of(each.history, each.evaluations(), self.options, len(self.order)) for each in self._replicates]
        record = trial_record(self.trial, self.values, runs, self.options)
        return replace(record.ended_by(dropped), seconds=round(self._seconds, 3))

    async def _failed(self, until: int) -> bool:
        """Train and run the examples up to so many; whether too many have failed in a replicate, the last one then."""
        for number in range(self.options.replicates):
            if number == len(self._replicates):
                self._replicates.append(await _Replicate.trained(await self.build(number), number, self.fit))
            await self._replicates[number].validate(self.order[:until])
            if self._replicates[number].failed(self.options, len(self.order)):
                del self._replicates[number + 1 :]
                return True
        return False
