"""What a search would take: a new oracle proposes the trials that are left, and each is rehearsed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paretune.estimating.earlier_calls import LedgerView
from paretune.estimating.rehearsal import Rehearsal, rehearse
from paretune.estimating.result import Estimate
from paretune.estimating.spending import Range, Tally, added, chosen, limits, spending
from paretune.eventloop import run_maybe_nested
from paretune.lm.ledger.default import default_ledger
from paretune.lm.ledger.ledger import Ledger
from paretune.stats.racing import looks
from paretune.trials.record import TrialRecord
from paretune.tuners.keras_api import FailedTrialError, TrialStatus
from paretune.tuners.oracles.base import ReplayableOracle, same_point, trial_id
from paretune.tuners.plan import Plan
from paretune.tuners.run_trial import example_counts
from paretune.tuners.spaces import Values, combinations, draw, plain, space_size
from paretune.tuners.tuner import Tuner

__all__ = ["estimate", "survey"]

#: So many trials are looked at one by one; the others are taken to be like any of the space.
_TRIALS = 2000
#: So many points stand for a space, where nobody knows which ones the trials will have.
_POINTS = 64
#: Prompts that are written in all; of each configuration at least and at most so many.
_PROMPTS, _LEAST, _MOST = 1500, 2, 50
#: So many questions are looked up in the ledger, or a few more.
_LOOKUPS = 10_000


def estimate(tuner: Tuner, x: Any, y: Sequence[Any] | None = None, **fit: Any) -> Estimate:
    """What ``tuner.search`` with these arguments would still take: calls, tokens, dollars, time; nothing is called.

    ``print`` shows it, ``as_json`` gives its numbers. Raises what ``search`` raises before its first call.
    """
    return run_maybe_nested(survey(tuner, {"x": x, "y": y, **fit}, recorded=False))[0]


class _Group(NamedTuple):
    """Trials that have other ones of these points each, nobody knows which, and are trained alike; ``known``: it is one
    trial at its one point."""

    numbers: Sequence[int]
    points: Sequence[Values]
    epochs: tuple[int, int]
    known: bool = False


async def survey(tuner: Tuner, fit: Mapping[str, Any], *, recorded: bool = True) -> tuple[Estimate, list[Rehearsal]]:
    """See ``estimate``; ``fit`` has the arguments of ``Program.fit``, x and y among them. Beside the estimate, a
    rehearsal of each configuration that was looked at: where no trial is left, those of the record if ``recorded``."""
    plan = await tuner.plan(**fit)
    known = plan.finished()
    left = list(_left(plan, known))
    view = LedgerView(_ledger(plan))
    rows = max(_LEAST, min(_MOST, _PROMPTS // max(1, sum(len(group.points) for group in left))))
    noted, replicates = view.answered_by_trial(plan.record.stem), tuner.options.replicates
    rehearsals: dict[str, Rehearsal | None] = {}
    tallies, rests, held, looked_up = [], [], 0, 0
    for group in left:
        cast = [await _rehearsal(plan, values, view, rows, rehearsals) for values in group.points]
        one, rest = _trainings(cast, group, tuner.parallel_trials, plan)
        tallies.append({name: take * replicates for name, take in one.items()})
        rests.append({name: take * replicates for name, take in rest.items()})
        keys = []
        if group.known and cast[0] and looked_up < _LOOKUPS:
            keys = await cast[0].keys(view, replicates, range(*group.epochs))
            looked_up += len(keys)
        held += max(view.holds(keys), sum(noted.get(trial_id(number), 0) for number in group.numbers))
    if rests:
        tallies.append(min(rests, key=lambda rest: float(rest[""][0, 0]) if rest else 0.0))
    if recorded and not left:
        for record in list(known.values())[:_POINTS]:
            await _rehearsal(plan, record.values, view, rows, rehearsals)
    built = [each for each in rehearsals.values() if each]
    models = {name: model for each in built for name, model in each.models.items()}
    taken = spending(added(tallies), models, view)
    held = min(held, int(taken.calls.low))
    lengths = [end - begin for begin, end in ([group.epochs for group in left] or [plan.epochs({})])]
    estimate = Estimate(
        **vars(taken),
        trials=plan.total,
        finished=plan.total - sum(len(group.numbers) for group in left),
        space=plan.oracle.size(),
        epochs=Range(min(lengths), max(lengths)),
        replicates=replicates,
        held=held,
        budget=limits(tuner.budget, taken, held),
    )
    return estimate, built


def _trainings(
    cast: Sequence[Rehearsal | None], group: _Group, parallel: int, plan: Plan
) -> tuple[Tally, dict[str, NDArray[np.float64]]]:
    """What the trials of a group take, and what the least of a race, where all are dropped at the first look, lacks of
    the one trial that is not."""

    def taking(count: int, n_val: int | None = None) -> dict[str, NDArray[np.float64]]:
        return chosen((each.training(*group.epochs, parallel, n_val) if each else {} for each in cast), count)

    whole = taking(len(group.numbers))
    if plan.race is None:
        return whole, {}
    first = looks(example_counts(plan.fit)[1])[0]
    least, one, short = taking(len(group.numbers), first), taking(1), taking(1, first)
    rest = {name: (take - short[name]) * [1, 0] for name, take in one.items()}
    return {name: np.stack([least[name][:, 0], take[:, 1]], axis=1) for name, take in whole.items()}, rest


async def _rehearsal(
    plan: Plan, values: Values, view: LedgerView, rows: int, made: dict[str, Rehearsal | None]
) -> Rehearsal | None:
    """The rehearsal at a point of the space, each made once; None where the hypermodel rejects the point."""
    name = same_point(values)
    if name not in made:
        made[name] = None
        with contextlib.suppress(FailedTrialError):
            made[name] = await rehearse(await plan.build(values), plan.fit, view, rows)
    return made[name]


def _left(plan: Plan, known: Mapping[str, TrialRecord]) -> Iterator[_Group]:
    """The trials that are not finished: a new oracle proposes what it can without results but those of the record."""
    oracle = plan.oracle
    while len(oracle.trials) < _TRIALS and (number := oracle.next_number()) is not None:
        record = known.get(trial_id(number))
        values = record.values if record is not None else oracle.propose(number)
        if values is None:
            break
        trial = oracle.start(number, {name: plain(value) for name, value in values.items()})
        if record is not None:  # of one that is to be scored anew, an objective may be unknown
            scored = all(part.name in record.metrics for part in oracle.goals.objectives)
            status = TrialStatus.COMPLETED if scored else TrialStatus.FAILED
            oracle.finish(trial, status, record.metrics, 0, None, record.dropped is not None)
        else:
            values = trial.hyperparameters.values
            yield _Group([number], [values], plan.epochs(values), known=True)
    later = [number for number in range(plan.total) if trial_id(number) not in oracle.trials]
    for numbers, points, epochs in oracle.outlook(later) if later else ():
        yield _Group(numbers, points or _points(oracle), epochs or plan.epochs({}))


def _points(oracle: ReplayableOracle) -> list[Values]:
    """Points that stand for what is left of a space: all of a small one."""
    space = oracle.hyperparameters
    size = space_size(space)
    if size is not None and size <= _POINTS:
        return [values for values in combinations(space) if not oracle.tried(values)] or list(combinations(space))
    rng = np.random.default_rng(0)
    return [draw(space, rng) for _ in range(_POINTS)]


def _ledger(plan: Plan) -> Ledger:
    """The ledger of a search's language models (the project's where it has none); several share one, as a rule."""
    return plan.ledgers[0] if plan.ledgers else default_ledger()
