"""What an oracle is here: Keras-Tuner's class, without its files, and with proposals that can be repeated.

The proposal of a trial depends on the seed, the trial's number, and the results of trials that are fixed by that
number; never on time or concurrency. So a search can be rebuilt from a record of its trials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from paretune.errors import UsageError
from paretune.files import canonical_json
from paretune.trials.goals import Goals
from paretune.tuners.keras_api import (
    HyperParameters,
    KerasMultiObjective,
    KerasObjective,
    Oracle,
    Trial,
    TrialStatus,
)
from paretune.tuners.spaces import LISTED, Values, listed, space_size

__all__ = [
    "Outlook",
    "ReplayableOracle",
    "check_choice",
    "check_count",
    "check_space",
    "same_point",
    "trial_id",
]

#: Keras-Tuner's names for how long a trial is trained, which are no coordinates of its point.
_TRAINING = "tuner/"


class Outlook(NamedTuple):
    """What is known of some trials before they can be proposed: each has another one of these points (None: of all
    that are not tried), and is trained from one epoch up to another (None: as ``fit`` says)."""

    numbers: Sequence[int]
    points: Sequence[Values] | None = None
    epochs: tuple[int, int] | None = None


class ReplayableOracle(Oracle):  # type: ignore[misc]
    """A Keras-Tuner oracle that writes no files, prints nothing, and never gives up on its own.

    ``goals`` rank the trials; ``slots`` is how many run at once.
    """

    #: Whether a proposal may take so long that it has to be made beside the event loop.
    slow = False
    #: Whether the trials are proposed for an exact training that later trials may continue.
    continues = False

    def __init__(
        self,
        goals: Goals,
        *,
        seed: int = 0,
        slots: int = 1,
        **options: Any,
    ) -> None:
        if options.get("max_trials") is not None:
            check_count("max_trials", options["max_trials"], 1)
        if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
            raise UsageError(f"seed must be a whole number of at least 0 and below 2**32 (got {seed!r})")
        super().__init__(objective=_for_keras_tuner(goals), seed=seed, max_consecutive_failed_trials=10**9, **options)
        self.seed = self._seed_state = int(seed)  # Keras-Tuner takes 0 for "none"
        self.verbose = 0
        self.slots = slots
        self.aim(goals)
        self.exhausted = False
        self._ended: set[int] = set()
        self._logs: dict[str, dict[str, float]] = {}
        self._dropped: set[str] = set()
        self._listing: list[tuple[str, Values]] | None = None

    # What a kind of oracle may redefine.

    def settings(self) -> dict[str, Any]:
        """What its proposals depend on beside the seed, the space, the objective and the trials, as JSON values."""
        return {}

    def initial_points(self) -> int:
        """How many trials are drawn at random before proposals follow from results."""
        return 0

    def size(self) -> int | None:
        """How many points of the space it may propose; None when these have no end."""
        return space_size(self.hyperparameters)

    def total(self) -> int | None:
        """How many trials there will be; None when nobody can know."""
        sizes = [size for size in (self.size(), self.max_trials) if size is not None]
        return min(sizes, default=None)

    def next_number(self) -> int | None:
        """The number (from 0) of a trial that may start now; None when there is none, for now or for good."""
        number = len(self.trials)
        return None if self.done() or not self.ready(number) else number

    def done(self) -> bool:
        """Whether every trial has been started."""
        return self.exhausted or (self.max_trials is not None and len(self.trials) >= self.max_trials)

    def ready(self, number: int) -> bool:
        """Whether the trials that the proposal of trial ``number`` depends on have ended."""
        return True

    def propose(self, number: int) -> Values | None:
        """The values of trial ``number``; None when the space is exhausted."""
        raise NotImplementedError

    def cohort(self, number: int) -> range:
        """The trials that race trial ``number``, itself among them: no proposal of one depends on another's result."""
        return range(self.total() or 0)

    def rivals(self, number: int) -> list[str]:
        """The trials that race the cohort of trial ``number`` and have certainly ended before it."""
        return []

    def outlook(self, numbers: Sequence[int]) -> Iterator[Outlook]:
        """What is known beforehand of the trials with these numbers, none of which was proposed yet."""
        yield Outlook(numbers)

    def judging(self) -> dict[str, Any]:
        """By what it ranks trials: a part of ``settings`` where proposals depend on ranks. Units and constraints are
        none: with others, a search goes on from the trials that it has."""
        return {"objectives": [[part.name, part.direction] for part in self.goals.objectives]}

    # How a search drives it.

    def aim(self, goals: Goals) -> None:
        """Take these goals, before any trial: those of the constructor may lack directions."""
        self.goals, self.objective = goals, _for_keras_tuner(goals)

    def start(self, number: int, values: Values) -> Trial:
        """Take trial ``number`` as running, with values proposed now or recorded earlier (which may hold more than
        those that are proposed)."""
        hyperparameters = self.hyperparameters.copy()
        own = {kind.name for kind in hyperparameters.space}
        values = {name: value for name, value in values.items() if name in own or name.startswith(_TRAINING)}
        hyperparameters.values = values
        trial = Trial(hyperparameters=hyperparameters, trial_id=trial_id(number), status=TrialStatus.RUNNING)
        self._tried_so_far.add(same_point(values))
        self.trials[trial.trial_id] = trial
        self.start_order.append(trial.trial_id)
        self.ongoing_trials[trial.trial_id] = trial
        return trial

    def finish(
        self,
        trial: Trial,
        status: str,
        metrics: Mapping[str, float],
        step: int,
        message: str | None,
        dropped: bool = False,
    ) -> None:
        """Record how a trial ended: its metrics, its score, and its status (COMPLETED or FAILED); and whether a race
        has ended it, so that its metrics are of a part of the examples: proposals see it as any other."""
        if dropped:
            self._dropped.add(trial.trial_id)
        for name, value in metrics.items():
            if not trial.metrics.exists(name):
                trial.metrics.register(name, direction=self._direction(name))
            trial.metrics.update(name, value, step=step)
        trial.status, trial.message, trial.best_step = status, message, step
        self.end_order.append(trial.trial_id)
        self.ongoing_trials.pop(trial.trial_id, None)
        self._ended.add(int(trial.trial_id) - 1)
        if status == TrialStatus.COMPLETED:
            self._logs[trial.trial_id] = dict(metrics)
            trial.score = self.goals.score(metrics)

    def create_trial(self, tuner_id: str) -> Trial:
        """Propose the next trial as Keras-Tuner does: its status is RUNNING, IDLE, or STOPPED when nothing is left."""
        number = self.next_number()
        values = None if number is None else self.propose(number)
        if number is not None and values is not None:
            return self.start(number, values)
        self.exhausted = self.exhausted or number is not None
        status = TrialStatus.STOPPED if self.done() or not self.ongoing_trials else TrialStatus.IDLE
        return Trial(hyperparameters=self.hyperparameters.copy(), trial_id="", status=status)

    def restart(self) -> None:
        """Forget all trials but not the space: the next proposal is that of trial 0 again."""
        self.exhausted = False
        for kept in (self.trials, self.start_order, self.end_order, self.ongoing_trials, self._tried_so_far):
            kept.clear()
        self._ended.clear()
        self._logs.clear()
        self._dropped.clear()
        self._listing = None

    # What is known of the trials.

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best completed trials, best first (those that keep the constraints before those that do not), none that
        a race has dropped; fewer when fewer are completed."""
        completed = [trial for trial in self.trials.values() if trial.status == TrialStatus.COMPLETED]
        return self.ranked([trial for trial in completed if trial.trial_id not in self._dropped])[:num_trials]

    def ranked(self, trials: Sequence[Trial]) -> list[Trial]:
        """Completed trials, best first, those that a race has dropped last; of equals the one with the lower number."""
        by_number = sorted(trials, key=lambda trial: int(trial.trial_id))
        order = [by_number[place] for place in self.goals.order([self._logs[trial.trial_id] for trial in by_number])]
        return sorted(order, key=lambda trial: trial.trial_id in self._dropped)

    def feasible(self, trial: Trial) -> bool:
        """Whether a completed trial keeps every constraint."""
        return self.goals.feasible(self._logs[trial.trial_id])

    def loss(self, trial: Trial) -> float:
        """The scalar of a completed trial so that less is better."""
        return self.goals.loss(self._logs[trial.trial_id])

    @property
    def points_tried(self) -> Set[str]:
        """The points that trials were proposed at (see ``same_point``)."""
        return self._tried_so_far  # type: ignore[no-any-return]

    def tried(self, values: Values) -> bool:
        """Whether a trial was proposed at this point."""
        return same_point(values) in self._tried_so_far

    def listing(self) -> list[tuple[str, Values]]:
        """All points of the space with their texts (see ``same_point``); none of a space that is not small."""
        if self._listing is None:
            points = listed(self.hyperparameters, LISTED) or []
            self._listing = [(same_point(values), values) for values in points]
        return self._listing

    def save(self) -> None:
        """Nothing: the search keeps its own record."""

    def _save_trial(self, trial: Trial) -> None:
        """Nothing: the search keeps its own record."""

    def _direction(self, name: str) -> str:
        return next((known.direction for known in self.goals.objectives if known.name == name), "min")


def _for_keras_tuner(goals: Goals) -> Any:
    """The objectives as Keras-Tuner's own classes, which its oracles ask for names and directions."""
    objectives = [KerasObjective(objective.name, objective.direction) for objective in goals.objectives]
    return KerasMultiObjective(objectives) if goals.listed else objectives[0]


def trial_id(number: int) -> str:
    """The name of trial ``number`` (from 0)."""
    return f"{number + 1:04d}"


def same_point(values: Mapping[str, Any]) -> str:
    """One text for all trials at one point of the space, however long they are trained."""
    return canonical_json({name: value for name, value in values.items() if not name.startswith(_TRAINING)})


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse an argument that is none of some words."""
    if value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(map(repr, choices))} (got {value!r})")


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse an argument that is no whole number of at least ``least``."""
    if not isinstance(value, Integral) or value < least:
        raise UsageError(f"{name} must be a whole number of at least {least} (got {value!r})")


def check_space(space: HyperParameters) -> None:
    """Refuse a hyperparameter that would not count as a coordinate of a point, or whose values nobody can tell."""
    for kind in space.space:
        if kind.name.startswith(_TRAINING):
            raise UsageError(f"hyperparameter {kind.name!r}: names that begin with {_TRAINING!r} are Keras-Tuner's own")
        step = getattr(kind, "step", None)
        if step is not None and not step > 0:
            raise UsageError(f"hyperparameter {kind.name!r}: a step must be above 0 (got {step})")
