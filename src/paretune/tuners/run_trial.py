"""One trial: train the program, once a replicate, and say how it went."""

from __future__ import annotations

import copy
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paretune.errors import UsageError
from paretune.lm.types import Reply
from paretune.metrics.outcome import Outcome, too_many_failures, total
from paretune.programs.program import Program
from paretune.programs.running import Evaluation
from paretune.programs.trainer import History
from paretune.trials.goals import Goals
from paretune.trials.record import ReplicateRecord, TrialRecord, finite

__all__ = [
    "Run",
    "TrialOptions",
    "best_epoch",
    "example_counts",
    "planned_calls",
    "planned_calls_of",
    "run_of",
    "run_trial",
    "trial_record",
]


@dataclass(frozen=True)
class TrialOptions:
    """What all trials of a search share; see ``Tuner``. ``keep_reached``: later trials may go on from earlier ones.
    ``scoring``: the digest of what their metrics are computed by."""

    goals: Goals
    max_failure_rate: float = 0.1
    replicates: int = 1
    retries: int = 0
    max_consecutive_failures: int = 3
    keep_reached: bool = False
    scoring: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_failure_rate <= 1:
            raise UsageError(f"max_failure_rate is a share of the examples, from 0 to 1 (got {self.max_failure_rate})")


@dataclass(frozen=True)
class Run:
    """One replicate, and what it took (training and the optimizer's proposals included)."""

    record: ReplicateRecord
    took: tuple[Outcome | Reply, ...]
    error: str | None


def planned_calls(program: Program, n_train: int, n_val: int, epochs: int, batch_size: int) -> int:
    """How many calls a training makes: each epoch runs the training examples (with an optimizer) and the validation,
    and each run calls every generator and what the reward calls (which an invalid output saves); then there are the
    optimizer's own calls."""
    optimizer = program.optimizer
    per_epoch = (n_train if optimizer is not None else 0) + n_val
    runs = per_epoch * epochs * (program.calls_per_run + program.reward.calls_per_example)
    return runs + (0 if optimizer is None else optimizer.planned_calls(program.generators, n_train, batch_size, epochs))


def planned_calls_of(program: Program, fit: Mapping[str, Any]) -> int:
    """How many calls ``program.fit(**fit)`` makes."""
    n_train, n_val = example_counts(fit)
    epochs = fit.get("epochs", 1) - fit.get("initial_epoch", 0)
    return planned_calls(program, n_train, n_val, epochs, fit.get("batch_size") or 32)


def example_counts(fit: Mapping[str, Any]) -> tuple[int, int]:
    """How many examples ``program.fit(**fit)`` trains on, and how many it validates on."""
    given, validation, split = len(fit["y"]), fit.get("validation_data"), fit.get("validation_split", 0.0)
    if validation is not None:
        return given, len(validation[1])
    n_val = max(1, round(given * split)) if split else 0
    return given - n_val, n_val


async def run_trial(
    build: Callable[[int], Awaitable[Program]],
    number: str,
    values: dict[str, Any],
    options: TrialOptions,
    fit: Mapping[str, Any],
) -> TrialRecord:
    """Train a program, once a replicate, and record the trial; it is FAILED when too many examples could not be scored.

    ``build`` makes the program of a replicate, in the state from which its training begins.
    """
    runs: list[Run] = []
    while len(runs) < options.replicates and not (runs and runs[-1].error):
        program, replicate = await build(len(runs)), len(runs)
        callbacks = _own_copies(fit.get("callbacks") or (), number if replicate == 0 else f"{number}-{replicate}")
        verbose = 2 if fit.get("verbose") else 0  # the search's own display is the one live line
        history = await program.fit(**{**fit, "verbose": verbose, "callbacks": callbacks, "replicate": replicate})
        runs.append(run_of(history, history.validation, options))
    return trial_record(number, values, runs, options)


