"""Hyperband: many configurations are trained for a short time, and the best of them longer and longer.

The plan (how many trials, for how many epochs) is Keras-Tuner's. Each trial has a fixed place in it: an iteration, a
bracket, a round and an index. So the trials are the same however many run at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paretune.errors import UsageError
from paretune.trials.goals import Goals
from paretune.tuners.keras_api import KerasHyperbandOracle, Trial, TrialStatus
from paretune.tuners.oracles.base import Outlook, ReplayableOracle, same_point, trial_id
from paretune.tuners.oracles.random import untried
from paretune.tuners.spaces import Values, draw, space_size
from paretune.tuners.tuner import Tuner

__all__ = ["Hyperband", "HyperbandOracle", "Round"]


@dataclass(frozen=True)
class Round:
    """One round of a bracket: ``numbers`` are its trials, trained from ``initial_epoch`` up to ``epochs``.

    Round 0 begins with random configurations; a later one goes on with the best of ``previous``.
    """

    iteration: int
    bracket: int
    index: int
    numbers: range
    initial_epoch: int
    epochs: int
    previous: Round | None


class HyperbandOracle(ReplayableOracle):
    """Random configurations in rounds: the best of a round go on from the state that they had reached in it.

    A round begins when all trials of the round before have ended; meanwhile the next bracket's first round may start.
    Where too many trials have failed, fresh random configurations take the places that nobody survived for.
    """

    continues = True

    def __init__(
        self,
        goals: Goals,
        *,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        **options: Any,
    ) -> None:
        _check("max_epochs", max_epochs, 1)
        _check("factor", factor, 2)
        _check("hyperband_iterations", hyperband_iterations, 1)
        super().__init__(goals, **options)
        self.max_epochs, self.factor, self.hyperband_iterations = max_epochs, factor, hyperband_iterations
        self._rounds: list[Round] | None = None
        self._full = 0  # so many rounds at the beginning have no free place
        self._points: dict[int, str] = {}

    def settings(self) -> dict[str, Any]:
        return {"max_epochs": self.max_epochs, "factor": self.factor, **self.judging()}

    def rounds(self) -> list[Round]:
        """The whole plan, in the order of the trials' numbers.

        No round has more trials than a space of so few points can give: round 0 each point at most once, and each later
        round its share of them.
        """
        if self._rounds is None:
            plan = KerasHyperbandOracle(self.objective, max_epochs=self.max_epochs, factor=self.factor)
            points, self._rounds, first = space_size(self.hyperparameters), [], 0
            for iteration in range(self.hyperband_iterations):
                for bracket in reversed(range(plan._get_num_brackets())):
                    previous = None
                    for index in range(plan._get_num_rounds(bracket)):
                        size = plan._get_size(bracket, index)
                        if points is not None:
                            size = min(size, math.ceil(points / self.factor**index))
                        begin = previous.epochs if previous else 0
                        epochs = plan._get_epochs(bracket, index)
                        numbers = range(first, first + size)
                        previous = Round(iteration, bracket, index, numbers, begin, epochs, previous)
                        self._rounds.append(previous)
                        first += size
        return self._rounds

    def total(self) -> int:
        return self.rounds()[-1].numbers.stop

    def done(self) -> bool:
        return len(self.trials) >= self.total()

    def cohort(self, number: int) -> range:
        return self._round(number).numbers

    def rivals(self, number: int) -> list[str]:
        """The completed trials of the rounds before in the bracket, which were trained for a shorter time."""
        found, place = [], self._round(number).previous
        while place is not None:
            found += [trial_id(each) for each in place.numbers]
            place = place.previous
        return [each for each in found if self.trials[each].status == TrialStatus.COMPLETED]

    def next_number(self) -> int | None:
        rounds = self.rounds()
        while self._full < len(rounds) and self._free(rounds[self._full]) is None:
            self._full += 1
        for place in rounds[self._full :]:
            number = self._free(place)
            if number is not None and (place.previous is None or self._ended.issuperset(place.previous.numbers)):
                return number
        return None

    def start(self, number: int, values: Values) -> Trial:
        self._points[number] = same_point(values)
        return super().start(number, values)

    def restart(self) -> None:
        super().restart()
        self._rounds, self._full = None, 0
        self._points.clear()

    def propose(self, number: int) -> Values:
        place = self._round(number)
        training = {"tuner/epochs": place.epochs, "tuner/bracket": place.bracket, "tuner/round": place.index}
        survivor = self._survivor(place)
        if survivor is None:
            return {**self._fresh(place, number), "tuner/initial_epoch": 0, **training}
        begin = {"tuner/initial_epoch": place.initial_epoch, "tuner/trial_id": survivor.trial_id}
        return {**survivor.hyperparameters.values, **begin, **training}

    def outlook(self, numbers: Sequence[int]) -> Iterator[Outlook]:
        """By round: each goes on with some of the configurations that its bracket began with."""
        for place in self.rounds():
            if later := [number for number in numbers if number in place.numbers]:
                begun = place
                while begun.previous is not None:
                    begun = begun.previous
                trials = [self.trials[trial_id(number)] for number in begun.numbers if number in self._points]
                points = [trial.hyperparameters.values for trial in trials]
                yield Outlook(later, points or None, (place.initial_epoch, place.epochs))

    def _round(self, number: int) -> Round:
        return next(each for each in self.rounds() if number in each.numbers)

    def _free(self, place: Round) -> int | None:
        return next((number for number in place.numbers if number not in self._points), None)

    def _survivor(self, place: Round) -> Trial | None:
        """The best trial of the round before that does not go on yet; None where there is none."""
        if place.previous is None:
            return None
        trials = [self.trials[trial_id(number)] for number in place.previous.numbers]
        completed = [trial for trial in trials if trial.status == TrialStatus.COMPLETED]
        taken = [self.trials[trial_id(number)] for number in place.numbers if number in self._points]
        going_on = {trial.hyperparameters.values.get("tuner/trial_id") for trial in taken}
        ranked = self.ranked(completed)
        return next((trial for trial in ranked if trial.trial_id not in going_on), None)

    def _fresh(self, place: Round, number: int) -> Values:
        """A random configuration, as far as possible none that the iteration has begun with, else none of the bracket.

        Only trials of lower numbers that have certainly started are looked at: what the bracket has begun, and with
        what the iteration's earlier brackets began.
        """
        rng = np.random.default_rng([self.seed, number])
        earlier = [each for each in self.rounds() if each.iteration == place.iteration and each.numbers.start <= number]
        bracket = self._begun((each for each in earlier if each.bracket == place.bracket), number)
        iteration = bracket | self._begun((each for each in earlier if each.index == 0), number)
        for avoided in (iteration, bracket):
            values = untried(self, rng, avoided)
            if values is not None:
                return values
        return draw(self.hyperparameters, rng)

    def _begun(self, rounds: Iterable[Round], before: int) -> set[str]:
        return {self._points[number] for each in rounds for number in each.numbers if number < before}


class Hyperband(Tuner):
    """Many configurations trained for a short time, the best of them longer (Li et al., 2018).

    The plan is Keras-Tuner's: brackets of rounds, from one in which very many begin to one in which all are trained for
    ``max_epochs`` at once; in each round one of ``factor`` goes on from the state it had reached, to ``factor`` times
    the epochs. ``hyperband_iterations``: how often all that is done; raising it later continues a finished search. How
    many trials there are and how long each is trained is the plan's, so ``epochs`` in ``search`` has no effect. The
    other arguments are those of ``Tuner``.
    """

    oracle_class = HyperbandOracle

    def __init__(
        self,
        hypermodel: Any,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        *more: Any,
        **options: Any,
    ) -> None:
        plan = {"max_epochs": max_epochs, "factor": factor, "hyperband_iterations": hyperband_iterations}
        super().__init__(hypermodel, objective, *more, oracle_options=plan, **options)


def _check(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or value < least:
        raise UsageError(f"{name} must be a whole number of at least {least} (got {value!r})")
