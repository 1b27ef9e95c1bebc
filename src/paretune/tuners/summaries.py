"""What a tuner prints of a space and of a search, line by line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from paretune.trials.record import TrialRecord, race_savings
from paretune.tuners.keras_api import HyperParameters, Trial
from paretune.tuners.oracles.base import ReplayableOracle
from paretune.tuners.progress import summary_line, values_line
from paretune.tuners.spaces import space_size

__all__ = ["end_notes", "result_lines", "space_lines", "start_notes"]


def space_lines(space: HyperParameters) -> Iterator[str]:
    """How many hyperparameters and configurations there are, then each hyperparameter with its conditions."""
    size = space_size(space)
    yield f"{len(space.space)} hyperparameters" + ("" if size is None else f", {size} configurations")
    for kind in space.space:
        settings = {name: value for name, value in kind.get_config().items() if name not in ("name", "conditions")}
        scopes = [f"{condition.name} in {condition.values}" for condition in kind.conditions]
        when = f"  when {' and '.join(scopes)}" if scopes else ""
        yield f"{kind.name} ({type(kind).__name__})  {values_line(settings)}{when}"


def start_notes(oracle: ReplayableOracle, total: int, stale: int) -> Iterator[str]:
    """What to know before anything is spent: how many of the known trials are ``stale``; and that ``max_trials`` covers
    not all of the space, or only the random start."""
    if stale:
        yield f"{stale} trials are scored anew: metrics, prices or goals have changed"
    size, most = oracle.size(), oracle.max_trials
    if most is None or (size is not None and size <= total):
        return
    if size is not None:
        yield f"the space has {size} configurations, max_trials allows {total} of them"
    if (initial := oracle.initial_points()) >= most:
        yield (
            f"all trials are drawn at random, since num_initial_points ({initial}) is not below max_trials ({most}): "
            "lower the one or raise the other"
        )


def end_notes(oracle: ReplayableOracle, records: Collection[TrialRecord], raced: bool) -> Iterator[str]:
    """What to know when a search has ended: what a race has saved, and whether the best trial breaks a constraint."""
    dropped, saved = race_savings(records).values()
    if dropped:
        calls = saved + sum(record.calls for record in records)
        yield f"racing dropped {dropped} of {len(records)} trials and saved {saved:,} of {calls:,} calls"
    elif raced:
        yield f"racing dropped none of {len(records)} trials: they differ too little for so few examples"
    if (best := oracle.get_best_trials(1)) and not oracle.feasible(best[0]):
        yield "no trial keeps the constraints"


def result_lines(
    best: Sequence[Trial], oracle: ReplayableOracle, records: Mapping[str, TrialRecord], num_trials: int
) -> Iterator[str]:
    """The best trials, their hyperparameters and their metrics; why they failed, where none was completed."""
    aim = " and ".join(f"{part.name} ({part.direction})" for part in oracle.goals.objectives)
    yield f"{len(best)} best of {len(records)} trials, by {aim}"
    if not records:
        yield "nothing was searched yet: search() also reads the trials that an earlier run has finished"
    for trial in best:
        record = records[trial.trial_id]
        lasted = "" if record.seconds is None else f"  {record.seconds:.1f} s"
        yield f"trial {trial.trial_id}  score {trial.score:.4f}  {summary_line(record, oracle.goals)}{lasted}"
        yield f"    {values_line(record.values)}"
    for number in [] if best else sorted(records, key=int)[:num_trials]:
        yield f"trial {number}  {summary_line(records[number], oracle.goals)}"
