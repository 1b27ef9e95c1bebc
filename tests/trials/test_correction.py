"""The winner's score corrected for having been chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from paretune.metrics.measures import measures_of
from paretune.metrics.outcome import Outcome
from paretune.stats import Bootstrap, Measure
from paretune.trials.choice import choose, confidence_set, doubt
from paretune.trials.correction import corrected_reward
from paretune.trials.goals import Goals, Objective, as_goals
from paretune.trials.record import ReplicateRecord, TrialRecord
from paretune.trials.rules import Rule

GOALS = as_goals([Objective("val_reward", unit=0.01), Objective("val_tokens_per_request", unit=100)])
RULES: list[Any] = ["epsilon", "best_score", "one_standard_error", "constraint", "knee"]


def searched(
    rewards: Sequence[Sequence[float]], tokens: Sequence[int]
) -> tuple[list[TrialRecord], dict[str, list[Measure]]]:
    """Trials with these rewards of the examples (t, n) and tokens a call, and their measures."""
    records, measures = [], {}
    for number, (row, used) in enumerate(zip(rewards, tokens, strict=True), start=1):
        outcomes = tuple(Outcome("ok", {}, float(reward), 1, used, 0, 0.0, 0.1) for reward in row)
        name = f"{number:04d}"
        measures[name] = measures_of(outcomes, [{}] * len(outcomes), [])
        metrics = {f"val_{measure.name}": measure.value for measure in measures[name]}
        records.append(
            TrialRecord(name, "COMPLETED", {}, metrics, replicates=(ReplicateRecord(metrics, 0, {}, outcomes),))
        )
    return records, measures


def by_hand(records: list[TrialRecord], rewards: Any, tokens: Any, goals: Goals, rule: Rule, seed: int) -> float:
    """The same with a search of its own for each draw, by the rule that chooses among records."""
    n, scores = len(rewards[0]), []
    for block in Bootstrap(n, resamples=200, seed=seed).blocks():
        for counts in block:
            drawn = np.repeat(np.arange(n), counts)
            found, _ = searched(np.asarray(rewards)[:, drawn], tokens)
            place = int(choose(found, goals, rule).record.trial) - 1
            scores.append(np.asarray(rewards)[place][counts == 0].mean())
    return float(np.mean(scores))


@pytest.mark.parametrize("rule", RULES)
def test_it_chooses_in_each_draw_by_the_very_rule(rule: Any) -> None:
    """As a search over the drawn examples would, for every rule."""
    rng = np.random.default_rng(7)
    rewards, tokens = (rng.random((5, 30)) < np.array([[0.5], [0.6], [0.6], [0.7], [0.65]])), [10, 60, 90, 400, 200]
    records, measures = searched(rewards, tokens)
    goals = as_goals(GOALS.objectives, "val_tokens_per_request <= 300")
    found = corrected_reward(records, measures, goals, Rule(rule), Bootstrap(30, resamples=200, seed=3))
    assert found is not None
    assert found.value == pytest.approx(by_hand(records, rewards, tokens, goals, Rule(rule), 3))
    assert found.raw == choose(records, goals, Rule(rule)).record.metrics["val_reward"]


def test_equal_trials_are_corrected_to_their_truth() -> None:
    """Of twenty trials that are right in 80 % of cases the luckiest shows more; corrected, about 80 %."""
    rng, raw, corrected = np.random.default_rng(1), [], []
    for seed in range(20):
        records, measures = searched(rng.random((20, 50)) < 0.8, [10] * 20)
        found = corrected_reward(records, measures, GOALS, Rule("best_score"), Bootstrap(50, resamples=200, seed=seed))
        assert found is not None and found.lo <= found.value <= found.hi
        raw.append(found.raw)
        corrected.append(found.value)
    assert np.mean(raw) > 0.86 and abs(float(np.mean(corrected)) - 0.8) < 0.02


def test_what_cannot_be_repeated_is_not_corrected() -> None:
    """A metric of the rule without a measure."""
    records, measures = searched([[1.0, 0.0]], [10])
    goals = as_goals(["val_reward", Objective("val_own", "max")])
    assert corrected_reward(records, measures, goals, Rule(), Bootstrap(2)) is None
    assert confidence_set(records, measures, as_goals([Objective("val_own", "max")])) == ()


def test_the_trials_that_may_be_the_best() -> None:
    """Equal ones all may; one that is always right leaves out those that never are; infeasible ones do not count."""
    equal, measures = searched([[1.0, 0.0] * 20] * 3, [1, 2, 3])
    names = confidence_set(equal, measures, GOALS)
    assert names == ("0001", "0002", "0003")
    assert doubt(names, equal, GOALS) == "No difference by reward between the 3 trials is shown (95 % confidence)."
    clear, measures = searched([[1.0] * 40, [0.0] * 40, [1.0] * 39 + [0.0]], [1, 2, 3])
    names = confidence_set(clear, measures, GOALS)
    assert names == ("0001", "0003")
    assert "the trials 1, 3 cannot be told apart" in doubt(names, clear, GOALS)
    bound = as_goals(GOALS.objectives, "val_tokens_per_request <= 2")
    names = confidence_set(clear, measures, bound)
    assert names == ("0001",)
    assert doubt(names, clear, bound).startswith("By reward no other trial may be as good as trial 1")
    assert "was not compared" in doubt((), clear, GOALS)
