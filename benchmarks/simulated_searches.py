"""Simulated searches with known truths: frontier probabilities, hypervolumes, corrected winners, sets of the best.

Whether a configuration answers an example rightly depends on a difficulty that all of them share (a Gaussian copula
with a latent correlation of .7); what an example costs depends on a length that they share.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from paretune.metrics.metric import mean
from paretune.stats import (
    Axis,
    BayesianBootstrap,
    Bootstrap,
    Measure,
    best_set,
    confidence_at,
    corrected_score,
    frontier_probability,
    hypervolume_of,
    non_dominated,
    scaled_volume,
    settled,
    weighted_values,
    wilson,
)

Floats = NDArray[np.float64]
DIRECTIONS = ("max", "min")
AXES = (Axis(0.0, 1.0), Axis(1000.0, 1.0, log=True))
RESAMPLES = 500
BINS = (0, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 1.0001)


def rewards(rng: np.random.Generator, shares: Floats, n: int, shared: float = 0.7) -> Floats:
    """Right (1) or wrong (0) answers of some configurations to n examples, (k, n)."""
    hard = math.sqrt(shared) * rng.normal(size=n) + math.sqrt(1 - shared) * rng.normal(size=(len(shares), n))
    return (hard < norm.ppf(shares)[:, None]).astype(np.float64)


class Search(NamedTuple):
    """The measures of each trial's reward and cost, and their true values, (k, 2)."""

    measures: list[list[Measure]]
    truth: Floats

    @property
    def points(self) -> Floats:
        """What was measured, (k, 2)."""
        return np.array([[each.value for each in trial] for trial in self.measures])

    @property
    def n(self) -> int:
        """How many examples were measured."""
        return len(self.measures[0][0].statistics)

    @classmethod
    def of(cls, rights: Floats, amounts: Floats, truth: Floats) -> Search:
        """The search in which each trial had these rewards and costs, (k, n)."""
        ones, pairs = np.ones(rights.shape[1]), zip(rights, amounts, strict=True)
        measures = [
            [
                Measure("reward", "max", np.stack([right, ones], 1), mean, "share"),
                Measure("cost", "min", np.stack([amount, ones], 1), mean, "mean"),
            ]
            for right, amount in pairs
        ]
        return cls(measures, truth)


def search(rng: np.random.Generator, kind: str, k: int, n: int) -> Search:
    """Configurations that differ (``spread``), hardly do (``near``), or not at all (``equal``)."""
    shares = {
        "spread": lambda: rng.uniform(0.45, 0.85, k),
        "near": lambda: np.clip(rng.normal(0.78, 0.02, k), 0.5, 0.95),
        "equal": lambda: np.full(k, 0.8),
    }[kind]()
    # the better ones tend to be dearer, so that there is a frontier
    costs = 30 * np.exp(rng.normal(0, 0.5, k) + (shares - shares.mean()) / (shares.std() or 1.0) * 0.5)
    amounts = costs[:, None] * rng.gamma(4, 0.25, n) * rng.gamma(25, 0.04, (k, n))
    return Search.of(rewards(rng, shares, n), amounts, np.stack([shares, costs], axis=1))


def frontier_row(label: str, searches: Iterable[Search], axes: Sequence[Axis] = AXES) -> str:
    """A row: of the trials given a probability, how many truly are on the frontier; the hypervolume's interval."""
    chances, flags, truths, volumes, wrong, verdicts = [], [], [], [], [], []
    for run, found in enumerate(searches):
        draws = BayesianBootstrap(found.n, resamples=RESAMPLES, seed=run).draws(found.measures)
        chance = frontier_probability(draws, DIRECTIONS)
        flag, truth = non_dominated(found.points, DIRECTIONS), non_dominated(found.truth, DIRECTIONS)
        volume, true_volume = hypervolume_of(found.points, axes, draws), scaled_volume(found.truth, axes)
        volumes.append(
            (volume.lo <= true_volume <= volume.hi, volume.value - true_volume, volume.plug_in - true_volume)
        )
        chances.append(chance)
        flags.append(flag)
        truths.append(truth)
        verdict = settled(flag, chance)
        wrong.append((verdict.wrong, (flag != truth).sum(), truth.sum()))
        verdicts.append(verdict.settled)
    said, true = np.concatenate(chances), np.concatenate(truths)
    cells = []
    for low, high in itertools.pairwise(BINS):
        inside = (said >= low) & (said < high)
        cells.append(f"{true[inside].mean():.2f} ({said[inside].mean():.2f})" if inside.sum() >= 20 else "-")
    covered, bias, raw = np.mean(volumes, axis=0)
    expected, real, size = np.mean(wrong, axis=0)
    cells += [
        f"{((said - true) ** 2).mean():.3f}",
        f"{covered:.2f}, {bias:+.3f} ({raw:+.3f})",
        f"{expected:.1f}, {real:.1f} of {size:.1f}",
        f"{np.mean(verdicts):.2f}",
    ]
    return f"| {label} | " + " | ".join(cells) + " |"


