"""Racing: which trials need no more examples, because another one has already beaten them on the same ones.

Everything is paired: rewards (from 0 to 1) and costs of several trials on the same examples, in one random order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALPHA", "Drop", "Racing", "drops", "log_evidence", "looks"]

#: ``sound``: the best trial is dropped with a probability of at most ALPHA; ``fast``: dropped a little too often, for
#: nearly no loss in what the best one is worth.
Racing = Literal["sound", "fast"]

ALPHA = 0.05
#: So many examples come before the first look, and so many shared ones before anything but exact tests is believed.
_FIRST = 20
#: The fast rule's limits for the paired z of the reward, and of each cost.
_Z_REWARD, _Z_COST = 2.5, 2.0
#: What the confidence sequence of costs is tuned by: it is narrowest after some 100 to 300 examples.
_RHO = 0.15
#: Gauss-Legendre: exact for the sign test up to 127 examples on which two trials differ.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_BETS, _LOG_WEIGHTS = (_NODES + 1) / 2, np.log(_WEIGHTS / 2)
#: Factors that are multiplied before a logarithm is taken: the smallest product is far from underflow.
_BLOCK = 64

_Array = NDArray[np.float64]


class Drop(NamedTuple):
    """Trial ``loser`` needs no more examples because of trial ``rival`` (rows of what ``drops`` was given)."""

    loser: int
    rival: int
    why: str


def looks(n: int) -> list[int]:
    """After how many of n examples a race is looked at: rounds of max(20, n/20), the last of which ends at n."""
    size = max(_FIRST, math.ceil(n / _FIRST))
    return [*range(size, n, size), n]


def log_evidence(differences: Any, margin: float = 0.0) -> _Array:
    """The logarithm of the e-value against "the mean difference is at most ``margin``": shape (..., t) -> (...).

    ``differences`` (first reward minus second, from -1 to 1) are those of t examples in random order; NaN counts as no
    example. The e-value is the mean over bets b, uniform in [0, 1/(1 + margin)], of the product of
    ``1 + b (difference - margin)``: what a gambler has who starts with 1. If the mean is at most ``margin``, it
    *ever* reaches 1/a with a probability of at most a, however often it is looked at (Ville, 1939; Waudby-Smith &
    Ramdas, JRSS B, 2024). For yes/no rewards with b examples for the first and c for the second it is the sequential
    sign test, ``2**(b+c+1) B(b+1, c+1) P(Beta(b+1, c+1) > 1/2)``.
    """
    values = np.asarray(differences, dtype=np.float64)
    excess, bets = np.where(np.isnan(values), 0.0, values - margin), _BETS / (1 + margin)
    if np.isin(values, (-1.0, 0.0, 1.0)).all(where=~np.isnan(values)):
        counts = np.stack([(values == step).sum(axis=-1) for step in (-1, 0, 1)], axis=-1)
        logs = counts @ np.log1p(np.multiply.outer([-1 - margin, -margin, 1 - margin], bets))
    else:
        logs = np.zeros((*values.shape[:-1], len(bets)))
        for start in range(0, values.shape[-1], _BLOCK):
            factors = 1 + excess[..., start : start + _BLOCK, None] * bets
            logs += np.log(factors.prod(axis=-2))
    return np.asarray(np.logaddexp.reduce(logs + _LOG_WEIGHTS, axis=-1))


def drops(
    rewards: Any,
    costs: Any = (),
    *,
    racing: Racing,
    trials: int,
    n: int,
    alive: Sequence[bool] | None = None,
    margin: float = 0.0,
) -> list[Drop]:
    """Who of some trials is beaten, by whom, and why; by the examples that have been run.

    ``rewards`` has shape (m, t): t of n examples in the shared order, NaN where one was not scored. Of the m trials
    those that are not ``alive`` are only rivals. ``trials`` is how many a search may have in all: the best one of them
    has so many rivals, less one, and ``sound`` drops it with a probability of at most ALPHA.

    Without ``costs`` a trial goes when a rival's reward is shown to be better by more than ``margin``. With costs, of
    shape (m, c, t), a trial goes when one and the same rival is shown to be better in the reward and cheaper in each
    of the c costs: so goes nothing that belongs on the frontier.
    Shown is, by ``sound``, what an e-value (reward) or an asymptotic confidence sequence (costs; Waudby-Smith et al.,
    Annals of Statistics, 2024) says at the level ALPHA / (trials - 1); by ``fast``, a paired z above 2.5 (costs: 2),
    without costs against the leader alone; and always, a reward that cannot be caught up with.
    """
    every = np.asarray(rewards, dtype=np.float64)
    spent = np.asarray(costs, dtype=np.float64).reshape(len(every), -1, every.shape[1])
    level = ALPHA / max(1, trials - 1)
    means = np.nan_to_num(_ratio(np.nansum(every, axis=1), _count(every)), nan=-1.0)
    leader = int(np.argmax(means))
    found = []
    for loser in range(len(every)):
        if loser == leader or not (alive is None or alive[loser]):  # failed examples alone could beat the leader
            continue
        differences = every - every[loser]
        evidence = log_evidence(differences, margin) if racing == "sound" else _z(differences, margin)
        limit = -math.log(level) if racing == "sound" else _Z_REWARD
        decided = _ahead_for_good(every, loser, n, margin)
        shown = (evidence >= limit) if racing == "sound" else (evidence > limit)
        if racing == "fast" and not spent.shape[1]:
            shown &= np.arange(len(every)) == leader
        cheaper = _cheaper(spent[loser][None] - spent, racing, level).all(axis=1)
        rivals = (shown | decided) & cheaper
        if rivals.any():
            rival = int(np.argmax(np.where(rivals, np.where(decided, np.inf, evidence), -np.inf)))
            found.append(Drop(loser, rival, _why(racing, float(evidence[rival]), limit, bool(decided[rival]))))
    return found


def _z(differences: _Array, margin: float = 0.0) -> _Array:
    """The paired z of differences (..., t); -inf for too few examples."""
    count = _count(differences)
    mean, deviation = _moments(differences)
    excess = mean - margin
    z = np.where(deviation > 0, _ratio(excess * np.sqrt(count), deviation), np.where(excess > 0, np.inf, -np.inf))
    return np.where(count >= _FIRST, z, -np.inf)


def _cheaper(savings: _Array, racing: Racing, level: float) -> NDArray[np.bool_]:
    """Whether savings (..., t), the loser's costs less the rival's, are shown to be above 0 on average."""
    if racing == "fast":
        return np.asarray(_z(savings) > _Z_COST)
    count, (mean, deviation) = _count(savings), _moments(savings)
    scaled = count * _RHO**2 + 1
    radius = np.sqrt(_ratio(2 * scaled, (count * _RHO) ** 2) * np.log1p(np.sqrt(scaled) / (2 * level)))
    return np.asarray((count >= _FIRST) & (mean > deviation * radius))


def _ahead_for_good(every: _Array, loser: int, n: int, margin: float) -> NDArray[np.bool_]:
    """Whose mean stays above the loser's by more than the margin even if it fails, and the loser succeeds, in all the
    examples left (each may also not be scored, which changes the other's chances for the better only)."""
    left, counts, sums = n - every.shape[1], _count(every), np.nansum(every, axis=1)
    most = (sums[loser] + left) / max(1, counts[loser] + left)
    return np.asarray(_ratio(sums, counts + left) > most + margin + 1e-9)


def _why(racing: Racing, evidence: float, limit: float, decided: bool) -> str:
    if decided:
        return "cannot catch up"
    if racing == "fast":
        return f"paired z {evidence:.2f} > {limit:g}"
    return f"e-value {math.exp(min(evidence, 600.0)):.3g} >= {math.exp(limit):.3g}"


def _count(values: _Array) -> _Array:
    return np.asarray((~np.isnan(values)).sum(axis=-1), dtype=np.float64)


def _moments(values: _Array) -> tuple[_Array, _Array]:
    """Mean and standard deviation of what is there; exactly 0 where all values are equal."""
    count = _count(values)
    mean = _ratio(np.nansum(values, axis=-1), count)
    deviation = np.sqrt(_ratio(np.nansum((values - mean[..., None]) ** 2, axis=-1), count))
    first = np.where(np.isnan(values), np.inf, values).min(axis=-1, initial=np.inf)
    last = np.where(np.isnan(values), -np.inf, values).max(axis=-1, initial=-np.inf)
    return mean, np.where(first == last, 0.0, deviation)


def _ratio(numerator: Any, denominator: Any) -> _Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.divide(numerator, denominator), dtype=np.float64)
