"""A search in which trials race: each is validated slice by slice, and ends when it is shown to be beaten.

Who races whom does not depend on time. Trials whose proposals need no results of each other form a cohort: all of its
trials run the same slice of the validation examples before any of them goes on, and at that point the results of all
decide who is dropped. They race the trials too that have ended before by any schedule (``ReplayableOracle.rivals``). So
a race that was killed is repeated from the ledger, for nothing, to the same end.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from paretune.errors import UsageError
from paretune.eventloop import in_thread
from paretune.lm.ledger.attribution import attributed_to
from paretune.metrics.measures import OPERATIONAL, measures_of
from paretune.metrics.outcome import Outcome
from paretune.stats.racing import Racing, drops, looks
from paretune.trials.goals import Goals
from paretune.trials.record import Dropped, TrialRecord
from paretune.trials.rules import Rule
from paretune.tuners.executor import Racer
from paretune.tuners.keras_api import FailedTrialError, Trial
from paretune.tuners.loop import SearchRun
from paretune.tuners.oracles.base import check_choice, trial_id
from paretune.tuners.run_trial import example_counts

__all__ = ["Protect", "Race", "RaceRule", "RacingRun"]

#: ``winner``: the trial with the best reward is protected from being dropped; ``frontier``: each trial on the frontier.
Protect = Literal["winner", "frontier"]


@dataclass(frozen=True)
class Race:
    """How the trials of a search race: by which rule, with which ``margin`` (see ``stats.racing.drops``), how many
    there are in all, and in which ``costs`` a trial must be beaten beside the reward (1: less is better)."""

    racing: Racing
    margin: float
    trials: int
    costs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RaceRule:
    """What a tuner is told of racing; see ``Tuner``."""

    racing: Literal["none", "auto"] | Racing = "none"
    protect: Protect = "winner"
    margin: float = 0.0

    def __post_init__(self) -> None:
        check_choice("racing", self.racing, ("none", "auto", *get_args(Racing)))
        check_choice("protect", self.protect, get_args(Protect))
        if not 0 <= self.margin < 1:
            raise UsageError(f"margin is a difference between rewards, from 0 to below 1 (got {self.margin!r})")

    def of(self, goals: Goals, trials: int, fit: Mapping[str, Any]) -> Race | None:
        """The race of a search; None without one. Raises UsageError for a search in which nobody can race."""
        if self.racing == "none":
            return None
        if obstacle := self._obstacle(goals, fit):
            if self.racing == "auto":
                return None
            raise UsageError(f"{obstacle}, or {_OFF}")
        if self.racing == "auto" and len(looks(example_counts(fit)[1])) == 1:
            return None  # nobody would end early
        costs = {bound.name: 1 if bound.sign == "<=" else -1 for bound in goals.constraints}
        if self.protect == "frontier":
            compared = (part for part in goals.objectives if _is_by_example(part.name))
            costs |= {part.name: 1 if part.direction == "min" else -1 for part in compared}
        if costs.get("val_reward") == -1:
            del costs["val_reward"]  # that is what they race on
        racing = "sound" if self.racing == "auto" else self.racing
        return Race(racing, self.margin if self.protect == "winner" else 0.0, trials, costs)

    def _obstacle(self, goals: Goals, fit: Mapping[str, Any]) -> str | None:
        """Why nobody can race, with a cure; None where nothing is in the way."""
        if all((part.name, part.direction) != ("val_reward", "max") for part in goals.objectives):
            names = ", ".join(part.name for part in goals.objectives)
            return f"racing compares val_reward, which is no objective (there are: {names}): add it"
        if fit.get("callbacks"):
            return "racing validates after the training, so that callbacks see no val_…: drop them"
        for bound in goals.constraints:
            if not _is_by_example(bound.name):
                return f"racing cannot compare {bound.name!r} example by example: leave it out"
        if self.racing == "auto" and (first := goals.objectives[0].name) != "val_reward":
            return (
                f"racing compares val_reward, and the winner is chosen by {first}: make val_reward the first objective"
            )
        return None

    def notes(self, rule: Rule, goals: Goals, fit: Mapping[str, Any]) -> Iterator[str]:
        """What to know beforehand of a race and the winner's rule."""
        if self.racing == "none":
            return
        if obstacle := self._obstacle(goals, fit):
            yield f"no race: {obstacle}"
        elif goals.objectives[0].name != "val_reward":
            yield (
                f"racing protects the best reward, and the winner is chosen by {goals.objectives[0].name}: a trial "
                f"that would win may be dropped; make val_reward the first objective, or {_OFF}"
            )
        elif self.protect == "frontier":
            if unseen := ", ".join(part.name for part in goals.objectives if not _is_by_example(part.name)):
                yield f"racing compares no {unseen}: a trial that is better in nothing else may be dropped"
        elif rule.name not in ("epsilon", "constraint") and (rule.name != "best_score" or goals.objectives[1:]):
            yield (
                f"racing protects the best reward, and the rule {rule.name!r} may prefer a trial that it drops: "
                "protect='frontier' keeps those too"
            )


