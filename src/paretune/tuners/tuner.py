"""Tuners: Keras-Tuner's constructors and methods over one asyncio search loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock, Timeout

from paretune.errors import SearchError, UsageError
from paretune.eventloop import run_maybe_nested, run_together
from paretune.lm.ledger import Session
from paretune.programs.program import Program
from paretune.tuners.accounts import Accounts
from paretune.tuners.identity import fingerprint
from paretune.tuners.kt import HyperParameters, Trial, TrialStatus
from paretune.tuners.objective import Scale, as_objective, parts_of
from paretune.tuners.oracles import GridOracle, RandomOracle, ReplayableOracle, plain, space_size
from paretune.tuners.progress import Progress
from paretune.tuners.run_trial import build, check_declared, check_objectives, explore, planned_calls, run_trial
from paretune.tuners.trials import TrialRecord, TrialStore

__all__ = ["GridSearch", "RandomSearch", "Tuner"]


class Tuner:
    """Search the hyperparameters of ``build_program(hp)`` (sync or async, returning a compiled Program).

    Parameters
    ----------
    build_program
        The hypermodel.
    objective
        A metric's name, an Objective, or a list of Objectives.
    max_trials
        How many trials at most; raising it later continues a finished search.
    seed
        The same seed gives the same trials; 0 when None, so that every search can be resumed.
    directory, project_name
        Where the record of the search is kept; ``overwrite=True`` discards it.
    parallel_trials
        How many trials run at once; they share the language models' concurrency limits.
    max_failure_rate
        A trial with a larger share of failed examples (no reply after all attempts) is FAILED, not scored.
    max_failed_trials
        So many FAILED trials in a row stop the search.
    scale
        ``range`` divides each of several objectives by its range over the trials before they are added.
    identity
        Anything beside the space, the objectives, the data and the arguments of ``search`` that results depend on
        (JSON values): a search with another identity starts a record of its own.
    """

    oracle_class: ClassVar[type[ReplayableOracle]]

    def __init__(
        self,
        build_program: Callable[[Any], Any],
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        directory: str | Path | None = None,
        project_name: str = "search",
        overwrite: bool = False,
        parallel_trials: int = 1,
        max_failure_rate: float = 0.1,
        max_failed_trials: int = 3,
        scale: Scale = "none",
        identity: Any = None,
        verbose: bool = True,
    ) -> None:
        if parallel_trials < 1:
            raise UsageError(f"parallel_trials must be at least 1 (got {parallel_trials})")
        if max_trials is not None and max_trials < 1:
            raise UsageError(f"max_trials must be at least 1 (got {max_trials})")
        self.build_program = build_program
        self.seed = 0 if seed is None else seed
        self.parallel_trials = parallel_trials
        self.max_failure_rate = max_failure_rate
        self.max_failed_trials = max_failed_trials
        self.identity = identity
        self.verbose = verbose
        self.overwrite = overwrite
        self.project_dir = Path(directory or ".") / project_name
        self.oracle = self.oracle_class(
            objective=as_objective("val_reward" if objective is None else objective, scale),
            max_trials=max_trials,
            hyperparameters=hyperparameters,
            seed=self.seed,
        )
        self.records: dict[str, TrialRecord] = {}
        self.resumed = 0
        self.session = Session()

    def search(self, *args: Any, **fit: Any) -> None:
        """Run the search; the arguments are those of ``Program.fit``. Works inside a running event loop as well."""
        run_maybe_nested(self.search_async(*args, **fit))

    async def search_async(self, x: Sequence[Any], y: Sequence[Any], **fit: Any) -> None:
        """As ``search``, awaited."""
        fit = {"x": x, "y": y, **fit}
        first = await explore(self.build_program, self.oracle.hyperparameters)
        check_objectives(self.oracle.objective, first, _validates(fit))
        total = self._total_trials()
        if total is None:
            raise UsageError("the space has no end: give max_trials=…")
        with self._locked_store(first, fit) as store:
            known = store.load()
            self.oracle.restart()  # a second search on this tuner is rebuilt from the record, like that of a new one
            self.records, self.resumed = {}, 0
            self._building = asyncio.Lock()
            accounts = Accounts(first)
            progress = Progress(accounts.counters, verbose=self.verbose)
            progress.start(total, min(total, len(known)))
            slots = [
                self._run_slot(f"slot-{slot}", store, known, fit, progress) for slot in range(self.parallel_trials)
            ]
            try:
                await run_together(slots)
            finally:
                progress.stop()
                self.session = accounts.since()
                for record in list(self.records.values()):
                    self.records[record.trial] = replace(record, score=self.oracle.trials[record.trial].score)

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
        """The hyperparameters of the best trials, best first."""
        return [trial.hyperparameters for trial in self.oracle.get_best_trials(num_trials)]

    async def get_best_programs(self, num_models: int = 1) -> list[Program]:
        """The best trials' programs, rebuilt and with their trained state."""
        programs = []
        for trial in self.oracle.get_best_trials(num_models):
            program = await build(self.build_program, trial.hyperparameters.copy())
            program.load_state(self.records[trial.trial_id].state)
            programs.append(program)
        return programs

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials, their hyperparameters and their metrics."""
        best = self.oracle.get_best_trials(num_trials)
        print(f"{len(best)} best of {len(self.oracle.trials)} trials, by {_objective_text(self.oracle.objective)}")
        for trial in best:
            values = "  ".join(f"{name}={value}" for name, value in trial.hyperparameters.values.items())
            print(f"trial {trial.trial_id}  score {trial.score:.4f}  {self._summary(self.records[trial.trial_id])}")
            print(f"    {values}")

    def trial_records(self) -> list[TrialRecord]:
        """The finished trials in the order of their numbers."""
        return [self.records[number] for number in sorted(self.records, key=int)]

    async def _run_slot(
        self, slot: str, store: TrialStore, known: dict[str, TrialRecord], fit: dict[str, Any], progress: Progress
    ) -> None:
        """Take the next proposal as soon as the last trial is done."""
        while (trial := self.oracle.create_trial(slot)).status == TrialStatus.RUNNING:
            values = {name: plain(value) for name, value in trial.hyperparameters.values.items()}
            record = known.get(trial.trial_id)
            if record is not None and record.values == values:
                self.resumed += 1
            else:
                async with self._building:  # one at a time: the modules' automatic names start anew with each program
                    program = await build(self.build_program, trial.hyperparameters)
                check_declared(self.oracle.hyperparameters, trial.hyperparameters)
                check_objectives(self.oracle.objective, program, _validates(fit))
                progress.trial_started(trial.trial_id, self._planned(program, fit))
                record = await run_trial(
                    program, trial.trial_id, values, self.oracle.objective, self.max_failure_rate, fit
                )
                store.append(record)
            self._finish(trial, record)
            progress.trial_ended(record, self._summary(record), self._best_text())
            self._stop_when_all_fail()

    def _finish(self, trial: Trial, record: TrialRecord) -> None:
        status = TrialStatus.COMPLETED if record.status == "COMPLETED" else TrialStatus.FAILED
        self.oracle.finish(trial, status, record.metrics, record.epoch, record.error)
        self.records[record.trial] = record

    def _stop_when_all_fail(self) -> None:
        last = [self.records[number] for number in self.oracle.end_order[-self.max_failed_trials :]]
        if len(last) == self.max_failed_trials and all(record.status == "FAILED" for record in last):
            raise SearchError(
                f"{self.max_failed_trials} trials in a row failed; the last one: {last[-1].error}. "
                "What was paid for is kept, and the next run goes on from here"
            )

    @contextlib.contextmanager
    def _locked_store(self, first: Program, fit: Mapping[str, Any]) -> Iterator[TrialStore]:
        more = {"seed": self.seed, "max_failure_rate": self.max_failure_rate, "identity": self.identity}
        name = fingerprint(self.oracle, self.build_program, first, fit, **more)
        path = self.project_dir / f"{name[:16]}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise SearchError(
                f"another process runs this very search (it holds {str(lock.lock_file)!r}): wait for it or stop it"
            ) from None
        try:
            store = TrialStore(path)
            if self.overwrite:
                store.discard()
                self.overwrite = False  # what this tuner itself has found stays
            yield store
        finally:
            lock.release()

    def _planned(self, program: Program, fit: Mapping[str, Any]) -> int:
        n_train, validation = len(fit["y"]), fit.get("validation_data")
        split = fit.get("validation_split", 0.0)
        n_val = len(validation[1]) if validation else max(1, round(n_train * split)) if split else 0
        n_train -= 0 if validation else n_val
        epochs = fit.get("epochs", 1) - fit.get("initial_epoch", 0)
        return planned_calls(program, n_train, n_val, epochs, fit.get("batch_size") or 32)

    def _total_trials(self) -> int | None:
        sizes = [size for size in (space_size(self.oracle.hyperparameters), self.oracle.max_trials) if size is not None]
        return min(sizes, default=None)

    def _summary(self, record: TrialRecord) -> str:
        if record.status == "FAILED":
            return f"FAILED: {record.error}"
        names = [part.name for part in parts_of(self.oracle.objective)]
        return "  ".join(f"{name.removeprefix('val_')} {record.metrics[name]:.3g}" for name in names)

    def _best_text(self) -> str:
        best = self.oracle.get_best_trials(1)
        return f"trial {int(best[0].trial_id)}: {self._summary(self.records[best[0].trial_id])}" if best else ""


class GridSearch(Tuner):
    """Every combination of the hyperparameters exactly once."""

    oracle_class = GridOracle


class RandomSearch(Tuner):
    """Independent uniform draws without repeats."""

    oracle_class = RandomOracle


def _validates(fit: Mapping[str, Any]) -> bool:
    return bool(fit.get("validation_data") or fit.get("validation_split"))


def _objective_text(objective: Any) -> str:
    return " and ".join(f"{part.name} ({part.direction})" for part in parts_of(objective))
