"""How often intervals hold the truth and probabilities come true: simulated, by the product's own functions.

    python benchmarks/coverage.py [--runs 40] [--seed 0]     (the tables in docs/benchmarks.md: --runs 300)

Each cell of the first table is the share of runs whose 95 % interval holds the true value, averaged over a grid of
truths; in brackets the lowest of the grid and the mean width. ``-``: too few examples for an interval as a rule.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simulated_searches import main as searches
from simulated_searches import rewards

from paretune import DataModel, metrics
from paretune.metrics.counts import statistics_of
from paretune.metrics.measures import mean_of_replicates
from paretune.metrics.metric import Metric, mean
from paretune.stats import Bootstrap, Interval, Measure, difference, intervals_of, newcombe, quantile_interval

SIZES = (20, 50, 140, 200, 1000)
SHARES = np.array([0.3, 0.28, 0.13, 0.12, 0.12, 0.05])  # of six classes among the gold labels
Floats = NDArray[np.float64]
#: A truth, and the intervals of so many runs of it.
Cell = tuple[float, Sequence[Interval]]
Simulation = Callable[[np.random.Generator, int, int], Iterator[Cell]]
#: By the true mean, how scores of a shape are drawn.
Judges = dict[float, Callable[[np.random.Generator, tuple[int, int]], Floats]]
SKEWED: Judges = {
    0.95: lambda rng, shape: rng.choice([1.0, 0.5], shape, p=[0.9, 0.1]),
    0.86: lambda rng, shape: rng.choice([0.9, 0.1], shape, p=[0.95, 0.05]),
    1 / 11: lambda rng, shape: rng.beta(0.1, 1.0, shape),
}
STEADY: Judges = {
    0.5: lambda rng, shape: rng.choice([0.4, 0.6], shape),
    0.7: lambda rng, shape: rng.normal(0.7, 0.05, shape),
}


class Emotions(DataModel):
    """One yes or no a class."""

    sadness: bool
    joy: bool
    love: bool
    anger: bool
    fear: bool
    surprise: bool


def ratio(amounts: Any, counts: Any = None, kind: Any = "mean") -> Measure:
    """An amount an example, or with counts an amount a call."""
    column = np.asarray(amounts, np.float64)
    return Measure("", "max", np.stack([column, np.ones_like(column) if counts is None else counts], 1), mean, kind)


def share(values: Any) -> Measure:
    """A reward."""
    return ratio(values, kind="share")


def gain(first: Measure, second: Measure) -> Interval:
    """The interval of a paired difference."""
    found = difference(first, second, Bootstrap(len(first.statistics)))
    return Interval(found.lo, found.hi)


def yes_or_no(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for p in (0.5, 0.65, 0.8, 0.9, 0.95):
        yield p, intervals_of([share(rng.random(n) < p) for _ in range(runs)], Bootstrap(n))


def three_replicates(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for p in (0.5, 0.8, 0.9):
        for sureness in (0.5, 4.0):  # how much of an answer the example decides
            chances = rng.beta(p * sureness, (1 - p) * sureness, (runs, n))
            found = [mean_of_replicates([[share(rng.random(n) < each)] for _ in range(3)])[0] for each in chances]
            yield p, intervals_of(found, Bootstrap(n))


def scores(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for p in (0.5, 0.8, 0.9):
        chances = rng.beta(2 * p, 2 * (1 - p), (runs, n))
        yield p, intervals_of([share(rng.binomial(5, each) / 5) for each in chances], Bootstrap(n))


def judged(judges: Judges) -> Simulation:
    def simulation(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
        for truth, draw in judges.items():
            yield truth, intervals_of([share(each) for each in draw(rng, (runs, n))], Bootstrap(n))

    return simulation


def judged_twice(judges: Judges) -> Simulation:
    def simulation(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
        for draw in judges.values():
            pairs = zip(draw(rng, (runs, n)), draw(rng, (runs, n)), strict=True)
            yield 0.0, [gain(share(one), share(other)) for one, other in pairs]

    return simulation


def paired_yes_or_no(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for high, low in ((0.55, 0.5), (0.8, 0.75), (0.9, 0.7), (0.95, 0.9)):
        found = (rewards(rng, np.array([high, low]), n) for _ in range(runs))
        yield high - low, [gain(share(one), share(other)) for one, other in found]


def paired_scores(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for high, low in ((0.55, 0.5), (0.8, 0.7), (0.9, 0.85)):
        chances = rng.beta(2 * high, 2 * (1 - high), (runs, n))
        yield (
            high - low,
            [gain(share(rng.binomial(5, each) / 5), share(rng.binomial(5, each * low / high) / 5)) for each in chances],
        )


def optimism(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for p, q in ((0.6, 0.55), (0.8, 0.8), (0.95, 0.9)):
        pairs = [(share(rng.random(n) < p), share(rng.random(n) < q)) for _ in range(runs)]
        ends = [intervals_of(pair, Bootstrap(n)) for pair in pairs]
        yield (
            p - q,
            [
                newcombe(one.value, first, other.value, second)
                for (one, other), (first, second) in zip(pairs, ends, strict=True)
            ],
        )


def cost(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for sigma in (0.3, 0.7, 1.0):
        yield (
            math.exp(sigma**2 / 2),
            intervals_of([ratio(rng.lognormal(0, sigma, n)) for _ in range(runs)], Bootstrap(n)),
        )


def tokens(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for more in (0.1, 0.5):  # share of examples with a second, longer call
        calls = 1 + (rng.random((runs, n)) < more)
        amounts = rng.gamma(4, 25, (runs, n)) + (calls - 1) * rng.gamma(2, 100, (runs, n))
        found = [ratio(each, count) for each, count in zip(amounts, calls, strict=True)]
        yield (100 + more * 200) / (1 + more), intervals_of(found, Bootstrap(n))


def quantile(which: float) -> Simulation:
    def simulation(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
        for sigma in (0.3, 1.0):
            truth = float(np.exp(sigma * {0.5: 0.0, 0.95: 1.6448536}[which]))
            yield truth, [quantile_interval(rng.lognormal(0, sigma, n), which) for _ in range(runs)]

    return simulation


def answers(rng: np.random.Generator, n: int, right: float, invalid: float) -> tuple[Any, Any]:
    """Gold and predicted classes of n examples as flags; wrong answers as common as the classes, some invalid."""
    gold, other = rng.choice(6, n, p=SHARES), rng.choice(6, n, p=SHARES)
    pred = np.where(rng.random(n) < right, gold, other)
    valid = rng.random((n, 1)) >= invalid
    return np.eye(6, dtype=bool)[gold], np.eye(6, dtype=bool)[pred] & valid


def several(rng: np.random.Generator, n: int, right: float, invalid: float) -> tuple[Any, Any]:
    """Independent yes or no for each class, of which several may be yes."""
    gold = rng.random((n, 6)) < SHARES
    pred = np.where(rng.random((n, 6)) < right, gold, rng.random((n, 6)) < SHARES)
    return gold, pred & (rng.random((n, 1)) >= invalid)


def classes(metric: Metric, draw: Callable[..., tuple[Any, Any]] = answers, invalid: float = 0.0) -> Simulation:
    """A score of classes; its true value is that of a million examples."""
    bound, truths = metric.bind(Emotions), dict[float, float]()

    def statistics(rng: np.random.Generator, n: int, right: float) -> Floats:
        gold, pred = draw(rng, n, right, invalid)
        return statistics_of(gold, pred)

    def simulation(rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
        for right in (0.5, 0.85, 0.94):
            if right not in truths:
                totals = statistics(np.random.default_rng(9), 1_000_000, right).sum(axis=0)
                truths[right] = float(bound.reduce(totals))
            rows = [statistics(rng, n, right) for _ in range(runs)]
            found = [Measure("", "max", each, bound.reduce, bound.kind, bound.pseudo_examples(each)) for each in rows]
            yield truths[right], intervals_of(found, Bootstrap(n))

    return simulation


F1 = metrics.BinaryF1Score
SIMULATIONS: dict[str, Simulation] = {
    "reward, yes or no": yes_or_no,
    "the same, 3 replicates": three_replicates,
    "a judge's scores": scores,
    "skewed scores": judged(SKEWED),
    "scores that hardly vary": judged(STEADY),
    "gain, yes or no": paired_yes_or_no,
    "gain, a judge's scores": paired_scores,
    "gain, skewed scores": judged_twice(SKEWED),
    "gain, scores that hardly vary": judged_twice(STEADY),
    "optimism": optimism,
    "macro F1, one label": classes(F1("macro")),
    "the same, 10 % invalid": classes(F1("macro"), invalid=0.1),
    "macro F1, several labels": classes(F1("macro"), several),
    "micro F1": classes(F1("micro")),
    "weighted F1": classes(F1("weighted")),
    "macro precision": classes(metrics.BinaryPrecision("macro")),
    "macro recall": classes(metrics.BinaryRecall("macro")),
    "cost, skewed": cost,
    "tokens a call": tokens,
    "median latency": quantile(0.5),
    "95th percentile latency": quantile(0.95),
}


def cell(found: Sequence[Cell]) -> str:
    """A table's cell; an interval that is not there, or has no end, is none."""
    shares, widths = [], []
    for truth, ends in found:
        known = np.array([each for each in ends if all(map(math.isfinite, each))])
        if len(known) < len(ends) / 2:
            return "-"
        shares.append(((known[:, 0] <= truth) & (truth <= known[:, 1])).mean())
        widths.append((known[:, 1] - known[:, 0]).mean())
    return f"{np.mean(shares):.3f} ({min(shares):.2f}, {np.mean(widths):.2f})".replace("0.", ".")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"Coverage of 95 % intervals, {arguments.runs} runs a truth (lowest of the truths, mean width):\n")
    print("| number | " + " | ".join(f"n = {n}" for n in SIZES) + " |")
    print("|---" * (len(SIZES) + 1) + "|")
    for name, simulation in SIMULATIONS.items():
        rng = np.random.default_rng(arguments.seed)
        cells = [cell(list(simulation(rng, n, arguments.runs))) for n in SIZES]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    searches(arguments.runs, arguments.seed)


if __name__ == "__main__":
    main()
