"""What a judge's scores are worth: how much it wavers, how far it agrees with people, and a mean corrected by them.

Scores are numbers from 0 to 1; they may all be 0 or 1 (yes or no). ``judge`` and ``human`` are the scores of the same
answers, in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from paretune.errors import UsageError
from paretune.stats.formulas import Interval, agresti_min, checked_confidence, normal_quantile, wilson
from paretune.stats.measure import Array

__all__ = ["Agreement", "CorrectedMean", "VarianceSplit", "agreement", "bias", "corrected_mean", "variance_split"]

#: Differences are told apart by so many digits: .6 - .5 and .5 - .4 are alike.
_DIGITS = 10


class VarianceSplit(NamedTuple):
    """The variance of repeated scores: between examples, within an example (the judge's own), and how many scores an
    example has (a mean of sorts where these numbers differ). A variance that cannot be known is NaN."""

    examples: float
    judge: float
    judgements: float

    @property
    def judge_share(self) -> float:
        """The judge's share, from 0 to 1, of the variance of an example's mean score: what asking more often can save.
        NaN where nothing varies, or nothing is known."""
        own = self.judge / self.judgements
        total = max(self.examples, 0.0) + own
        return own / total if total else math.nan


class Agreement(NamedTuple):
    """How far two raters of n answers agree; NaN for what does not apply, or is not defined.

    Where both say yes or no: the share of equal scores with its interval, and Cohen's kappa (the agreement beyond
    chance; NaN where both always say the same). Else: Pearson's correlation (NaN where one never varies). The mean
    absolute difference exists for both.
    """

    n: int
    share: float
    interval: Interval
    kappa: float
    correlation: float
    absolute_difference: float


class CorrectedMean(NamedTuple):
    """A mean with its interval; NaN where nothing can be said."""

    value: float
    interval: Interval


def variance_split(scores: Sequence[Sequence[float]]) -> VarianceSplit:
    """Split the variance of repeated scores, one sequence an example, by the moments of a one-way random model.

    The unbiased estimators of the analysis of variance (Searle, Casella & McCulloch, Variance Components, 1992, ch. 3):
    ``judge`` is the mean square within examples, ``examples`` is what that between them exceeds it by, over the scores
    an example; it is below zero now and then where there is little to find.
    """
    groups = [np.asarray(each, dtype=np.float64) for each in scores if len(each)]
    sizes = np.array([len(each) for each in groups], dtype=np.float64)
    total, count = float(sizes.sum()), len(groups)
    if not count:
        return VarianceSplit(math.nan, math.nan, math.nan)
    means = np.array([each.mean() for each in groups])
    squares = math.fsum(float(((each - each.mean()) ** 2).sum()) for each in groups)
    judge = squares / (total - count) if total > count else math.nan
    if count == 1:
        return VarianceSplit(math.nan, judge, total)
    judgements = (total - float((sizes**2).sum()) / total) / (count - 1)
    grand = float((sizes * means).sum()) / total
    between = float((sizes * (means - grand) ** 2).sum()) / (count - 1)
    return VarianceSplit((between - judge) / judgements, judge, judgements)


def agreement(judge: ArrayLike, human: ArrayLike, confidence: float = 0.95) -> Agreement:
    """How far the scores of a judge agree with those of people (kappa: Cohen, Educ. Psychol. Meas. 20, 1960)."""
    first, second = _pair(judge, human)
    n = len(first)
    share = kappa = correlation = math.nan
    interval = Interval(math.nan, math.nan)
    if n and _yes_or_no(first, second):
        equal = int((first == second).sum())
        share, interval = equal / n, wilson(equal, n, confidence)
        chance = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
        kappa = (share - chance) / (1 - chance) if chance < 1 else math.nan
    elif n and np.ptp(first) > 0 and np.ptp(second) > 0:
        correlation = float(np.corrcoef(first, second)[0, 1])
    difference = float(np.abs(first - second).mean()) if n else math.nan
    return Agreement(n, share, interval, float(kappa), correlation, difference)


def bias(judge: ArrayLike, human: ArrayLike, confidence: float = 0.95) -> CorrectedMean:
    """How much higher the judge scores than people do, in the mean.

    The interval is Student's for the paired differences, and Agresti and Min's for yes and no (Stat. Med. 24, 2005).
    There is none for a single answer, nor where all differences are equal and are not those of yes and no.
    """
    checked_confidence(confidence)
    first, second = _pair(judge, human)
    if not len(first):
        return CorrectedMean(math.nan, Interval(math.nan, math.nan))
    difference = np.round(first - second, _DIGITS)
    value = float(difference.mean())
    if len(first) == 1:
        return CorrectedMean(value, Interval(math.nan, math.nan))
    if _yes_or_no(first, second):
        more, less = int((difference > 0).sum()), int((difference < 0).sum())
        return CorrectedMean(value, agresti_min(more, less, len(first), confidence))
    half = _student(confidence, len(first) - 1) * math.sqrt(difference.var(ddof=1) / len(first)) or math.nan
    return CorrectedMean(value, Interval(value - half, value + half))


def corrected_mean(judge: ArrayLike, human: ArrayLike, *, invalid: int = 0, confidence: float = 0.95) -> CorrectedMean:
    """The mean score that people would give, from a judge's scores of n answers and people's of m of them.

    Prediction-powered inference (Angelopoulos et al., Science 382, 2023): the judge's mean over all n, plus the mean of
    ``human - judge`` over the m. ``human`` has n entries, NaN for an answer that nobody scored; the m should be a
    random draw. There the m are none of the n, and the variance is ``v_judge/n + v_difference/m``. Here they are, so
    that the two means share m answers and have the covariance c/n, c being that of judge and difference; with
    ``v_human = v_judge + v_difference + 2 c`` the variance is

        v_human/n + v_difference (1/m - 1/n),

    which for m = n is that of people's own mean. The variances are those of the scored answers; of yes and no they are
    smoothed (half an answer more in each cell of the table, Agresti & Min 2005; two successes and two failures more,
    Agresti & Coull 1998), so that few answers that all agree claim no certainty. The quantile is Student's with m - 1
    degrees of freedom, the normal one for yes and no.

    ``invalid`` counts examples more whose score is 0 for the judge and people alike: they take part in the mean, but
    not in the correction. The value and its interval are cut to [0, 1]. NaN without a score of people; no interval for
    m = 1, nor where the judge differs from people by the same amount everywhere (but for yes and no).
    """
    z = normal_quantile(confidence)
    scores, people = _pair(judge, human, missing=True)
    known = ~np.isnan(people)
    n, m = len(scores), int(known.sum())
    nothing = Interval(math.nan, math.nan)
    if not m:
        return CorrectedMean(math.nan, nothing)
    people, difference = people[known], np.round(people - scores, _DIGITS)[known]
    share = n / (n + invalid)
    value = share * float(scores.mean() + difference.mean())
    binary = _yes_or_no(scores, people)
    within = _smoothed_variance(difference) if binary else float(difference.var(ddof=1)) if m > 1 else 0.0
    mean, variance = _mean_and_variance(people)
    everywhere = share * variance + share * (1 - share) * mean**2  # with the invalid ones, which are worth 0
    squared = everywhere / (n + invalid) + share**2 * within * (1 / m - 1 / n)
    clipped = min(max(value, 0.0), 1.0)
    if m == 1 or not squared or (not within and m < n):
        return CorrectedMean(clipped, nothing)
    half = (z if binary else _student(confidence, m - 1)) * math.sqrt(squared)
    return CorrectedMean(clipped, Interval(max(0.0, value - half), min(1.0, value + half)))


def _pair(judge: ArrayLike, human: ArrayLike, *, missing: bool = False) -> tuple[Array, Array]:
    first, second = (np.asarray(each, dtype=np.float64) for each in (judge, human))
    if first.ndim != 1 or first.shape != second.shape:
        raise UsageError(f"the scores of judge and people must be equally many (got {first.shape} and {second.shape})")
    if np.isnan(first).any() or (np.isnan(second).any() and not missing):
        raise UsageError("scores must be numbers (got NaN)")
    return first, second


def _yes_or_no(*scores: Array) -> bool:
    return all(np.isin(each, (0.0, 1.0)).all() for each in scores)


def _smoothed_variance(difference: Array) -> float:
    """The variance of paired differences of yes and no, with half an answer more in each of the four cells."""
    up, down, total = (difference > 0).sum() + 0.5, (difference < 0).sum() + 0.5, len(difference) + 2
    return float((up + down) / total - ((up - down) / total) ** 2)


def _mean_and_variance(scores: Array) -> tuple[float, float]:
    if _yes_or_no(scores):
        mean = (float(scores.sum()) + 2) / (len(scores) + 4)
        return mean, mean * (1 - mean)
    return float(scores.mean()), float(scores.var(ddof=1)) if len(scores) > 1 else 0.0


def _student(confidence: float, degrees: int) -> float:
    from scipy.special import stdtrit  # heavy, and seldom needed

    quantile: Any = stdtrit(degrees, (1 + confidence) / 2)
    return float(quantile)
