"""Oracles: what to try next. Keras-Tuner's class, without its files, and with proposals that can be repeated.

The proposal of trial n depends on the seed, n, and the values proposed before it, never on time or concurrency; so a
search can be rebuilt from a record of its trials.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from paretune.errors import UsageError
from paretune.files import canonical_json
from paretune.tuners.kt import HyperParameters, Oracle, Trial, TrialStatus, hyperparameter_kinds
from paretune.tuners.objective import MultiObjective, parts_of

__all__ = ["GridOracle", "ReplayableOracle", "RandomOracle", "grid_values"]

Values = dict[str, Any]
#: Draws of a random search that hit a point already tried, before the rest of a finite space is listed.
_COLLISIONS = 50
#: A finite space with more points than this is never listed.
_LISTED = 100_000


class ReplayableOracle(Oracle):  # type: ignore[misc]
    """A Keras-Tuner oracle that writes no files, prints nothing and never gives up on its own."""

    def __init__(self, **options: Any) -> None:
        seed = options.pop("seed", None)
        super().__init__(seed=seed, max_consecutive_failed_trials=10**9, **options)
        if seed is not None:
            self.seed = self._seed_state = int(seed)  # Keras-Tuner takes 0 for "none"
        self.verbose = 0
        self.ongoing_trials: dict[str, Trial] = {}

    def create_trial(self, tuner_id: str) -> Trial:
        """Propose the next trial; its status is RUNNING, or STOPPED when there is nothing left to try."""
        number = len(self.trials)
        values: Values | None = None
        if self.max_trials is None or number < self.max_trials:
            values = self.propose(number)
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = dict(values or {})
        status = TrialStatus.STOPPED if values is None else TrialStatus.RUNNING
        trial = Trial(hyperparameters=hyperparameters, trial_id=f"{number + 1:04d}", status=status)
        if values is not None:
            self._tried_so_far.add(canonical_json(values))
            self.trials[trial.trial_id] = trial
            self.start_order.append(trial.trial_id)
            self.ongoing_trials[tuner_id] = trial
        return trial

    def restart(self) -> None:
        """Forget all trials but not the space: the next proposal is that of trial 0 again."""
        for kept in (self.trials, self.start_order, self.end_order, self.ongoing_trials, self._tried_so_far):
            kept.clear()

    def propose(self, number: int) -> Values | None:
        """The values of trial ``number`` (from 0); None when the space is exhausted."""
        raise NotImplementedError

    def finish(self, trial: Trial, status: str, metrics: dict[str, float], step: int, message: str | None) -> None:
        """Record how a trial ended: its metrics, its score, and its status (COMPLETED or FAILED)."""
        for name, value in metrics.items():
            if not trial.metrics.exists(name):
                trial.metrics.register(name, direction=self._direction(name))
            trial.metrics.update(name, value, step=step)
        trial.status, trial.message, trial.best_step = status, message, step
        self.end_order.append(trial.trial_id)
        self.ongoing_trials = {slot: other for slot, other in self.ongoing_trials.items() if other is not trial}
        self._score_all()

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best completed trials, best first; fewer when fewer are completed."""
        completed = [trial for trial in self.trials.values() if trial.status == TrialStatus.COMPLETED]
        completed.sort(key=lambda trial: trial.score, reverse=self.objective.direction == "max")
        return completed[:num_trials]

    def metrics_of(self, trial: Trial) -> dict[str, float]:
        """The metrics of a finished trial, as plain numbers."""
        return {name: trial.metrics.get_history(name)[-1].mean() for name in trial.metrics.metrics}

    def save(self) -> None:
        """Nothing: the search keeps its own record."""

    def _save_trial(self, trial: Trial) -> None:
        """Nothing: the search keeps its own record."""

    def _score_all(self) -> None:
        done = [trial for trial in self.trials.values() if trial.status == TrialStatus.COMPLETED]
        logs = [self.metrics_of(trial) for trial in done]
        if isinstance(self.objective, MultiObjective):
            scores = self.objective.scores(logs)
        else:
            scores = [float(log[self.objective.name]) for log in logs]
        for trial, score in zip(done, scores, strict=True):
            trial.score = score

    def _direction(self, name: str) -> str:
        objectives = parts_of(self.objective)
        return next((known.direction for known in objectives if known.name == name), "min")


