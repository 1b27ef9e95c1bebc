"""Section ``judge`` of detail.json: how much the judge wavers, and how far people agree with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from paretune.metrics.outcome import Outcome
from paretune.stats import agreement, bias, corrected_mean, variance_split

__all__ = ["judge_summary"]


def judge_summary(
    outcomes: Sequence[Outcome], human: Sequence[float | None] = (), confidence: float = 0.95
) -> dict[str, float]:
    """What can be said of the rewards of some examples as judgements; NaN where a number is not known.

    Where examples have several judgements: ``judgements`` (their mean number), ``judge_sd`` (the standard deviation of
    a single one about its example's mean) and ``variance_share`` (the judge's, of the variance of the examples'
    rewards).

    ``human`` has an entry for each outcome, None where nobody scored the answer; with some scores: ``labelled`` (how
    many), ``agreement`` and ``kappa`` of yes and no or else ``correlation``, ``absolute_difference``, ``bias`` (how
    much higher the judge scores), and ``reward``, corrected by people's scores, with ``_lo`` and ``_hi``. An example
    without a reward counts nowhere.
    """
    found: dict[str, float] = {}
    repeated = [outcome.judgements for outcome in outcomes if outcome.judgements]
    if repeated:
        split = variance_split(repeated)
        found = {
            "judgements": fmean(map(len, repeated)),
            "judge_sd": math.sqrt(split.judge),
            "variance_share": split.judge_share,
        }
    answers = [
        (outcome.reward, score) for outcome, score in zip(outcomes, human, strict=False) if outcome.output is not None
    ]
    judged = [(reward, math.nan if score is None else score) for reward, score in answers if reward is not None]
    labelled = [(reward, score) for reward, score in judged if not math.isnan(score)]
    if not labelled:
        return found
    judge, people = zip(*labelled, strict=True)
    agreed, higher = agreement(judge, people, confidence), bias(judge, people, confidence)
    invalid = sum(outcome.status == "invalid" for outcome in outcomes)
    reward = corrected_mean(*zip(*judged, strict=True), invalid=invalid, confidence=confidence)
    return found | {
        "labelled": agreed.n,
        **_with_ends("agreement", agreed.share, agreed.interval),
        "kappa": agreed.kappa,
        "correlation": agreed.correlation,
        "absolute_difference": agreed.absolute_difference,
        **_with_ends("bias", *higher),
        **_with_ends("reward", *reward),
    }


def _with_ends(name: str, value: float, interval: Sequence[float]) -> dict[str, float]:
    return {name: value, f"{name}_lo": interval[0], f"{name}_hi": interval[1]}
