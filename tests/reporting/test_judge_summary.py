"""Section ``judge`` of detail.json: which numbers it has, and which examples count."""

from __future__ import annotations

from typing import Any

import pytest

from paretune.metrics.outcome import Outcome
from paretune.reporting.judge_summary import judge_summary
from paretune.stats import agreement, bias, corrected_mean


def outcome(reward: float | None, *judgements: float, status: Any = "ok") -> Outcome:
    """An example's outcome; only a valid one has an output."""
    output = {"text": "a"} if status == "ok" else None
    return Outcome(status, output, reward, 1, 0, 0, 0.0, 0.0, judgements=judgements)


def test_a_reward_that_nobody_repeats_or_labels_has_no_section() -> None:
    """Whatever its value; an entry of None is no label."""
    assert judge_summary([outcome(0.5), outcome(None, status="failed")]) == {}
    assert judge_summary([outcome(0.5), outcome(1.0)], [None, None]) == {}


def test_repeated_judgements_by_hand() -> None:
    """[1, 1], [0, 0], [1, 0]: the judge's variance is 1/6, its share 1/3; a failed example has no judgements."""
    found = judge_summary([outcome(1.0, 1, 1), outcome(0.0, 0, 0), outcome(0.5, 1, 0), outcome(None, status="failed")])
    assert found == pytest.approx({"judgements": 2.0, "judge_sd": (1 / 6) ** 0.5, "variance_share": 1 / 3})


def test_labels_count_for_valid_answers_alone() -> None:
    """What is invalid is worth 0 for everybody: in the mean, but neither in the agreement nor in the correction."""
    outcomes = [
        outcome(1.0),
        outcome(1.0),
        outcome(0.0),
        outcome(0.0, status="invalid"),
        outcome(None, status="failed"),
    ]
    found = judge_summary(outcomes, [1.0, 0.0, None, 1.0, 1.0])
    agreed, higher = agreement([1, 1], [1, 0]), bias([1, 1], [1, 0])
    assert (found["labelled"], found["agreement"], found["agreement_lo"]) == (2, 0.5, agreed.interval.lo)
    assert (found["bias"], found["bias_hi"]) == (0.5, higher.interval.hi)
    corrected = corrected_mean([1, 1, 0], [1, 0, float("nan")], invalid=1)
    assert (found["reward"], found["reward_lo"], found["reward_hi"]) == (corrected.value, *corrected.interval)
    assert corrected.value == pytest.approx((2 / 3 - 1 / 2) * 3 / 4)


def test_a_wider_confidence_is_a_wider_interval() -> None:
    """Of all three intervals."""
    outcomes, human = [outcome(each / 10) for each in range(10)], [0.1, 0.3, 0.2, 0.6, *[None] * 6]
    narrow, wide = (judge_summary(outcomes, human, confidence) for confidence in (0.5, 0.9))
    for name in ("bias", "reward"):
        assert wide[f"{name}_lo"] < narrow[f"{name}_lo"] < narrow[f"{name}_hi"] < wide[f"{name}_hi"]
