"""The base of all tuners: Keras-Tuner's constructor and methods over one asyncio search loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from paretune.collecting import seldom_collecting
from paretune.errors import UsageError
from paretune.eventloop import in_thread, run_maybe_nested
from paretune.lm.ledger.budget import Budget
from paretune.lm.ledger.none import NoLedger
from paretune.programs.examples import with_arrays
from paretune.programs.program import Program
from paretune.stats.racing import Racing
from paretune.trials.constraint import Constraint
from paretune.trials.goals import Goals, as_goals
from paretune.trials.record import TrialRecord
from paretune.trials.rules import Rule, RuleName, as_rule
from paretune.tuners.building import as_hypermodel, build, check_declared, explore
from paretune.tuners.checks import check_fit, check_hooks, check_objectives, directions_of, validates
from paretune.tuners.identity import Explored, fingerprint, scoring
from paretune.tuners.keras_api import HyperParameters
from paretune.tuners.oracles.base import ReplayableOracle, check_count
from paretune.tuners.plan import Plan, locked
from paretune.tuners.race import Protect, Race, RaceRule
from paretune.tuners.results import Results
from paretune.tuners.run_trial import TrialOptions
from paretune.tuners.search import Executing, Search, in_this_process
from paretune.tuners.spaces import Values

__all__ = ["Tuner"]


class Tuner(Results):
    """Search the hyperparameters of ``build_program(hp)`` (sync or async, returning a compiled Program).

    Parameters
    ----------
    hypermodel
        ``build_program``, or an object with such a method ``build``.
    objective
        A metric's name, an Objective, or a list of Objectives.
    seed
        The same seed gives the same trials; 0 when None, so that every search can be resumed.
    hyperparameters, tune_new_entries, allow_new_entries
        A space declared beforehand; whether hyperparameters that only the hypermodel declares are varied (else they
        keep their defaults), and whether there may be such.
    max_retries_per_trial
        How often a trial that FAILED is run again at once.
    max_consecutive_failed_trials
        So many FAILED trials in a row stop the search.
    executions_per_trial
        How many replicates of each trial are run, each with a seed of its own; a trial's metrics are their means.
    directory, project_name, overwrite
        Where the record of the search is kept; ``overwrite=True`` discards it.
    parallel_trials
        How many trials run at once; they share the language models' concurrency limits. Where proposals depend on
        results, it is part of the search: trial n is proposed from the results of the trials up to n - parallel_trials.
    max_failure_rate
        A trial with a larger share of failed examples (no reply after all attempts) is FAILED, not scored.
    constraints
        Bounds such as ``"val_cost <= 0.002"``: a trial that breaks one ranks behind all that keep them.
    rule
        Which of the trials is the winner: ``best_score`` (the scalar of the objectives, as Keras-Tuner ranks), or
        another rule of ``trials.rules.Rule``, by its name or with its settings.
    racing
        Whether a trial ends once another one is shown to have a better ``val_reward`` on the same validation examples,
        which are then run in rounds. ``sound`` drops the best trial with a probability of at most 5 %; ``fast`` saves
        more calls and drops it a little more often, for one that is hardly worse. ``auto``: ``sound``, but no race
        where the winner is not chosen by the reward, or a constraint cannot be compared example by example.
    protect, margin
        What racing must not drop: the ``winner`` by reward, and what is within ``margin`` of its reward (None: the
        ``epsilon`` of the rule, of others 0); or every trial on the ``frontier`` of the reward and the operational
        objectives, such as ``val_cost``: others, such as an F1 score, cannot be compared example by example.
    budget
        What the search may spend; see ``lm.ledger.budget.Budget``. None: no cap, or that of ``with budget.charging()``.
    identity
        Anything beside the space, the objectives, the data and the arguments of ``search`` that results depend on
        (JSON values): a search with another identity starts a record of its own.
    """

    oracle_class: ClassVar[type[ReplayableOracle]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_hooks(cls)

    def __init__(
        self,
        hypermodel: Any,
        objective: Any = None,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        executions_per_trial: int = 1,
        directory: str | Path | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
        parallel_trials: int = 1,
        max_failure_rate: float = 0.1,
        constraints: Sequence[str | Constraint] = (),
        rule: RuleName | Rule = "best_score",
        racing: Literal["none", "auto"] | Racing = "none",
        protect: Protect = "winner",
        margin: float | None = None,
        budget: Budget | None = None,
        identity: Any = None,
        verbose: bool = True,
        oracle_options: Mapping[str, Any] | None = None,
    ) -> None:
        check_count("parallel_trials", parallel_trials, 1)
        check_count("executions_per_trial", executions_per_trial, 1)
        check_count("max_consecutive_failed_trials", max_consecutive_failed_trials, 1)
        check_count("max_retries_per_trial", max_retries_per_trial, 0)
        self.hypermodel = as_hypermodel(hypermodel)
        self.build_program = self.hypermodel.build
        self.seed = 0 if seed is None else seed
        self.parallel_trials = parallel_trials
        self.allow_new_entries = allow_new_entries
        self.tune_new_entries = tune_new_entries
        self.budget = budget
        self.identity = identity
        self.rule = as_rule(rule)
        self.race_rule = RaceRule(racing, protect, self.rule.reach if margin is None else margin)
        self.verbose = verbose
        self.overwrite = overwrite
        #: Where the records of searches are, one file each.
        self.project_dir = Path(directory or ".") / (project_name or "search")
        self._oracle_options = dict(oracle_options or {})
        goals = as_goals("val_reward" if objective is None else objective, constraints)
        self._oracle = self._new_oracle(goals, hyperparameters)
        self._declared = self._oracle.hyperparameters.copy()
        self.options = TrialOptions(
            goals=goals,
            max_failure_rate=max_failure_rate,
            replicates=executions_per_trial,
            retries=max_retries_per_trial,
            max_consecutive_failures=max_consecutive_failed_trials,
            keep_reached=self._oracle.continues,
        )
        #: Gives what runs the trials of a search, given what would run them in this process.
        self.executing: Executing = in_this_process
        self._records: dict[str, TrialRecord] = {}
        #: What the last search was about to do; None before the first one.
        self.planned: Plan | None = None

    def search(self, *args: Any, **fit: Any) -> None:
        """Run the search; the arguments are those of ``Program.fit``. Works inside a running event loop as well.

        When the budget is spent, the search ends with the trials that are finished (see ``stopped``); it goes on where
        it was when it is run again with a larger one.
        """
        run_maybe_nested(self.search_async(*args, **fit))

    async def search_async(self, x: Any, y: Sequence[Any] | None = None, **fit: Any) -> None:
        """As ``search``, awaited."""
        self._recalled = True
        with self._charging():
            plan = self.planned = await self.plan(x, y, **fit)
        if any(isinstance(ledger, NoLedger) for ledger in plan.ledgers):
            raise UsageError(
                "a search keeps every reply, so that none is paid for twice, and needs a ledger: leave out "
                "PARETUNE_LEDGER=off and LanguageModel(ledger=False), which are for programs at work"
            )
        self._file = plan.record
        with locked(plan.record) as store, seldom_collecting():
            if self.overwrite:
                store.discard()
                self.overwrite = False  # what this tuner itself has found stays
            self._oracle.restart()  # a second search on this tuner is rebuilt from the record, like that of a new one
            search = self._search = Search(
                plan, store, self._oracle, self._build, self.options, self.rule, verbose=self.verbose
            )
            self._records = search.records
            try:
                notes = self.race_rule.notes(self.rule, self._oracle.goals, plan.fit)
                await search.run(self.executing, self._charging(), notes)
            finally:
                self._records = self._scored(search.records)

    async def plan(self, x: Any, y: Sequence[Any] | None = None, **fit: Any) -> Plan:
        """What ``search`` with these arguments is about to do; nothing is called, and nothing written.

        Raises what ``search`` raises before its first call, but for models that keep no replies.
        """
        fit = with_arrays({"x": x, "y": y, **fit})
        if self._oracle.continues:  # its own plan says how long a trial is trained
            fit = {name: value for name, value in fit.items() if name not in ("epochs", "initial_epoch")}
        explored = await self._explore(fit)
        assert explored.first is not None  # else nothing could be built, which was an error
        total = self._oracle.total()
        if total is None:
            raise UsageError("the space has no end: give max_trials=…")
        race = self.race_rule.of(self._oracle.goals, total, fit)
        record = await in_thread(lambda: self._record_path(explored, fit, race))
        space = self._oracle.hyperparameters.copy()

        async def build_at(values: Values) -> Program:
            point = space.copy()
            point.values = dict(values)
            return await self._build(point, fit)

        return Plan(
            oracle=self._new_oracle(self._oracle.goals, space.copy()),
            total=total,
            record=record,
            overwrite=self.overwrite,
            ledgers=explored.ledgers,
            fit=fit,
            build=build_at,
            first=explored.first,
            race=race,
        )

    def _new_oracle(self, goals: Goals, space: HyperParameters | None) -> ReplayableOracle:
        return self.oracle_class(
            goals, seed=self.seed, slots=self.parallel_trials, hyperparameters=space, **self._oracle_options
        )

    async def _explore(self, fit: Mapping[str, Any]) -> Explored:
        """Learn the whole space from the hypermodel, and refuse what cannot work."""
        explored = Explored()

        def look(program: Program) -> None:
            check_fit(program, fit)
            self.rule.check(self._oracle.goals)
            check_objectives(self._oracle.goals, program, validates(fit), self.rule.by)
            explored.add(program)

        await self._learn_space(look)
        chooses = self.options.replicates > 1 or self._oracle.continues or fit.get("epochs", 1) > 1
        self.options = replace(self.options, scoring=scoring(explored, self.options.goals if chooses else None))
        return explored

    async def _learn_space(self, look: Callable[[Program], object]) -> None:
        def look_first(program: Program) -> None:
            look(program)
            self._aim(self._oracle.goals.resolved(directions_of(program)))

        new = {"tune_new": self.tune_new_entries, "allow_new": self.allow_new_entries}
        self.space = await explore(self.build_program, self._declared, look_first, **new)
        if self.tune_new_entries:
            self._oracle.hyperparameters = self.space

    def _aim(self, goals: Goals) -> None:
        if goals != self._oracle.goals:
            self._oracle.aim(goals)
            self.options = replace(self.options, goals=goals)

    async def _build(self, hyperparameters: HyperParameters, fit: Mapping[str, Any]) -> Program:
        """The program of a trial, checked before it makes a call."""
        program = await build(self.build_program, hyperparameters)
        check_declared(self.space, hyperparameters.space)
        check_objectives(self._oracle.goals, program, validates(fit), self.rule.by)
        return program

    def _charging(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext() if self.budget is None else self.budget.charging()

    def _record_path(self, explored: Explored, fit: Mapping[str, Any], race: Race | None) -> Path:
        more = {"seed": self.seed, "max_failure_rate": self.options.max_failure_rate, "identity": self.identity}
        replicates = self.options.replicates
        name = fingerprint(self._oracle, self.build_program, explored, fit, replicates=replicates, race=race, **more)
        return self.project_dir / f"{name[:16]}.jsonl"