def _is_by_example(name: str) -> bool:
    """Whether a metric is a mean over examples, so that two trials can be compared on each."""
    return name.startswith("val_") and name.removeprefix("val_") in ("reward", *OPERATIONAL)


_OFF = "do not race (racing='none')"


@dataclass
class _Cohort:
    """Trials that race each other: ``running`` has those that are not dropped, ``busy`` of which run a slice."""

    numbers: range
    rivals: Sequence[TrialRecord]
    until: int
    running: dict[str, Racer] = field(default_factory=dict)
    busy: int = 0


class RacingRun(SearchRun):
    """One run of a search with a race."""

    def __init__(self, *search: Any, race: Race) -> None:
        super().__init__(*search)
        self.race = race
        n = example_counts(self.fit)[1]
        self._order = np.random.default_rng(self.oracle.seed).permutation(n).tolist()
        self._looks = looks(n)
        self._cohorts: dict[range, _Cohort] = {}
        self._ready: deque[tuple[_Cohort, Racer]] = deque()

    async def slot(self) -> None:
        """Run one slice of one trial after another until all have ended."""
        while (found := await self._next()) is not None:
            cohort, entrant = found
            if entrant.record is None:
                with attributed_to(search=self.store.path.stem, trial=entrant.trial):
                    await self._go_on(entrant, cohort.until)
            async with self._turn:
                await self._arrived(cohort, entrant)
                self._turn.notify_all()
            self._stop_when_all_fail()

    async def _next(self) -> tuple[_Cohort, Racer] | None:
        """Who runs a slice next, as soon as somebody may; None when all have ended."""
        async with self._turn:
            while True:
                if self._ready:
                    return self._ready.popleft()
                if (trial := await self._start()) is not None:
                    return self._entered(trial)
                for cohort in self._cohorts.values():  # the space may just have turned out to be exhausted
                    await self._settle(cohort)
                if self._ready:
                    self._turn.notify_all()
                elif self.oracle.ongoing_trials:
                    await self._turn.wait()
                else:
                    return None

    def _entered(self, trial: Trial) -> tuple[_Cohort, Racer]:
        number = int(trial.trial_id) - 1
        numbers = self.oracle.cohort(number)
        if numbers not in self._cohorts:
            ended = (self.records[name] for name in self.oracle.rivals(number))
            rivals = [record for record in ended if record.completed]
            until = self._looks[0] if rivals or len(numbers) > 1 else len(self._order)
            self._cohorts[numbers] = _Cohort(numbers, rivals, until)
        cohort = self._cohorts[numbers]
        entrant = self.executor.racer(self._task(trial), self._order)
        if all(trial_id(each) in self.scored for each in numbers):  # else the race is repeated
            entrant.record = self.scored[trial.trial_id]
        cohort.running[trial.trial_id] = entrant
        cohort.busy += 1
        return cohort, entrant

    async def _go_on(self, entrant: Racer, until: int) -> None:
        try:
            await entrant.run(until)
        except FailedTrialError as error:
            entrant.record = self._rejected(entrant.trial, error)

    async def _arrived(self, cohort: _Cohort, entrant: Racer) -> None:
        """A trial has run its slice, or has failed, or was known."""
        cohort.busy -= 1
        if entrant.record is not None:
            await self._end(cohort, entrant.record)
        elif cohort.until == self._looks[0] < len(self._order):
            values = self.oracle.trials[entrant.trial].hyperparameters.values
            reward = float(np.nanmean(_per_example(entrant.outcomes(), {})[0]))
            self.progress.trial_arrived(entrant.trial, values, reward, cohort.until, len(self._order))
        await self._settle(cohort)

    async def _settle(self, cohort: _Cohort) -> None:
        """Once every trial of a cohort has run its slice: say who is dropped, and let the others go on or end."""
        started = (trial_id(number) in self.oracle.trials for number in cohort.numbers)
        if cohort.busy or not cohort.running or not (self.oracle.exhausted or all(started)):
            return
        running = [cohort.running[name] for name in sorted(cohort.running, key=int)]
        if cohort.until == len(self._order):
            for entrant in running:
                await self._end(cohort, await in_thread(entrant.finished))
            return
        for entrant, dropped in await in_thread(functools.partial(self._dropped, running, cohort)):
            await self._end(cohort, await in_thread(functools.partial(entrant.finished, dropped)))
        if len(cohort.running) > 1 or cohort.rivals:
            cohort.until = next(look for look in self._looks if look > cohort.until)
        else:
            cohort.until = len(self._order)
        cohort.busy = len(cohort.running)
        self._ready.extend((cohort, entrant) for entrant in running if entrant.trial in cohort.running)

    def _dropped(self, running: Sequence[Racer], cohort: _Cohort) -> list[tuple[Racer, Dropped]]:
        places = sorted(self._order[: cohort.until])
        ran = [entrant.outcomes() for entrant in running]
        ran += [[[one.examples[place] for place in places] for one in rival.replicates] for rival in cohort.rivals]
        names = [entrant.trial for entrant in running] + [rival.trial for rival in cohort.rivals]
        values = np.array([_per_example(each, self.race.costs) for each in ran])
        found = drops(
            values[:, 0],
            values[:, 1:],
            racing=self.race.racing,
            trials=self.race.trials,
            n=len(self._order),
            alive=[place < len(running) for place in range(len(ran))],
            margin=self.race.margin,
        )
        return [
            (entrant, Dropped(names[drop.rival], drop.why, tuple(places), entrant.calls_left()))
            for drop in found
            for entrant in [running[drop.loser]]
        ]

    async def _end(self, cohort: _Cohort, record: TrialRecord) -> None:
        del cohort.running[record.trial]
        if self.scored.get(record.trial) != record:
            record = replace(record, scoring=self.options.scoring)
            await in_thread(functools.partial(self.store.append, record))
        if record.dropped is not None and record.trial in self.progress.planned:
            self.progress.trial_started(record.trial, record.calls)
        self._finish(self.oracle.trials[record.trial], record)


def _per_example(replicates: Sequence[Sequence[Outcome]], costs: Mapping[str, int]) -> NDArray[np.float64]:
    """The reward of each example, then each of its costs: shape (1 + c, t), means over the replicates; NaN where one
    failed. A cost that is measured by call is given by example so that its mean is the measure."""
    measured = [{measure.name: measure.statistics for measure in measures_of(part, [], ())} for part in replicates]
    rows = [np.mean([_ratio(one["reward"]) for one in measured], axis=0)]
    for name, sign in costs.items():
        rows.append(sign * _influence(np.sum([one[name.removeprefix("val_")] for one in measured], axis=0)))
    return np.array(rows)


def _ratio(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return statistics[:, 0] / statistics[:, 1]


def _influence(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each example says of sum(value) / sum(count), by the delta method: numbers with this mean."""
    value, count = statistics.T
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = value.sum() / count.sum()
        return np.where(count > 0, mean + (value - mean * count) / count[count > 0].mean(), np.nan)
