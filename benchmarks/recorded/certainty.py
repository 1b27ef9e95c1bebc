"""How often intervals hold the truth, and probabilities come true, on recorded results.

The truth is what a whole table says; a search sees n items, drawn with replacement.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from coverage import Cell, cell, gain, ratio, share
from numpy.typing import NDArray
from simulated_searches import RESAMPLES, Search
from tables import Floats, Table

from paretune.stats import Axis, Bootstrap, corrected_score, intervals_of
from paretune.trials.goals import Goals, Objective
from paretune.trials.rules import Rule, Standings, pick

SIZES = (20, 50, 200, 500)
AXES = {
    "tokens": (Axis(0.0, 1.0), Axis(1000.0, 10.0, log=True)),
    "parameters": (Axis(0.0, 1.0), Axis(1000.0, 1.0, log=True)),
}
Simulation = Callable[[Table, np.random.Generator, int, int], Iterator[Cell]]
#: How many pairs of configurations are compared of each table.
_PAIRS = 30


def alike(table: Table) -> str:
    """A row: what a table is, and how alike the answers of any two configurations to an item are."""
    with np.errstate(invalid="ignore"):  # answers that are all worth the same
        rewards, correlations = table.truth[:, 0], np.corrcoef(table.rewards)
    pairs = correlations[np.triu_indices(table.size, 1)]
    near = [correlations[one, other] for one, other in itertools.pairwise(np.argsort(rewards))]
    costs = table.priced.truth[:, 1] if table.priced else None
    cost = "-" if costs is None else f"{costs.min():.0f} to {costs.max():.0f} {table.unit} ({len(costs)})"
    return (
        f"| {table.name} | {table.size} x {table.rewards.shape[1]:,} | {rewards.min():.2f} to {rewards.max():.2f} "
        f"| {cost} | {np.nanmean(pairs):.2f} ({np.nanquantile(pairs, 0.1):.2f} to {np.nanquantile(pairs, 0.9):.2f}) "
        f"| {np.nanmean(near):.2f} |"
    )


def coverage_row(label: str, table: Table, kind: str, runs: int) -> str:
    """A row: the share of intervals that hold the whole table's value, (the lowest of a configuration, mean width)."""
    cells = []
    for n in SIZES:
        rng = np.random.default_rng([n, table.size])
        cells.append(cell(list(KINDS[kind](table, rng, n, runs))))
    return f"| {label} | " + " | ".join(cells) + " |"


def _rewards(table: Table, rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for row, truth in zip(table.rewards, table.truth[:, 0], strict=True):
        yield truth, intervals_of([share(row[table.items(rng, n)]) for _ in range(runs)], Bootstrap(n))


def _gains(table: Table, rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for _ in range(_PAIRS):
        pair = rng.choice(table.size, 2, replace=False)
        drawn = (table.rewards[pair][:, table.items(rng, n)] for _ in range(runs))
        yield (
            table.truth[pair[0], 0] - table.truth[pair[1], 0],
            [gain(share(one), share(other)) for one, other in drawn],
        )


def _costs(table: Table, rng: np.random.Generator, n: int, runs: int) -> Iterator[Cell]:
    for row in table.costs / table.truth[:, 1:]:
        yield 1.0, intervals_of([ratio(row[table.items(rng, n)]) for _ in range(runs)], Bootstrap(n))


KINDS: dict[str, Simulation] = {
    "reward": _rewards,
    "gain": _gains,
    "mean length": _costs,
}


RULES = {
    "best reward": Rule("constraint"),
    "epsilon .02": Rule("epsilon"),
    "one standard error": Rule("one_standard_error"),
}
GOALS = Goals((Objective("val_reward"), Objective("val_tokens_per_request")))


def rule_row(label: str, searches: Iterator[Search]) -> str:
    """A row: by rule, the regret in points, the true cost of the winner against that of the best, in how many searches
    it is more than two points worse than the best, and the bias and coverage of its corrected score."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in RULES}
    for run, search in enumerate(searches):
        values = np.array([[each.example_values for each in trial] for trial in search.measures])
        measures = [trial[0] for trial in search.measures]
        true, costs = search.truth.T
        for name, rule in RULES.items():

            def choose(weights: Any, rule: Rule = rule, values: Floats = values) -> NDArray[np.intp]:
                means = np.einsum("dn,tmn->mdt", weights, values) / weights.sum(axis=1)[:, None]
                metrics = {"val_reward": means[0], "val_tokens_per_request": means[1]}
                return pick(rule, GOALS, Standings(metrics, values[:, 0], weights)).winners

            score = corrected_score(measures, choose, Bootstrap(search.n, resamples=RESAMPLES, seed=run))
            winner = int(choose(np.ones((1, search.n)))[0])
            regret = true.max() - true[winner]
            found[name].append(
                (regret, costs[winner] / costs[true.argmax()], regret > 0.02 + 1e-9, score.raw - true[winner],
                 score.value - true[winner], score.lo <= true[winner] <= score.hi)
            )  # fmt: skip
    cells = []
    for rows in found.values():
        regret, cost, far, raw, bias, held = np.mean(np.array(rows, np.float64), axis=0)
        cells.append(f"{100 * regret:.1f}, {far:.2f}, {cost:.2f} | {100 * raw:+.1f}, {100 * bias:+.1f}, {held:.2f}")
    return f"| {label} | " + " | ".join(cells) + " |"
