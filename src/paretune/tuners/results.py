"""What a tuner can tell: of its space, and of the trials that are finished (in this process, or before, in the folder
of its project)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretune.eventloop import run_maybe_nested
from paretune.lm.ledger.session import Session
from paretune.programs.program import Program
from paretune.terminal import plain
from paretune.trials.choice import Choice, choose
from paretune.trials.record import TrialRecord
from paretune.trials.rules import Rule
from paretune.tuners.building import build
from paretune.tuners.keras_api import HyperParameters, Trial
from paretune.tuners.loop import restore
from paretune.tuners.oracles.base import ReplayableOracle
from paretune.tuners.plan import latest
from paretune.tuners.search import Search
from paretune.tuners.status import Status
from paretune.tuners.summaries import result_lines, space_lines

__all__ = ["Results"]


class Results:
    """The half of a tuner that searches nothing; a new tuner knows the results that an earlier process has found."""

    hypermodel: Any
    space: HyperParameters
    project_dir: Path
    overwrite: bool
    verbose: bool
    rule: Rule
    _oracle: ReplayableOracle
    _records: dict[str, TrialRecord]
    #: The file of the search whose trials these are; its stem names the search in the ledgers.
    _file: Path | None = None
    #: The last search of this tuner.
    _search: Search | None = None
    #: Whether there was a search, or the results of an earlier one were looked for.
    _recalled = False

    @property
    def status(self) -> Status | None:
        """What the search is at while it runs; else None."""
        return None if self._search is None or self._search.ended else self._search.status()

    @property
    def stopped(self) -> str | None:
        """Why the search ended before all its trials (the budget was spent); None when it did not."""
        return None if self._search is None else self._search.stopped

    @property
    def session(self) -> Session:
        """What the search has paid, and how many calls the ledger served; known at its end."""
        return Session() if self._search is None else self._search.session

    @property
    def resumed(self) -> int:
        """How many trials of the search an earlier run has finished."""
        return 0 if self._search is None else self._search.resumed

    @property
    def oracle(self) -> ReplayableOracle:
        """What proposes the trials, and knows those that are finished. Before a search these are the ones of the search
        in the project's folder that was run last (of those with this space and these objectives)."""
        self._recall()
        return self._oracle

    @property
    def records(self) -> dict[str, TrialRecord]:
        """The finished trials by number; before a search as for ``oracle``."""
        self._recall()
        return self._records

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
        """The hyperparameters of the best trials, best first (see ``best_trials``)."""
        found = []
        for trial in self.best_trials(num_trials):
            found.append(self.space.copy())
            found[-1].values = {**trial.hyperparameters.values, **self.records[trial.trial_id].values}
        return found

    def get_best_models(self, num_models: int = 1) -> list[Program]:
        """As ``get_best_programs``, by Keras-Tuner's name and not awaited."""
        return run_maybe_nested(self.get_best_programs(num_models))

    async def get_best_programs(self, num_models: int = 1) -> list[Program]:
        """The best trials' programs, rebuilt and with their trained state (with replicates: that of the best one)."""
        await self._recall_async()
        programs = []
        for trial in self.best_trials(num_models):
            program = await build(self.hypermodel.build, trial.hyperparameters.copy())
            program.load_state(self.records[trial.trial_id].state)
            programs.append(program)
        return programs

    def choose(self) -> Choice:
        """The winner by the tuner's ``rule``, and why. Raises SearchError when there is none."""
        return choose(self.trial_records(), self.oracle.goals, self.rule)

    def best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best completed trials: the winner by the tuner's ``rule``, then the others by their scalar (those that
        keep the constraints before those that do not). Where no trial keeps them there is no winner."""
        trials = self.oracle.get_best_trials(len(self.oracle.trials))
        if self.rule.name != "best_score" and trials and self.oracle.feasible(trials[0]):
            winner = self.choose().record.trial
            trials.sort(key=lambda trial: trial.trial_id != winner)
        return trials[:num_trials]

    def search_space_summary(self, extended: bool = False) -> None:
        """Print the hyperparameters; the hypermodel is built to learn them, and nothing is called. (``extended`` only
        exists for likeness with Keras-Tuner: everything is printed.)"""
        run_maybe_nested(self._learn_space(lambda program: None))
        print(*map(plain, space_lines(self._oracle.hyperparameters)), sep="\n")

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials, their hyperparameters and their metrics."""
        lines = result_lines(self.best_trials(num_trials), self.oracle, self.records, num_trials)
        print(*map(plain, lines), sep="\n")

    @property
    def search_name(self) -> str | None:
        """The name of the last search in the ledgers; None where there was none."""
        self._recall()
        return None if self._file is None else self._file.stem

    def trial_records(self) -> list[TrialRecord]:
        """The finished trials in the order of their numbers; of a search that runs, those so far."""
        records = dict(self.records)
        return [records[number] for number in sorted(records, key=int)]

    def _recall(self) -> None:
        if not self._recalled:
            run_maybe_nested(self._recall_async())

    async def _recall_async(self) -> None:
        """Learn the space, and the results of the last search in the project's folder, unless there was a search."""
        if self._recalled:
            return
        await self._learn_space(lambda program: None)
        self._recalled = True
        found = None if self.overwrite else latest(self.project_dir, self.space, self._oracle.goals)
        if found is None:
            return
        path, records = found
        self._file = path
        for record in records.values():
            restore(self._oracle, record)
        self._records = self._scored(records)
        if self.verbose:
            print(f"note: the results are those of the last search here, {str(path)!r}", file=sys.stderr)

    def _scored(self, records: Mapping[str, TrialRecord]) -> dict[str, TrialRecord]:
        return {number: replace(record, score=self._oracle.trials[number].score) for number, record in records.items()}

    async def _learn_space(self, look: Callable[[Program], object]) -> None:
        raise NotImplementedError
