"""How long the report of a large search takes: 500 made-up trials of 140 examples, with a reward and three F1 scores.

    python benchmarks/report.py [--trials 500] [--examples 140]

Prints the seconds of the report and of its parts, and how many times longer the same intervals take one by one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from paretune import metrics
from paretune.metrics.metric import Metric
from paretune.metrics.outcome import Outcome
from paretune.pipeline.scoring import measures_of_trial
from paretune.reporting.report import report
from paretune.schemas.data_model import DataModel
from paretune.stats import Bootstrap, intervals_of
from paretune.trials.goals import as_goals
from paretune.trials.record import ReplicateRecord, TrialRecord, finite
from paretune.trials.rules import Rule
from paretune.trials.winner import Best

EMOTIONS = ("sadness", "joy", "love", "anger", "fear", "surprise")
ONE_BY_ONE = 20  # trials whose intervals are also computed one by one
GOALS = as_goals(["val_reward", "val_tokens_per_request"])


class Flags(DataModel):
    """One yes or no for each emotion."""

    sadness: bool
    joy: bool
    love: bool
    anger: bool
    fear: bool
    surprise: bool


def flags(chosen: int) -> Flags:
    """The record in which one emotion is meant."""
    return Flags(**{emotion: place == chosen for place, emotion in enumerate(EMOTIONS)})


def scoring() -> list[Metric]:
    """A handful of metrics, bound to the data model."""
    kinds = [
        metrics.BinaryF1Score("macro", name="f1"),
        metrics.BinaryF1Score("micro", name="micro_f1"),
        metrics.BinaryF1Score("weighted", name="weighted_f1"),
    ]
    return [kind.bind(Flags) for kind in kinds]


def made_up(rng: np.random.Generator, number: int, truth: np.ndarray, bound: list[Metric]) -> TrialRecord:
    """A completed trial that is right as often as its number of tokens suggests."""
    skill, tokens = rng.uniform(0.2, 0.9), rng.uniform(100, 600)
    answers = np.where(rng.random(len(truth)) < skill, truth, rng.integers(0, len(EMOTIONS), len(truth)))
    examples = tuple(
        Outcome(
            "ok", flags(answer).get_json(), float(answer == true), 1, int(tokens * rng.uniform(0.9, 1.1)), 9, 1e-5, 0.1
        )
        for answer, true in zip(answers.tolist(), truth.tolist(), strict=True)
    )
    replicate = ReplicateRecord({}, 0, {}, examples)
    bare = TrialRecord(f"{number:04d}", "COMPLETED", {"skill": skill}, n=len(truth), replicates=(replicate,))
    found = measures_of_trial(bare, [flags(true) for true in truth.tolist()], bound)
    return TrialRecord(
        bare.trial,
        "COMPLETED",
        {"skill": float(skill), "words": number},
        finite({f"val_{measure.name}": measure.value for measure in found}),
        calls=len(truth),
        n=len(truth),
        replicates=(replicate,),
        score=0.0,
    )


@contextmanager
def timed(what: str, seconds: dict[str, float]) -> Iterator[None]:
    """Note the seconds of a block."""
    started = time.perf_counter()
    yield
    seconds[what] = time.perf_counter() - started


def main() -> None:
    """Make the trials up, report them, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--examples", type=int, default=140)
    arguments = parser.parse_args()
    rng, bound, seconds = np.random.default_rng(0), scoring(), dict[str, float]()
    truth = rng.integers(0, len(EMOTIONS), arguments.examples)
    gold = [flags(true) for true in truth.tolist()]
    records = [made_up(rng, number, truth, bound) for number in range(1, arguments.trials + 1)]
    with timed("measures", seconds):
        measures = {record.trial: measures_of_trial(record, gold, bound) for record in records}
    every = [measure for found in measures.values() for measure in found]
    with timed("intervals", seconds):
        intervals_of(every, Bootstrap(arguments.examples))
    with timed("one by one", seconds):
        bootstrap = Bootstrap(arguments.examples)
        some = every[: ONE_BY_ONE * len(measures[records[0].trial])]
        for measure in some:
            intervals_of([measure], bootstrap)
    with tempfile.TemporaryDirectory() as folder, timed("report", seconds):
        report(records, measures, Best.of(records, GOALS, Rule()), folder)
    whole = seconds["measures"] + seconds["report"]
    alone = seconds["one by one"] * len(every) / len(some)
    print(f"{len(records)} trials of {arguments.examples} examples, {len(every)} intervals: {whole:.2f} s, of which")
    print(f"  measures of the recorded examples  {seconds['measures']:.2f} s")
    print(f"  intervals                          {seconds['intervals']:.2f} s ({seconds['intervals'] / whole:.0%})")
    print(f"  frontier, table and picture        {seconds['report'] - seconds['intervals']:.2f} s")
    print(f"one by one the intervals take {alone / seconds['intervals']:.1f} times as long")


if __name__ == "__main__":
    main()
