"""The rules that choose the winner: pure functions of the records."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from paretune.errors import SearchError, UsageError
from paretune.metrics.outcome import Outcome
from paretune.trials.choice import choose
from paretune.trials.goals import Goals, Objective, as_goals
from paretune.trials.record import ReplicateRecord, TrialRecord
from paretune.trials.rules import Rule, RuleName, as_rule

GOALS = as_goals([Objective("val_reward", unit=0.01), Objective("val_tokens_per_request", unit=100)])
REWARDS = st.integers(0, 100).map(lambda points: points / 100)
TOKENS = st.integers(1, 400).map(float)
POINTS = st.lists(st.tuples(REWARDS, TOKENS), min_size=1, max_size=8)
RULES: tuple[Any, ...] = get_args(RuleName)


def trial(number: int, metrics: dict[str, float], rewards: Sequence[Sequence[float | None]] = ()) -> TrialRecord:
    """A completed trial with these metrics, and with the rewards of its examples by replicate."""
    replicates = [
        ReplicateRecord(metrics, 0, {}, tuple(Outcome("ok", {}, reward, 1, 1, 1, 0.0, 0.1) for reward in replicate))
        for replicate in rewards or [()]
    ]
    return TrialRecord(f"{number:04d}", "COMPLETED", {}, metrics, replicates=tuple(replicates))


def trials(points: Sequence[tuple[float, float]]) -> list[TrialRecord]:
    """Trials with these rewards and tokens a request; the rewards of 100 examples follow from the mean."""
    return [
        trial(
            number,
            {"val_reward": reward, "val_tokens_per_request": tokens},
            [[1.0] * round(100 * reward) + [0.0] * (100 - round(100 * reward))],
        )
        for number, (reward, tokens) in enumerate(points, start=1)
    ]


def winner(points: Sequence[tuple[float, float]], rule: Any, goals: Goals = GOALS) -> int:
    """The place of the winner."""
    return int(choose(trials(points), goals, as_rule(rule)).record.trial) - 1


@pytest.mark.parametrize("rule", ["epsilon", "best_score", "one_standard_error"])
def test_no_rank_reversal(rule: Any) -> None:
    """(.80, 3.0) and (.70, 1.0): whichever wins, neither the dominated (.10, 3.0) nor (.69, 30) changes it."""
    pair = [(0.8, 3.0), (0.7, 1.0)]
    alone = winner(pair, rule)
    assert winner([*pair, (0.1, 3.0)], rule) == alone
    assert winner([*pair, (0.1, 3.0), (0.69, 30.0)], rule) == alone


@given(POINTS, st.tuples(REWARDS, TOKENS), st.sampled_from(RULES))
def test_a_dominated_trial_decides_nothing(points: list[tuple[float, float]], other: Any, rule: Any) -> None:
    """A trial that another one beats changes no winner, by any rule."""
    goals = as_goals(GOALS.objectives, "val_reward >= 0")
    assume(any(reward >= other[0] and tokens <= other[1] and (reward, tokens) != other for reward, tokens in points))
    assert winner([*points, other], rule, goals) == winner(points, rule, goals)


@given(POINTS, st.sampled_from(RULES))
def test_the_winner_is_on_the_frontier(points: list[tuple[float, float]], rule: Any) -> None:
    """No trial beats the winner, and the order of the trials matters for equals alone."""
    goals = as_goals(GOALS.objectives, "val_reward >= 0")
    won = points[winner(points, rule, goals)]
    assert not any(reward >= won[0] and tokens <= won[1] and (reward, tokens) != won for reward, tokens in points)
    assert {points[::-1][winner(points[::-1], rule, goals)]} == {won}


@given(POINTS, st.sampled_from([0.0, 0.02, 0.1, 2.0]))
def test_epsilon_by_hand(points: list[tuple[float, float]], epsilon: float) -> None:
    """Of those within epsilon of the best reward the one with the fewest tokens, then the best, then the first."""
    top = max(reward for reward, _ in points)
    close = [(tokens, -reward, place) for place, (reward, tokens) in enumerate(points) if top - reward < epsilon + 1e-9]
    assert winner(points, Rule(epsilon=epsilon)) == min(close)[2]


@given(POINTS)
def test_best_score_by_hand(points: list[tuple[float, float]]) -> None:
    """A hundredth of the reward is worth 100 tokens."""
    scores = [(round(tokens / 100 - reward / 0.01, 6), place) for place, (reward, tokens) in enumerate(points)]
    assert winner(points, "best_score") == min(scores)[1]


def test_reasons() -> None:
    """Each rule says in a sentence with numbers why its winner won."""
    found = trials([(0.80, 300.0), (0.79, 120.0), (0.60, 20.0), (0.55, 400.0)])
    goals = as_goals(GOALS.objectives, "val_tokens_per_request <= 350")
    reasons = {rule: choose(found, goals, Rule(rule)).why for rule in RULES}
    assert reasons == {
        rule: f"{reason}. Only trials with val_tokens_per_request <= 350.0 count."
        for rule, reason in {
            "epsilon": "Trial 2 has the lowest tokens per request, 120, of the 2 trials within 0.02 of the best "
            "reward 0.8 (trial 1)",
            "best_score": "Trial 2 has the best score, -77.8, of 3 trials: reward 0.79 / 0.01, tokens per request "
            "120 / 100",
            "one_standard_error": "Trial 2 has the lowest tokens per request, 120, of the 2 trials within a standard "
            "error of the best reward 0.8 (trial 1)",
            "constraint": "Trial 1 has the highest reward, 0.8, of 3 trials",
            "knee": "Trial 2 is the knee of the frontier, reward 0.79 at tokens per request 120 (log "
            "scale): a matter of taste",
        }.items()
    }
    alone = choose(found, GOALS, Rule(epsilon=0.0)).why
    assert alone == "Trial 1 has the best reward 0.8, and no other one comes within 0 of it."


def test_where_nothing_is_minimised_the_cheapest_wins() -> None:
    """By dollars; where these are equal, by tokens; by another metric where it is named."""

    def won(rule: Rule, *more: tuple[float, float, float, float]) -> str:
        names = ("val_reward", "val_cost", "val_tokens_per_request", "val_f1")
        rows = [trial(number, dict(zip(names, each, strict=True))) for number, each in enumerate(more, start=1)]
        return choose(rows, as_goals("val_reward"), rule).record.trial

    assert won(Rule(), (0.8, 2.0, 1.0, 0.0), (0.79, 1.0, 9.0, 0.0)) == "0002"
    assert won(Rule(), (0.8, 0.0, 5.0, 0.0), (0.79, 0.0, 9.0, 0.0)) == "0001"
    assert won(Rule(by="val_f1"), (0.8, 0.0, 1.0, 0.5), (0.79, 1.0, 2.0, 0.9)) == "0002"
    with pytest.raises(SearchError, match=r"winner\.by must name something measured: .*val_cost.*got 'val_prize'"):
        won(Rule(by="val_prize"), (0.8, 0.0, 1.0, 0.5))


def test_one_standard_error_is_paired() -> None:
    """The error is that of the differences example by example.

    40 examples, 30 and 26 right. Where the 26 are among the 30, the differences are 4 ones and 36 zeros: mean .1, error
    sqrt(.1 * .9 * 40 / 39 / 40) = .048, so the cheap one is worse. Where each has others right, 10 against 14 zeros
    only one side right, the mean is the same and the error .13: it cannot be told, and wins.
    """

    def won(right: set[int]) -> int:
        rewards = [[float(number < 30) for number in range(40)], [float(number in right) for number in range(40)]]
        rows = [
            trial(place, {"val_reward": float(np.mean(each)), "val_cost": 3.0 - place}, [each])
            for place, each in enumerate(rewards, start=1)
        ]
        return int(choose(rows, as_goals("val_reward"), Rule("one_standard_error")).record.trial)

    assert won(set(range(26))) == 1
    assert won(set(range(14, 40))) == 2


def test_one_standard_error_of_replicates_and_failures() -> None:
    """An example counts with its mean over the replicates, and where both trials have it scored."""
    top = trial(1, {"val_reward": 0.75, "val_cost": 2.0}, [[1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0]])
    same = trial(2, {"val_reward": 0.5, "val_cost": 1.0}, [[1.0, 1.0, 0.0, None], [1.0, 1.0, 0.0, 0.0]])
    assert choose([top, same], as_goals("val_reward"), Rule("one_standard_error")).record is same


def test_the_knee_by_hand() -> None:
    """Above the line from (10, .5) to (1000, .9) on a logarithmic scale: (100, .85) by .15, (300, .88) by .08."""
    points = [(0.5, 10.0), (0.85, 100.0), (0.88, 300.0), (0.9, 1000.0), (0.2, 500.0)]
    for order in itertools.permutations(points):
        assert order[winner(order, "knee")] == (0.85, 100.0)
    unpriced = [trial(1, {"val_reward": 0.5, "val_tokens_per_request": 9.0}), trial(2, {"val_reward": 0.4})]
    assert "reward 0.5 at tokens per request 9" in choose(unpriced, as_goals("val_reward"), Rule("knee")).why
    with pytest.raises(UsageError, match="'knee' needs a second goal: name one"):
        choose([trial(1, {"val_reward": 0.5})] * 2, as_goals("val_reward"), Rule("knee"))
    with pytest.raises(UsageError, match="'knee' takes the logarithm of val_cost"):
        choose([trial(1, {"val_reward": 0.5, "val_cost": 0.0})], as_goals("val_reward"), Rule("knee"))


@pytest.mark.parametrize("rule", RULES)
def test_one_trial_alone_is_compared_with_nobody(rule: Any) -> None:
    """The reason claims nothing about trials that failed, or that broke a constraint."""
    goals = as_goals(GOALS.objectives, "val_tokens_per_request <= 250")
    why = choose(trials([(0.9, 300.0), (0.8, 200.0)]), goals, Rule(rule)).why
    assert why.startswith("Trial 2 is the only one to choose, with reward 0.8.")


@pytest.mark.parametrize("rule", RULES)
def test_no_trial_keeps_the_constraints(rule: Any) -> None:
    """Then there is no winner, and the error says what comes closest; where it is allowed, that one wins."""
    found = trials([(0.9, 300.0), (0.8, 200.0)])
    goals = as_goals(GOALS.objectives, "val_tokens_per_request <= 100")
    with pytest.raises(SearchError, match=r"no trial keeps .* <= 100\.0, .*trial 2 comes closest .*200.*allow_broken"):
        choose(found, goals, Rule(rule))
    choice = choose(found, goals, Rule(rule, allow_broken=True))
    assert choice.record.trial == "0002"
    assert choice.why == "No trial keeps val_tokens_per_request <= 100.0; trial 2 breaks it the least."


def test_without_a_completed_trial_there_is_no_winner() -> None:
    """The error tells why the last one failed."""
    for found, reason in (([], "there is none"), ([TrialRecord("0001", "FAILED", {}, error="503")], "503")):
        with pytest.raises(SearchError, match=f"no trial was completed; the last one: {reason}"):
            choose(found, GOALS, Rule())


def test_impossible_rules_are_refused() -> None:
    """No such rule, no such epsilon, a constraint that is not there, rewards that are none."""
    with pytest.raises(UsageError, match="rule is one of epsilon, best_score"):
        as_rule("cheapest")  # type: ignore[arg-type]
    for epsilon in (-0.1, float("nan"), float("inf"), "2"):
        with pytest.raises(UsageError, match="epsilon is a number of at least 0"):
            Rule(epsilon=epsilon)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs a constraint"):
        Rule("constraint").check(GOALS)
    with pytest.raises(UsageError, match="first objective must be val_reward"):
        Rule("one_standard_error").check(as_goals(["val_f1", "val_reward"]))