class GridOracle(ReplayableOracle):
    """Every combination exactly once; the hyperparameter declared last changes fastest."""

    _combinations: Iterator[Values] | None = None

    def restart(self) -> None:
        super().restart()
        self._combinations = None

    def propose(self, number: int) -> Values | None:
        if self._combinations is None:
            self._combinations = combinations(self.hyperparameters)
        return next(self._combinations, None)


class RandomOracle(ReplayableOracle):
    """Independent uniform draws without repeats; a small finite space is covered completely."""

    def propose(self, number: int) -> Values | None:
        rng = np.random.default_rng([self.seed, number])
        for _ in range(_COLLISIONS):
            values = self._draw(rng)
            if canonical_json(values) not in self._tried_so_far:
                return values
        size = space_size(self.hyperparameters)
        if size is None or size > _LISTED:
            return None
        left = [v for v in combinations(self.hyperparameters) if canonical_json(v) not in self._tried_so_far]
        return left[int(rng.integers(len(left)))] if left else None

    def _draw(self, rng: np.random.Generator) -> Values:
        point = self.hyperparameters.copy()
        point.values = {}
        for kind in point.space:
            if point.is_active(kind):
                point.values[kind.name] = _value_at(kind, float(rng.random()))
        return dict(point.values)


def combinations(space: HyperParameters) -> Iterator[Values]:
    """All points of a space, conditions respected. Raises UsageError for a float without a step."""
    point = space.copy()
    point.values = {}
    kinds = list(point.space)

    def walk(position: int) -> Iterator[Values]:
        if position == len(kinds):
            yield dict(point.values)
            return
        kind = kinds[position]
        if not point.is_active(kind):
            yield from walk(position + 1)
            return
        for value in grid_values(kind):
            point.values[kind.name] = value
            yield from walk(position + 1)
        del point.values[kind.name]

    return walk(0)


def _value_at(kind: Any, probability: float) -> Any:
    """The value at a point of [0, 1). Where a grid has values, it is one of them: Keras-Tuner's own sums of steps
    (0.30000000000000004) would be further points, and miss the end of a range."""
    try:
        values = grid_values(kind)
    except UsageError:
        return plain(kind.prob_to_value(probability))
    if isinstance(kind, hyperparameter_kinds.Int) and kind.sampling not in (None, "linear"):
        return plain(kind.prob_to_value(probability))
    return values[int(probability * len(values))]


def grid_values(kind: Any) -> Sequence[Any]:
    """The values of one hyperparameter in a grid, end points included. Raises UsageError when there is no end."""
    if isinstance(kind, hyperparameter_kinds.Fixed):
        return [kind.value]
    if isinstance(kind, hyperparameter_kinds.Boolean):
        return [False, True]
    if isinstance(kind, hyperparameter_kinds.Choice):
        return [plain(value) for value in kind.values]
    if isinstance(kind, hyperparameter_kinds.Int) and kind.step is None:
        return range(kind.min_value, kind.max_value + 1)
    if kind.step is None or kind.sampling not in (None, "linear"):
        raise UsageError(
            f"a grid cannot list the values of {kind.name!r}: give it a step (linear), or a choice of values"
        )
    # In decimals, as the numbers are written: sums of binary floats would miss the end of 0.1, 0.2, 0.3.
    low, high, step = (Decimal(repr(plain(number))) for number in (kind.min_value, kind.max_value, kind.step))
    count = int((high - low) // step) + 1
    if isinstance(kind, hyperparameter_kinds.Int):
        return range(int(kind.min_value), int(kind.min_value + count * kind.step), int(kind.step))
    return [float(low + index * step) for index in range(count)]


def space_size(space: HyperParameters) -> int | None:
    """How many points a space has (at most ``_LISTED`` + 1 are counted); None when it is not finite."""
    try:
        return sum(1 for _ in itertools.islice(combinations(space), _LISTED + 1))
    except UsageError:
        return None


def plain(value: Any) -> Any:
    """A hyperparameter's value as a plain JSON value."""
    return value.item() if isinstance(value, np.generic) else value
