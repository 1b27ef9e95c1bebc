"""What racing saves and loses on recorded results, beside a search of all examples and one that makes as many calls."""

from __future__ import annotations

import numpy as np
from racing import RULES, best, race
from tables import Floats, Table

from paretune.stats import non_dominated
from paretune.stats.racing import Racing

DIRECTIONS = ("max", "min")


def winner_row(table: Table, n: int, runs: int) -> str:
    """A row: by racing rule, the share of the calls that is saved, how often a test drops the true winner, and the
    regret in points of the race's winner, of a search of all examples, and of one of as many examples as the race's
    calls pay for."""
    rng, truth = np.random.default_rng([n, table.size]), table.truth[:, 0]
    found: dict[Racing, list[tuple[float, ...]]] = {rule: [] for rule in RULES}
    everybody = list(range(table.size))
    for _ in range(runs):
        rewards = table.rewards[:, table.items(rng, n)]
        for rule in RULES:
            share, left, judged = race(rewards, None, rule)
            fewer = rewards[:, : max(1, round(share * n))]
            searches = ((rewards, left), (rewards, everybody), (fewer, everybody))
            regrets = (truth.max() - truth[best(*each)] for each in searches)
            found[rule].append((share, int(truth.argmax()) in judged, *regrets))
    cells = []
    for rows in found.values():
        calls, dropped, *regrets = np.mean(np.array(rows, np.float64), axis=0)
        cells.append(f"{1 - calls:.2f} | {dropped:.3f} | " + ", ".join(f"{100 * regret:.2f}" for regret in regrets))
    return f"| {table.name} ({table.size}), n = {n} | " + " | ".join(cells) + " |"


def frontier_row(table: Table, n: int, runs: int) -> str:
    """A row: by racing rule, what is saved, the share of the true frontier's members that a test drops, in how many
    races it drops one, and which share of the members is on the frontier that the race, a search of all examples, and
    one of as many calls measure."""
    rng, members = np.random.default_rng([n, table.size, 2]), non_dominated(table.truth, DIRECTIONS)
    found: dict[Racing, list[tuple[float, ...]]] = {rule: [] for rule in RULES}
    everybody = np.ones(table.size, dtype=np.bool_)
    for _ in range(runs):
        items = table.items(rng, n)
        rewards, costs = table.rewards[:, items], table.costs[:, items]
        for rule in RULES:
            share, left, judged = race(rewards, costs, rule)
            alive, fewer = np.isin(np.arange(table.size), left), max(1, round(share * n))
            recalls = (
                (_measured(rewards[:, :count], costs[:, :count], kept) & members).sum() / members.sum()
                for count, kept in ((n, alive), (n, everybody), (fewer, everybody))
            )
            lost = len(judged & set(np.flatnonzero(members)))
            found[rule].append((share, lost / members.sum(), lost > 0, *recalls))
    cells = []
    for rows in found.values():
        share, lost, any_lost, *recalls = np.mean(np.array(rows, np.float64), axis=0)
        shares = ", ".join(f"{recall:.2f}" for recall in recalls)
        cells.append(f"{1 - share:.2f} | {lost:.4f}, {any_lost:.2f} | {shares}")
    return f"| {table.name} ({table.size}, {members.sum()}), n = {n} | " + " | ".join(cells) + " |"


def _measured(rewards: Floats, costs: Floats, alive: np.ndarray) -> np.ndarray:
    """Who is on the frontier that was measured, of those that were not dropped."""
    points = np.stack([rewards.mean(axis=1), costs.mean(axis=1)], axis=1)
    return non_dominated(np.where(alive[:, None], points, np.nan), DIRECTIONS)