def winner_row(label: str, searches: Iterable[Search]) -> str:
    """A row: bias and coverage of the winner's score, raw and corrected; the set of the best."""
    raw, corrected, covered, plain, kept, sizes, nobody = [], [], [], [], [], [], []
    for run, found in enumerate(searches):
        n, measures = found.n, [trial[0] for trial in found.measures]
        winner = int(np.argmax([each.value for each in measures]))
        truth = found.truth[winner, 0]

        def choose(weights: Any, measures: list[Measure] = measures) -> Any:
            return weighted_values(measures, weights).argmax(axis=1)

        score = corrected_score(measures, choose, Bootstrap(n, resamples=RESAMPLES, seed=run))
        raw.append(score.raw - truth)
        corrected.append(score.value - truth)
        covered.append(score.lo <= truth <= score.hi)
        half = 1.96 * math.sqrt(score.raw * (1 - score.raw) / n)
        plain.append(abs(score.raw - truth) <= half)
        best = best_set(measures, BayesianBootstrap(n, resamples=RESAMPLES, seed=run))
        kept.append(best.kept[found.truth[:, 0].argmax()])
        sizes.append(best.kept.sum())
        nobody.append(best.kept.all())
    cells = [
        f"{100 * np.mean(raw):+.1f}",
        f"{np.mean(plain):.2f}",
        f"{100 * np.mean(corrected):+.1f}",
        f"{np.mean(covered):.2f}",
        f"{np.mean(kept):.2f}",
        f"{np.mean(sizes):.1f}",
        f"{np.mean(nobody):.2f}",
    ]
    return f"| {label} | " + " | ".join(cells) + " |"


def looks(rng: np.random.Generator, k: int, n: int, runs: int) -> str:
    """A row: the best of k equal configurations on a test split, its optimism and coverage."""
    optimism, plain, strict = [], [], []
    for _ in range(runs):
        right = int(rewards(rng, np.full(k, 0.8), n).sum(axis=1).max())
        ends = [wilson(right, n, level) for level in (0.95, confidence_at(k, 0.95))]
        optimism.append(right / n - 0.8)
        for covered, (lo, hi) in zip((plain, strict), ends, strict=True):
            covered.append(lo <= 0.8 <= hi)
    return f"| {k} | {100 * np.mean(optimism):+.1f} | {np.mean(plain):.2f} | {np.mean(strict):.2f} |"


def frontier_heading() -> str:
    """The heading of the table of ``frontier_row``."""
    bins = [f"{low:g}-{min(high, 1):g}" for low, high in itertools.pairwise(BINS)]
    headings = ["search", *bins, "Brier", "hypervolume", "wrong", "settled"]
    return f"| {' | '.join(headings)} |\n" + "|---" * len(headings) + "|"


def winner_heading() -> str:
    """The heading of the table of ``winner_row``."""
    first = "| search | raw bias | plain interval | corrected | its interval | best kept | size | no difference shown |"
    return first + "\n" + "|---" * 8 + "|"


def main(runs: int, seed: int) -> None:
    """Print the tables."""
    rng = np.random.default_rng(seed)

    def simulated(kind: str, k: int, n: int) -> tuple[str, Iterator[Search]]:
        return f"{kind}, {k} trials, n = {n}", (search(rng, kind, k, n) for _ in range(runs))

    print(f"\nOf trials given a probability of the frontier, the share truly on it (mean given), {runs} searches;")
    print("hypervolume: coverage, bias (of the measured one); expected and real number of wrong trials; settled:\n")
    print(frontier_heading())
    for kind, k, n in (
        ("spread", 8, 140), ("spread", 20, 50), ("spread", 20, 200), ("spread", 20, 1000), ("near", 20, 200),
        ("near", 57, 200),
    ):  # fmt: skip
        print(frontier_row(*simulated(kind, k, n)), flush=True)
    print("\nThe winner by reward: bias in points and coverage, raw and corrected; the set of the best:\n")
    print(winner_heading())
    for kind, k, n in (
        ("equal", 8, 140), ("spread", 8, 140), ("equal", 20, 50), ("spread", 20, 50), ("equal", 20, 200),
        ("near", 20, 200), ("spread", 20, 200),
    ):  # fmt: skip
        print(winner_row(*simulated(kind, k, n)), flush=True)
    print(f"\nThe best of so many looks at a test split of 200, {20 * runs} runs: optimism in points, coverage:\n")
    print("| looks | optimism | plain interval | that of the report |")
    print("|---" * 4 + "|")
    for k in (1, 2, 3, 4, 5, 10, 20):
        print(looks(rng, k, 200, 20 * runs), flush=True)
