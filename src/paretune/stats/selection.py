"""What choosing the best does to its score, and which others could have been chosen."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paretune.errors import UsageError
from paretune.stats.formulas import checked_confidence, wilson
from paretune.stats.intervals import equivalent_n, intervals_of
from paretune.stats.measure import Array, Measure
from paretune.stats.pareto import rounded
from paretune.stats.resampling import BayesianBootstrap, Bootstrap

__all__ = ["BestSet", "Corrected", "Rule", "best_set", "confidence_at", "corrected_score"]

_PLAIN_LOOKS = 3
#: So many trials are compared with all others at a time, and so many values of trials in draws are held at a time.
_TOGETHER, _CELLS = 64, 4_000_000
#: A rule of choice under weights of the examples: (draws, n) -> (draws,) places of the trials chosen, -1 for none.
Rule = Callable[[NDArray[Any]], NDArray[np.intp]]


class Corrected(NamedTuple):
    """The winner's ``raw`` score, and its ``value`` corrected for having been chosen, with an interval."""

    raw: float
    value: float
    lo: float
    hi: float


def corrected_score(
    measures: Sequence[Measure], choose: Rule, bootstrap: Bootstrap, confidence: float = 0.95
) -> Corrected:
    """The winner's score as on examples that had no part in choosing it (BBC; Tsamardinos, Greasidou & Borboudakis,
    Mach. Learn. 107, 2018).

    ``measures`` has the score of each of t trials on the same n examples. In each resample ``choose`` chooses by the
    examples drawn, the chosen one is scored on those not drawn, and the scores are averaged; a draw in which nobody is
    chosen has no part. The interval is Wilson's for a share, else the winner's own, moved by the correction. Raise
    UsageError when nobody is chosen by all examples.
    """
    winner = int(choose(np.ones((1, bootstrap.n)))[0])
    if winner < 0:
        raise UsageError("the rule chooses no trial, so there is no score to correct")
    rows = max(1, _CELLS // len(measures))
    blocks = (block[start : start + rows] for block in bootstrap.blocks() for start in range(0, len(block), rows))
    scores = np.concatenate([_left_out(measures, choose(block), block) for block in blocks])
    defined = scores[~np.isnan(scores)]
    value = float(defined.mean()) if len(defined) else math.nan
    best = measures[winner]
    if best.kind == "share" and 0 <= value <= 1:
        n = equivalent_n(best)
        return Corrected(best.value, value, *wilson(value * n, n, confidence))
    (own,) = intervals_of([best], bootstrap, confidence)
    moved = value - best.value
    return Corrected(best.value, value, own.lo + moved, own.hi + moved)


def confidence_at(looks: int, confidence: float) -> float:
    """The confidence of a single interval by which the best of ``looks`` at a test split is covered with ``confidence``
    (Bonferroni). Up to three looks the plain one does: it covers 94 to 96 % (``benchmarks/coverage.py``)."""
    return confidence if looks <= _PLAIN_LOOKS else 1 - (1 - confidence) / looks


def _left_out(measures: Sequence[Measure], chosen: NDArray[np.intp], counts: NDArray[Any]) -> Array:
    """What the chosen trial of each draw scores on the examples that are not in it: (draws,)."""
    scores = np.full(len(chosen), np.nan)
    for trial in np.unique(chosen[chosen >= 0]):
        draws = np.flatnonzero(chosen == trial)
        left = (counts[draws] == 0).astype(np.float64)
        scores[draws] = measures[trial].reduced(left @ measures[trial].statistics)
    return scores


class BestSet(NamedTuple):
    """The trials that may be the best: ``kept`` (t,). ``z`` (t,) is how many standard errors each is behind the one
    that measured best, ``critical`` how many are too many."""

    kept: NDArray[np.bool_]
    z: Array
    critical: float


def best_set(measures: Sequence[Measure], bootstrap: BayesianBootstrap, confidence: float = 0.95) -> BestSet:
    """The confidence set of the best of t trials by one measure on the same n examples.

    It holds the best with probability ``confidence``, all of them where several are: where all trials are equal it is
    all of them, as a rule, and then no difference is shown. Each is compared in pairs with the one that measured best
    (of several the one that excludes it least). The critical value is the quantile of the largest such z over draws
    from which all differences are taken out, the best being chosen anew in each: max-z (Hsu, Multiple Comparisons,
    1996, ch. 4), with the range of the trials for the choice. The variance of a difference has 1/(n + 2)^2 added, as
    Agresti and Min's has, so that a few examples on which all agree show nothing. Trials without a value are not kept.
    """
    checked_confidence(confidence)
    values = np.array([measure.value for measure in measures])
    known = np.flatnonzero(~np.isnan(values)).tolist()
    z, kept = np.full(len(values), np.nan), np.zeros(len(values), dtype=np.bool_)
    if not len(known):
        return BestSet(kept, z, math.nan)
    sign = 1.0 if measures[known[0]].direction == "max" else -1.0
    noise = sign * np.stack(list(bootstrap.values([measures[place] for place in known])), axis=1)
    noise -= noise.mean(axis=0)
    variances = (noise**2).sum(axis=0) / (len(noise) - 1)

    def errors(places: NDArray[np.intp]) -> Iterator[tuple[np.intp, Array]]:
        """For each of some trials, the standard errors of its differences to all: never all pairs at once."""
        for start in range(0, len(places), _TOGETHER):
            some = places[start : start + _TOGETHER]
            spread = noise[:, some].T @ noise / (len(noise) - 1)
            squares = np.maximum(variances[some, None] + variances - 2 * spread, 0.0)
            yield from zip(some, np.sqrt(squares + (bootstrap.n + 2) ** -2), strict=True)

    scores = rounded(sign * values[known])
    gaps = scores.max() - scores
    z[known] = functools.reduce(np.minimum, (gaps / error for _, error in errors(np.flatnonzero(gaps == 0))))
    leaders, tops = noise.argmax(axis=1), noise.max(axis=1)
    largest = np.zeros(len(noise))
    for leader, error in errors(np.unique(leaders)):
        led = np.flatnonzero(leaders == leader)
        largest[led] = ((tops[led, None] - noise[led]) / error).max(axis=1)
    critical = float(np.quantile(largest, confidence))
    kept[known] = z[known] <= critical
    return BestSet(kept, z, critical)
