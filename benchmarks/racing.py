"""What racing saves and what it loses: ``python benchmarks/racing.py [SEARCHES]``, by default 400 of each kind.

Simulated searches of 20 configurations whose answers to an example are alike (a latent correlation of 0.7): the share
of the calls that is saved, how often a test drops the truly best configuration (or a true member of the frontier), and
the regret: how many points the winner is truly worse than the best one. The full search stands beside it.
``recorded/run.py`` races real ones.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np

from paretune.stats import non_dominated
from paretune.stats.racing import ALPHA, Racing, drops, looks

K = 20
RULES: tuple[Racing, ...] = ("sound", "fast")
Array = np.ndarray[Any, np.dtype[np.float64]]


class Outcome(NamedTuple):
    """A race: the share of the calls that were made, who was not dropped, and whom a test has dropped (not only because
    it could not catch up: such a one is no full search's winner either)."""

    share: float
    left: list[int]
    judged: set[int]


def race(rewards: Array, costs: Array | None, racing: Racing, margin: float = 0.0) -> Outcome:
    """Race the m rows of ``rewards`` (m, n); with ``costs`` (m, n) for the frontier, else for the winner, and what is
    within ``margin`` of it."""
    alive, calls, n, before = list(range(len(rewards))), 0, rewards.shape[1], 0
    judged = set()
    for t in looks(n):
        calls += len(alive) * (t - before)
        before = t
        if t < n:
            spent = () if costs is None else costs[alive, None, :t]
            found = drops(rewards[alive, :t], spent, racing=racing, trials=len(rewards), n=n, margin=margin)
            judged |= {alive[drop.loser] for drop in found if drop.why != "cannot catch up"}
            gone = {drop.loser for drop in found}
            alive = [row for place, row in enumerate(alive) if place not in gone]
    return Outcome(calls / rewards.size, alive, judged)


def best(rewards: Array, left: list[int]) -> int:
    """The row with the best mean of those that are left."""
    return left[int(np.argmax(rewards[left].mean(axis=1)))]


def true_rewards(kind: str, rng: np.random.Generator) -> Array:
    """The rewards of K configurations."""
    if kind == "spread":
        return rng.uniform(0.45, 0.85, K)
    if kind == "near":
        return np.clip(rng.normal(0.78, 0.02, K), 0.01, 0.99)
    if kind == "gap":
        return np.array([0.85] + [0.75] * (K - 1))
    if kind == "high":
        return np.clip(rng.normal(0.955, 0.015, K), 0.5, 0.995)
    return np.full(K, 0.8)


def simulated(truth: Array, n: int, rng: np.random.Generator) -> Array:
    """Right (1) or wrong (0) answers of all configurations to n examples."""
    latent = np.sqrt(0.7) * rng.standard_normal(n) + np.sqrt(0.3) * rng.standard_normal((len(truth), n))
    thresholds = np.quantile(_NORMAL, truth)
    return (latent < thresholds[:, None]).astype(float)


_NORMAL = np.random.default_rng(0).standard_normal(2_000_000)


def simulations(searches: int) -> None:
    """Print the tables of simulated searches."""
    print(f"the winner, {searches} searches: saved | best dropped | regret in points (full search's regret)")
    for n in (200, 1000):
        for kind in ("spread", "near", "gap", "high", "equal"):
            rng = np.random.default_rng([n, len(kind)])
            found: dict[str, list[tuple[float, bool, float]]] = {rule: [] for rule in ("full", *RULES)}
            for _ in range(searches):
                truth = true_rewards(kind, rng)
                rewards = simulated(truth, n, rng)
                top = 0 if kind == "equal" else int(np.argmax(truth))  # of equals, a given one
                for rule in RULES:
                    share, left, judged = race(rewards, None, rule)
                    found[rule].append((1 - share, top in judged, truth.max() - truth[best(rewards, left)]))
                found["full"].append((0, False, truth.max() - truth[best(rewards, list(range(K)))]))
            print(f"{kind:>7} n={n:<5}" + "".join(_winner_cells(rule, found[rule]) for rule in found), flush=True)
            dropped = sum(row[1] for row in found["sound"])
            assert dropped <= ALPHA * searches, f"sound: the best of {dropped} searches was dropped"
            regrets = [100 * float(np.mean([row[2] for row in found[rule]])) for rule in ("full", "fast")]
            assert regrets[1] <= regrets[0] + 0.1, f"fast: a regret of {regrets[1]:.2f} points, not {regrets[0]:.2f}"
    print("the frontier (reward, cost): saved | members dropped | searches that lost one")
    for n in (200, 1000):
        for kind in ("spread", "near"):
            rng = np.random.default_rng([n, len(kind), 2])
            rows: dict[str, list[tuple[float, int, int]]] = {rule: [] for rule in RULES}
            for _ in range(searches):
                truth, price = true_rewards(kind, rng), np.exp(rng.uniform(0, np.log(30), K))
                rewards = simulated(truth, n, rng)
                costs = price[:, None] * rng.lognormal(-0.045, 0.3, (K, n)) * rng.lognormal(-0.045, 0.3, n)
                _record(rows, truth, price, rewards, costs)
            print(f"{kind:>7} n={n:<5}" + "".join(_frontier_cells(rule, rows[rule]) for rule in RULES), flush=True)


def _record(rows: dict[str, list[tuple[float, int, int]]], truth: Array, price: Array, *data: Array) -> None:
    members = np.flatnonzero(non_dominated(np.stack([truth, price], axis=1), ["max", "min"]))
    for rule in RULES:
        share, left, _ = race(*data, rule)
        rows[rule].append((1 - share, len(set(members) - set(left)), len(members)))


def _winner_cells(rule: str, rows: list[tuple[float, bool, float]]) -> str:
    saved, dropped, regret = np.mean(np.array(rows, float), axis=0)
    return f"  {rule} {saved:.2f} | {dropped:.3f} | {100 * regret:.2f}"


def _frontier_cells(rule: str, rows: list[tuple[float, int, int]]) -> str:
    saved, lost, members = np.array(rows, float).T
    return f"  {rule} {saved.mean():.2f} | {lost.sum() / members.sum():.4f} | {(lost > 0).mean():.3f}"


if __name__ == "__main__":
    simulations(int((*sys.argv[1:], "400")[0]))
