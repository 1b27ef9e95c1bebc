"""Search for a whole frontier: Optuna's multi-objective samplers propose, on a fixed schedule and without repeats."""

from __future__ import annotations

import bisect
import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from paretune.errors import UsageError
from paretune.stats.pareto import fronts
from paretune.tuners.keras_api import hyperparameter_kinds
from paretune.tuners.oracles.base import trial_id
from paretune.tuners.oracles.random import untried
from paretune.tuners.oracles.sequential import SequentialOracle
from paretune.tuners.spaces import Values, even_grid, nearest
from paretune.tuners.tuner import Tuner

__all__ = ["ParetoOracle", "ParetoSearch", "Sampler"]

Sampler = Literal["tpe", "nsga2", "gp"]
_SAMPLERS = ("tpe", "nsga2", "gp")
#: How often the sampler is asked for a point that was not tried.
_ATTEMPTS = 10
#: The most completed trials that a sampler is told of (more where it wants more to begin with), half of them the best,
#: half the latest of the others: so a proposal takes hardly longer after thousands of trials than after this many. TPE
#: counts at most 25 trials as good, and weighs the others by how late they came.
_MOST_SHOWN = 200
#: Optuna's NSGA-II takes parents from the generation before. When all earlier trials are marked as the first one, they
#: are the best of all of them: with few trials that finds more than generations do, and nothing has to be remembered.
_FIRST_GENERATION = {"NSGAIISampler:generation": 0}


@dataclass(frozen=True)
class _Axis:
    """A hyperparameter for Optuna: under a label of its own, since two may share a name under different conditions."""

    label: str
    kind: Any
    grid: Sequence[Any] | None

    @property
    def is_ordered(self) -> bool:
        """Whether near places in the grid mean near values."""
        unordered = isinstance(self.kind, hyperparameter_kinds.Choice) and not self.kind.ordered
        return not unordered and not isinstance(self.kind, hyperparameter_kinds.Boolean)

    def position(self, value: Any) -> float | int:
        """Where a value stands."""
        if self.grid is not None:
            return self.grid.index(value)
        return min(max(float(self.kind.value_to_prob(value)), 0.0), 1.0)

    def distribution(self, kinds: Any) -> Any:
        """The positions, as one of the classes in ``optuna.distributions``."""
        if self.grid is None:
            return kinds.FloatDistribution(0.0, 1.0)
        places = len(self.grid)
        return kinds.IntDistribution(0, places - 1) if self.is_ordered else kinds.CategoricalDistribution(range(places))

    def suggest(self, trial: Any) -> Any:
        """The value that the sampler suggests for a trial of a study."""
        if self.grid is None:
            return nearest(self.kind, trial.suggest_float(self.label, 0.0, 1.0))
        if self.is_ordered:
            return self.grid[trial.suggest_int(self.label, 0, len(self.grid) - 1)]
        return self.grid[trial.suggest_categorical(self.label, range(len(self.grid)))]


class _Settled(NamedTuple):
    """A completed trial, from when its results are visible: as Optuna sees it, and how it stands."""

    number: int
    trial: Any
    standing: list[float]


