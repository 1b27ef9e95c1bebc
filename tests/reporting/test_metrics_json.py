"""metrics.json: its keys and its numbers."""

from __future__ import annotations

import math

import pytest
from made_up_trials import F1, REWARD, TOKENS, TRIALS, N, failed, goals, has_nan, numbers, ratio

from paretune.errors import ConfigError, DataError
from paretune.metrics.outcome import Outcome
from paretune.programs.running import Evaluation
from paretune.reporting.metrics_json import evaluation_summary, metrics_json, search_summary
from paretune.stats import Measure, agresti_min, newcombe, wilson


def evaluation(measures: list[Measure], n: int = N, failures: int = 0) -> Evaluation:
    """Some measures of n examples, so many of which failed."""
    statuses = ["failed"] * failures + ["ok"] * (n - failures)
    return Evaluation(tuple(Outcome(status, None, None, 1, 0, 0, 0.0, 0.0) for status in statuses), tuple(measures))


def full() -> dict[str, dict[str, int | float]]:
    return metrics_json(
        test=evaluation(numbers(48, 335), N, 0),
        val=evaluation(numbers(54, 335), N, 0),
        baseline=evaluation(numbers(40, 150), N, 1),
        majority={"reward": 0.3, "f1": math.nan},
        records=[*TRIALS, failed()],
        goals=goals(REWARD, TOKENS),
        resamples=500,
    )


def test_the_sections_and_their_keys() -> None:
    """Nested scalars as documented; what is not known is left out."""
    found = full()
    assert list(found) == ["test", "val", "optimism", "baseline", "gain", "majority", "search"]
    names = ("reward", "f1", "tokens_per_request")
    numbers_of = {f"{name}{end}" for name in names for end in ("", "_lo", "_hi")}
    assert set(found["test"]) == set(found["val"]) == set(found["baseline"]) == numbers_of | {"n", "failures"}
    assert set(found["optimism"]) == {"reward", "reward_lo", "reward_hi"}
    assert set(found["gain"]) == {"reward", "reward_lo", "reward_hi", "p_mcnemar", "n"}
    assert found["majority"] == {"reward": 0.3}
    assert not has_nan(found)


def test_the_numbers_by_hand() -> None:
    """48 of 80 on test, 54 of 80 on validation, 40 of 80 for the baseline."""
    found = full()
    assert found["test"]["reward"] == 0.6  # 48/80
    assert (found["test"]["reward_lo"], found["test"]["reward_hi"]) == pytest.approx(wilson(48, 80), abs=1e-9)
    expected = newcombe(54 / 80, wilson(54, 80), 48 / 80, wilson(48, 80))
    optimism = [found["optimism"][name] for name in ("reward", "reward_lo", "reward_hi")]
    assert optimism == pytest.approx([0.075, *expected], abs=1e-9)
    # The winner is right wherever the baseline is and on 8 more of the 80
    assert found["gain"]["reward"] == 0.1
    assert (found["gain"]["reward_lo"], found["gain"]["reward_hi"]) == pytest.approx(agresti_min(8, 0, 80), abs=1e-9)
    assert (found["gain"]["p_mcnemar"], found["gain"]["n"]) == (2 / 2**8 - 1 / 2**8, 80)
    assert (found["baseline"]["n"], found["baseline"]["failures"]) == (80, 1)


def test_the_search_by_hand() -> None:
    """Nine trials, one of them failed, and what they used."""
    found = search_summary([*TRIALS, failed()], goals(REWARD, TOKENS))
    assert (found["trials"], found["completed"], found["failed"], found["frontier_size"]) == (9, 8, 1, 5)
    assert found["lm_calls"] == 8 * 160 + 12
    assert found["cost_usd"] == 8 * 0.5 + 0.25
    # On a log scale from 100,000 tokens to 10, best first: 0001 (150, .375), 0003 (230, .5), 0004 (240, .55),
    # 0006 (335, .675), 0008 (515, .7): the places times what each is better than the cheaper ones
    steps = [(150, 0.375), (230, 0.125), (240, 0.05), (335, 0.125), (515, 0.025)]
    expected = sum(math.log10(100_000 / tokens) / 4 * more for tokens, more in steps)
    assert found["hypervolume"] == pytest.approx(expected)


def test_the_hypervolume_of_a_declared_reference() -> None:
    """From 1,000 tokens, 515 are 14 % of the way to 10; a reference better than the ideal is an error."""
    dear = search_summary(TRIALS[7:], goals(REWARD, TOKENS), {"val_tokens_per_request": 1000.0})
    assert dear["hypervolume"] == pytest.approx(0.7 * math.log10(1000 / 515) / 2)
    for reference in (5.0, 10.0, -1.0):
        with pytest.raises(ConfigError, match=r"report\.reference\.val_tokens_per_request: "):
            search_summary(TRIALS, goals(REWARD, TOKENS), {"val_tokens_per_request": reference})


def test_an_unknown_cost_is_left_out() -> None:
    """A partial sum would look like the whole price; a trial that made no call costs nothing."""
    assert "cost_usd" not in search_summary([TRIALS[0], failed(cost_usd=None)], goals(REWARD))
    assert search_summary([TRIALS[0], failed(calls=0, cost_usd=None)], goals(REWARD))["cost_usd"] == 0.5


def test_without_baseline_or_majority_their_sections_are_missing() -> None:
    """Nothing is declared, so nothing is reported; a search of no completed trial still has its counts."""
    winner = evaluation(numbers(48, 335), N, 0)
    found = metrics_json(test=winner, val=winner, records=[failed()], goals=goals(F1), resamples=100)
    assert list(found) == ["test", "val", "optimism", "search"]
    assert found["search"]["completed"] == found["search"]["frontier_size"] == found["search"]["hypervolume"] == 0


def test_unknown_values_and_the_latency_are_left_out() -> None:
    """A measure that is undefined has no key, and seconds are no property of the configuration."""
    measures = [ratio("cost", [math.nan, 1.0], "min"), ratio("latency", [1.0, 2.0], "min"), ratio("reward", [1, 0])]
    assert set(evaluation_summary(evaluation(measures, 2, 0))) == {"reward", "reward_lo", "reward_hi", "n", "failures"}


def test_a_free_model_costs_nothing_for_sure() -> None:
    """All costs are 0, so the interval is [0, 0]; the reward beside it, also all 0, keeps its Wilson interval."""
    measures = [ratio("cost", [0.0] * 40, "min"), ratio("reward", [0] * 40)]
    found = evaluation_summary(evaluation(measures, 40, 0))
    assert (found["cost"], found["cost_lo"], found["cost_hi"]) == (0, 0, 0)
    assert (found["reward_lo"], found["reward_hi"]) == pytest.approx(wilson(0, 40), abs=1e-9)


def test_a_gain_needs_the_same_examples() -> None:
    """A baseline on fewer examples is not comparable in pairs."""
    with pytest.raises(DataError, match="80 and 40"):
        metrics_json(
            test=evaluation(numbers(48, 335), N, 0),
            val=evaluation(numbers(54, 335), N, 0),
            baseline=evaluation(numbers(20, 150, 40), 40, 0),
            records=TRIALS,
            goals=goals(REWARD),
            resamples=50,
        )