def trial_record(number: str, values: dict[str, Any], runs: Sequence[Run], options: TrialOptions) -> TrialRecord:
    """The record of a trial, of its replicates up to the first one that failed."""
    took = [one for run in runs for one in run.took]
    seconds = total(one.latency_s for one in took)
    calls = sum(one.calls if isinstance(one, Outcome) else 1 for one in took)
    error = runs[-1].error
    metrics, errors = _means([run.record.metrics for run in runs])
    return TrialRecord(
        trial=number,
        status="COMPLETED" if error is None else "FAILED",
        values=values,
        metrics=metrics,
        standard_errors=errors,
        calls=calls,
        retries=sum(one.retries if isinstance(one, Outcome) else one.attempts - 1 for one in took),
        prompt_tokens=total(one.prompt_tokens for one in took),
        completion_tokens=total(one.completion_tokens for one in took),
        cost_usd=total(one.cost_usd for one in took),
        latency_s=round(seconds / calls, 6) if calls and seconds is not None else None,
        n=len(runs[-1].record.examples),
        error=error,
        replicates=tuple(run.record for run in runs),
        best_replicate=options.goals.order([run.record.metrics for run in runs])[0] if error is None else 0,
    )


def best_epoch(history: History, validation: Sequence[Evaluation | None], options: TrialOptions) -> int:
    """The place of the epoch that a replicate is judged by: the best one by the goals, of all its metrics together."""
    return options.goals.order(_logs(history, validation))[0]


def run_of(
    history: History, validation: Sequence[Evaluation | None], options: TrialOptions, n_val: int | None = None
) -> Run:
    """A replicate by its training and, by epoch, its validation: so far, where there will be ``n_val`` examples."""
    evaluations = [part for part in (*history.training, *validation) if part is not None]
    outcomes = [outcome for part in evaluations for outcome in part.outcomes]
    proposals = [reply for replies in history.proposals for reply in replies]
    best = best_epoch(history, validation, options)
    metrics = finite(_logs(history, validation)[best])
    trained, scored = history.training[best], validation[best] or history.training[best]
    assert scored is not None, "every epoch runs the same parts"
    allowed = options.max_failure_rate
    error = None if trained is None else too_many_failures(trained.outcomes, allowed)
    if error is None:
        unseen = 1.0 if n_val is None else n_val / max(1, len(scored.outcomes))
        error = too_many_failures(scored.outcomes, allowed * unseen)
    if error is None and (missing := [part.name for part in options.goals.objectives if part.name not in metrics]):
        error = f"objective {missing[0]!r} could not be measured"
    record = ReplicateRecord(
        metrics=metrics,
        epoch=history.epoch[best],
        state={**history.states[best], "optimizer": None} if error is None else {},
        examples=tuple(scored.outcomes),
        reached=history.states[-1] if options.keep_reached and error is None else None,
    )
    return Run(record, (*outcomes, *proposals), error)


def _logs(history: History, validation: Sequence[Evaluation | None]) -> list[dict[str, float]]:
    """By epoch, the measures on the training examples, and as ``val_`` those on the validation examples."""
    logs = []
    for trained, validated in zip(history.training, validation, strict=True):
        own = {} if trained is None else trained.values
        logs.append(own | ({} if validated is None else {f"val_{name}": x for name, x in validated.values.items()}))
    return logs


def _own_copies(callbacks: Sequence[Any], trial: str) -> list[Any]:
    """Each training has callbacks of its own: they remember what they saw. Those that write files are told whose."""
    copies = []
    for callback in callbacks:
        try:
            copies.append(copy.deepcopy(callback))
        except TypeError as error:
            raise UsageError(f"{callback!r} cannot be copied, and each trial needs one of its own: {error}") from None
        if hasattr(callback, "set_trial"):
            copies[-1].set_trial(trial)
    return copies


def _means(metrics: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Each metric's mean over the replicates that all have it, and the standard error of that mean (sd / sqrt(K))."""
    if len(metrics) == 1:
        return dict(metrics[0]), {}
    means, errors = {}, {}
    for name in metrics[0]:
        values = [one[name] for one in metrics if name in one]
        if len(values) == len(metrics):
            means[name] = float(np.mean(values))
            errors[name] = float(np.std(values, ddof=1) / math.sqrt(len(values)))
    return means, errors