class ParetoOracle(SequentialOracle):
    """Proposals of an Optuna sampler, which sees the single objectives and the constraints instead of a scalar.

    Each proposal comes from a study made for it, of the earlier trials' values and the visible ones' results, with a
    sampler seeded by the trial's number: the sampler carries nothing over, so that a resumed search is like any other.
    Optuna sees positions: the place of a value in its grid, or a point of [0, 1].
    """

    slow = True

    def __init__(self, *args: Any, sampler: Sampler = "tpe", num_initial_points: int = 5, **options: Any) -> None:
        self.optuna = _import_optuna()
        if sampler not in _SAMPLERS:
            raise UsageError(f"sampler must be one of {', '.join(map(repr, _SAMPLERS))} (got {sampler!r})")
        if sampler == "gp" and importlib.util.find_spec("torch") is None:
            raise UsageError("sampler 'gp' needs PyTorch: pip install torch, or take 'tpe'")
        fewest = 2 if sampler == "nsga2" else 1
        if num_initial_points < fewest:
            raise UsageError(f"num_initial_points must be at least {fewest} (got {num_initial_points})")
        self.sampler: Sampler = sampler
        self.num_initial_points = num_initial_points
        self._axes: list[_Axis] = []
        self._settled: list[_Settled] = []
        self._looked_at = 0  # so many trials have their place among the settled ones, or have failed
        super().__init__(*args, **options)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "sampler": self.sampler, "num_initial_points": self.num_initial_points}

    def initial_points(self) -> int:
        return self.num_initial_points

    def restart(self) -> None:
        super().restart()
        self._axes.clear()
        self._settled.clear()
        self._looked_at = 0

    def propose(self, number: int) -> Values | None:
        rng = np.random.default_rng([self.seed, number])
        study = self._study(number)
        for _ in range(_ATTEMPTS):
            study.sampler = self._new_sampler(int(rng.integers(2**31)))
            values = self._suggested(study.ask())
            if not self.tried(values):
                return values
        return untried(self, rng)

    def _new_sampler(self, seed: int) -> Any:
        samplers, initial = self.optuna.samplers, self.num_initial_points
        if self.sampler == "nsga2":
            return samplers.NSGAIISampler(population_size=initial, seed=seed)
        if self.sampler == "gp":
            return samplers.GPSampler(n_startup_trials=initial, warn_independent_sampling=False, seed=seed)
        return samplers.TPESampler(n_startup_trials=initial, constant_liar=True, seed=seed)

    def _study(self, number: int) -> Any:
        """What the proposal of a trial may know: all earlier points, and the results of the visible trials."""
        storage = self.optuna.storages.InMemoryStorage()
        directions = ["minimize" if part.direction == "min" else "maximize" for part in self.goals.objectives]
        study = self.optuna.create_study(storage=storage, directions=directions, study_name="search")
        seen = max(0, number - self.slots + 1)
        for settled in range(self._looked_at, seen):
            if trial_id(settled) in self._logs:  # a sampler looks at no trial that failed
                trial = _shared(self._frozen_trial(settled, pending=False))
                self._settled.append(_Settled(settled, trial, self._standing(settled)))
        self._looked_at = max(seen, self._looked_at)
        study_id = storage.get_study_id_from_name("search")
        shown = [settled.trial for settled in self._shown(seen)]
        for trial in (*shown, *(self._frozen_trial(running, pending=True) for running in range(seen, number))):
            storage.create_new_trial(study_id, template_trial=trial)  # study.add_trial() checks each one anew
        return study

    def _shown(self, seen: int) -> list[_Settled]:
        """The completed trials that the sampler is told of, in their order; see ``_MOST_SHOWN``."""
        known = self._settled[: bisect.bisect_left(self._settled, seen, key=lambda settled: settled.number)]
        most = max(_MOST_SHOWN, 2 * self.num_initial_points)
        if len(known) <= most:
            return known
        rows = np.array([settled.standing for settled in known])
        broken, goals = rows[:, 0], rows[:, 1:]  # all goals are minimised
        kept = broken == 0
        front = np.zeros(len(known), dtype=np.intp)
        front[kept] = fronts(goals[kept], ["min"] * goals.shape[1])
        inner = (goals > goals[kept].min(axis=0, initial=np.inf)).all(axis=1)  # not at an end of the frontier
        best = np.lexsort((-np.arange(len(known)), inner, front, broken))[: most // 2]
        others = np.setdiff1d(np.arange(len(known)), best)[len(best) - most :]
        return [known[place] for place in np.union1d(best, others)]

    def _standing(self, number: int) -> list[float]:
        """How far a completed trial breaks the constraints, and its objectives, all to be minimised."""
        logs = self._logs[trial_id(number)]
        goals = [logs[part.name] if part.direction == "min" else -logs[part.name] for part in self.goals.objectives]
        return [sum(max(0.0, bound.violation(logs)) for bound in self.goals.constraints), *goals]

    def _frozen_trial(self, number: int, pending: bool) -> Any:
        """A trial as Optuna's samplers see it."""
        trial, states = self.trials[trial_id(number)], self.optuna.trial.TrialState
        state, results = states.RUNNING, {}
        if not pending:
            logs = self._logs[trial.trial_id]
            state = states.COMPLETE
            results = {
                "values": [logs[part.name] for part in self.goals.objectives],
                "constraints": {bound.describe(): bound.violation(logs) for bound in self.goals.constraints},
            }
        values = trial.hyperparameters.values
        varied = [axis for axis in self._space_axes() if trial.hyperparameters.is_active(axis.kind)]
        return self.optuna.trial.create_trial(
            state=state,
            params={axis.label: axis.position(values[axis.kind.name]) for axis in varied},
            distributions={axis.label: axis.distribution(self.optuna.distributions) for axis in varied},
            system_attrs=dict(_FIRST_GENERATION),
            **results,
        )

    def _suggested(self, trial: Any) -> Values:
        """The sampler's point, conditions respected."""
        point = self.hyperparameters.copy()
        point.values = {}
        for axis in self._space_axes():
            if point.is_active(axis.kind):
                point.values[axis.kind.name] = axis.suggest(trial)
        return dict(point.values)

    def _space_axes(self) -> list[_Axis]:
        if not self._axes:
            kinds = enumerate(self.hyperparameters.space)
            self._axes += [_Axis(f"{i} {kind.name}", kind, even_grid(kind)) for i, kind in kinds]
        return self._axes


class ParetoSearch(Tuner):
    """Search for the whole frontier of several objectives: proposals follow from each of them, not from their sum.

    ``max_trials``: how many at most; raising it later continues a finished search. ``sampler``: Optuna's ``tpe``,
    ``nsga2``, or ``gp`` (which needs PyTorch). ``num_initial_points``: how many completed trials are drawn at random
    before the sampler learns from them (for ``nsga2`` also the number of parents); fewer than ``max_trials``, or else
    the search is a random one. No point comes twice, and a small finite space is covered. Units count only
    for the ranking of the trials. The other arguments are those of ``Tuner``. Needs the extra
    ``paretune[pareto]``.
    """

    oracle_class = ParetoOracle

    def __init__(
        self,
        hypermodel: Any,
        objective: Any = None,
        max_trials: int | None = 10,
        sampler: Sampler = "tpe",
        num_initial_points: int = 5,
        *more: Any,
        **options: Any,
    ) -> None:
        own = {"max_trials": max_trials, "sampler": sampler, "num_initial_points": num_initial_points}
        super().__init__(hypermodel, objective, *more, oracle_options=own, **options)


def _shared(trial: Any) -> Any:
    """A trial that all studies share, since it is the same in each: to copy it takes longer than to propose."""
    trial.__deepcopy__ = lambda memo: trial
    return trial


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UsageError("ParetoSearch needs Optuna: pip install 'paretune[pareto]'") from None
    logging.getLogger("optuna.storages._in_memory").setLevel(logging.WARNING)  # it announces each study
    return optuna
