"""What a search would take, before anything is spent: trials, calls, tokens, dollars, time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from paretune.errors import UsageError
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger import Ledger, default_ledger
from paretune.lm.rehearsal import LedgerView
from paretune.programs.program import Program
from paretune.tuners.estimate_text import lines_of
from paretune.tuners.hyperband import HyperbandOracle
from paretune.tuners.kt import TrialStatus
from paretune.tuners.oracle import ReplayableOracle, same_point, trial_id
from paretune.tuners.rehearsal import Rehearsal, rehearse
from paretune.tuners.spaces import Values, combinations, draw, plain, space_size
from paretune.tuners.spending import Limit, Spending, limits, spending
from paretune.tuners.tally import Range, Tally, added, chosen
from paretune.tuners.trials import TrialRecord, TrialStore

if TYPE_CHECKING:
    from paretune.tuners.tuner import Tuner

__all__ = ["Estimate", "estimate", "ledger_of"]

#: So many trials are looked at one by one; the others are taken to be like any of the space.
_TRIALS = 2000
#: So many points stand for a space, where nobody knows which ones the trials will have.
_POINTS = 64
#: Prompts that are written in all; of each configuration at least and at most so many.
_PROMPTS, _LEAST, _MOST = 1500, 6, 50


@dataclass(frozen=True, kw_only=True)
class Estimate(Spending):
    """What a search would still take.

    ``trials`` in a space of so many configurations (None: no finite number), ``finished`` of them before; ``epochs``
    and ``replicates`` of each. Calls, tokens, dollars and seconds are those of the trials that are left, if every reply
    is valid and the ledger held none; it holds at least ``held`` of them. ``budget`` tells of each declared limit
    whether it suffices.
    """

    trials: int
    finished: int
    space: int | None
    epochs: Range
    replicates: int
    held: int
    budget: tuple[Limit, ...] = ()
    #: What was looked at for it, by configuration.
    rehearsals: tuple[Rehearsal, ...] = field(default=(), repr=False, compare=False)

    def lines(self) -> list[str]:
        """What it says, for people."""
        return lines_of(self)

    def __str__(self) -> str:
        return "\n".join(self.lines())


class _Open(NamedTuple):
    """Trials whose values are not known: each has another one of these points, all are trained alike."""

    numbers: list[int]
    points: Sequence[Values]
    epochs: tuple[int, int]


class _Ahead(NamedTuple):
    """The trials of a search that are left."""

    finished: int
    #: By number (from 0): those that are not finished and whose values are known.
    planned: dict[int, Values]
    open: list[_Open]


async def estimate(tuner: Tuner, fit: Mapping[str, Any]) -> Estimate:
    """See ``Tuner.estimate``; ``fit`` has the arguments of ``Program.fit``, x and y among them."""
    if isinstance(tuner.oracle, HyperbandOracle):  # its plan says how long a trial is trained
        fit = {name: value for name, value in fit.items() if name not in ("epochs", "initial_epoch")}
    first = await tuner._explore(fit)
    total = tuner.oracle.total()
    if total is None:
        raise UsageError("the space has no end: give max_trials=…")
    path = tuner._record_path(first, fit)
    known = {} if tuner.overwrite else TrialStore(path).load()
    oracle = tuner._new_oracle(hyperparameters=tuner.oracle.hyperparameters.copy())
    usual = (fit.get("initial_epoch", 0), fit.get("epochs", 1))
    ahead = _look_ahead(oracle, total, known, usual)
    view = LedgerView(ledger_of(first).path)
    cast = _Cast(tuner, fit, view, _rows_each(ahead))
    tally, trainings, held = await _add_up(cast, ahead, usual, view.asked(path.stem))
    if not cast.made:  # all is finished: what the held-out test may ask is that of the recorded trials
        for record in itertools.islice(known.values(), _POINTS):
            await cast.of(record.values)
    lengths = [end - begin for begin, end in trainings or [usual]]
    taken = spending(tally, cast.models, view)
    held = min(held, int(taken.calls.low))
    return Estimate(
        calls=taken.calls,
        models=taken.models,
        trials=total,
        finished=ahead.finished,
        space=space_size(oracle.hyperparameters),
        epochs=Range(min(lengths), max(lengths)),
        replicates=tuner.options.replicates,
        held=held,
        budget=limits(tuner.budget, taken, held),
        rehearsals=tuple(cast.made.values()),
    )


async def _add_up(
    cast: _Cast, ahead: _Ahead, usual: tuple[int, int], noted: Mapping[str, int]
) -> tuple[Tally, list[tuple[int, int]], int]:
    """What the trials take, how they are trained, and how many of their calls the ledger holds at least; ``noted`` says
    how many by trial."""
    replicates, parallel = cast.tuner.options.replicates, cast.tuner.parallel_trials
    trainings, tallies, held = [], [], 0
    for number, values in ahead.planned.items():
        rehearsal, epochs = await cast.of(values), _epochs(values, usual)
        trainings.append(epochs)
        tallies.append(rehearsal.training(*epochs, parallel))
        looked_up = await rehearsal.held(cast.view, replicates, range(*epochs))
        held += max(looked_up, noted.get(trial_id(number), 0))
    for group in ahead.open:
        trainings.append(group.epochs)
        rehearsals = [await cast.of(values) for values in group.points]
        tallies.append(chosen((one.training(*group.epochs, parallel) for one in rehearsals), len(group.numbers)))
        held += sum(noted.get(trial_id(number), 0) for number in group.numbers)
    return {name: take.times(replicates) for name, take in added(tallies).items()}, trainings, held


def _look_ahead(
    oracle: ReplayableOracle, total: int, known: Mapping[str, TrialRecord], usual: tuple[int, int]
) -> _Ahead:
    """Let a new oracle propose what it can without results but those of the record."""
    finished, planned = 0, {}
    while len(oracle.trials) < _TRIALS and (number := oracle.next_number()) is not None:
        record = known.get(trial_id(number))
        values = record.values if record is not None else oracle.propose(number)
        if values is None:
            break
        trial = oracle.start(number, {name: plain(value) for name, value in values.items()})
        if record is not None:
            finished += 1
            oracle.finish(trial, TrialStatus.COMPLETED, record.metrics, 0, None)
        else:
            planned[number] = dict(trial.hyperparameters.values)
    left = [number for number in range(total) if trial_id(number) not in oracle.trials]
    if not left:
        return _Ahead(finished, planned, [])
    if isinstance(oracle, HyperbandOracle):
        return _Ahead(finished, planned, list(_later_rounds(oracle, left)))
    return _Ahead(finished, planned, [_Open(left, _points(oracle), usual)])


def _later_rounds(oracle: HyperbandOracle, left: Sequence[int]) -> Iterator[_Open]:
    """Rounds that go on with some of the trials that their bracket began with."""
    for place in oracle.rounds():
        begun = place
        while begun.previous is not None:
            begun = begun.previous
        trials = (oracle.trials.get(trial_id(number)) for number in begun.numbers)
        points = [_point(trial.hyperparameters.values) for trial in trials if trial is not None]
        if numbers := [number for number in left if number in place.numbers]:
            yield _Open(numbers, points, (place.initial_epoch, place.epochs))


def _points(oracle: ReplayableOracle) -> list[Values]:
    """Points that stand for what is left of a space: all of a small one."""
    space = oracle.hyperparameters
    size = space_size(space)
    if size is not None and size <= _POINTS:
        return [values for values in combinations(space) if not oracle.tried(values)] or list(combinations(space))
    rng = np.random.default_rng(0)
    return [draw(space, rng) for _ in range(_POINTS)]


def _point(values: Values) -> Values:
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def _epochs(values: Values, usual: tuple[int, int]) -> tuple[int, int]:
    return (values["tuner/initial_epoch"], values["tuner/epochs"]) if "tuner/epochs" in values else usual


def _rows_each(ahead: _Ahead) -> int:
    """How many prompts to write of each configuration."""
    return max(_LEAST, min(_MOST, _PROMPTS // max(1, len(ahead.planned) + (_POINTS if ahead.open else 0))))


def ledger_of(program: Program) -> Ledger:
    """The ledger of a program's language models (the project's where it has none); several share one, as a rule."""
    models = [*(generator.language_model for generator in program.generators), *program.reward.language_models]
    return models[0].ledger if models else default_ledger()


class _Cast:
    """The rehearsals of configurations, each made once."""

    def __init__(self, tuner: Tuner, fit: Mapping[str, Any], view: LedgerView, rows: int) -> None:
        self.tuner, self.fit, self.view, self.rows = tuner, fit, view, rows
        self.made: dict[str, Rehearsal] = {}

    @property
    def models(self) -> dict[str, LanguageModel]:
        """All language models by name."""
        return {name: model for one in self.made.values() for name, model in one.models.items()}

    async def of(self, values: Values) -> Rehearsal:
        """The rehearsal at a point of the space."""
        name = same_point(values)
        if name not in self.made:
            hyperparameters = self.tuner.oracle.hyperparameters.copy()
            hyperparameters.values = dict(values)
            program = await self.tuner._build(hyperparameters, self.fit)
            self.made[name] = await rehearse(program, self.fit, self.view, self.rows)
        return self.made[name]
