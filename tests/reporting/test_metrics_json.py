"""detail.json and metrics.json: their keys and their numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_trials import (
    F1,
    REWARD,
    TOKENS,
    TRIALS,
    WINNER,
    N,
    failed,
    goals,
    has_nan,
    measures_of,
    numbers,
    ratio,
    trial,
)

from paretune.errors import ConfigError, DataError
from paretune.metrics.outcome import Outcome
from paretune.programs.running import Evaluation
from paretune.reporting.metrics_json import compared, detail_json, evaluation_summary, search_summary
from paretune.stats import Measure, agresti_min, newcombe, wilson
from paretune.trials.rules import Rule
from paretune.trials.winner import Best

#: Trial 6 (.675, 335 tokens) is near enough to trial 8 (.7, 515).
RULE = Rule(epsilon=0.03)


def evaluation(measures: list[Measure], n: int = N, failures: int = 0) -> Evaluation:
    """Some measures of n examples, so many of which failed."""
    statuses = ["failed"] * failures + ["ok"] * (n - failures)
    return Evaluation(tuple(Outcome(status, None, None, 1, 0, 0, 0.0, 0.0) for status in statuses), tuple(measures))


def report_of(
    tested: dict[str, Evaluation], *, rule: Rule = RULE, looks: int = 1, **options: Any
) -> dict[str, dict[str, Any]]:
    """detail.json of the made-up search, whose winner by the rule is trial 6."""
    records = [*TRIALS, failed()]
    winner = Best.of(records, options.pop("goals", goals(REWARD, TOKENS)), rule, measures=measures_of(records))
    assert winner.trial == WINNER
    return detail_json(
        winner=winner,
        tested=tested,
        looks=looks,
        records=records,
        measures=measures_of(records),
        **{"resamples": 500, **options},
    )


def full(**options: Any) -> dict[str, dict[str, Any]]:
    """That of a winner with 48 of 80 right, and of a baseline with 40."""
    return report_of(
        {WINNER: evaluation(numbers(48, 335), N, 0)},
        baseline=evaluation(numbers(40, 150), N, 1),
        majority={"reward": 0.3, "f1": math.nan},
        **options,
    )


def test_the_sections_and_their_keys() -> None:
    """Nested scalars as documented; what is not known is left out."""
    found = full()
    assert list(found) == ["winner", "test", "val", "optimism", "baseline", "gain", "majority", "search"]
    names = ("reward", "f1", "tokens_per_request")
    numbers_of = {f"{name}{end}" for name in names for end in ("", "_lo", "_hi")}
    numbers_of |= {"n", "failures"}
    assert set(found["baseline"]) == numbers_of and set(found["test"]) == numbers_of | {"looks"}
    assert set(found["val"]) == numbers_of | {"corrected", "corrected_lo", "corrected_hi"}
    assert set(found["winner"]) == {"trial", "hyperparameters", "rule", "why", "doubt"}
    assert set(found["optimism"]) == {"reward", "reward_lo", "reward_hi"}
    assert set(found["gain"]) == {"reward", "reward_lo", "reward_hi", "p_mcnemar", "n"}
    assert found["majority"] == {"reward": 0.3}
    assert not has_nan(found)


def test_the_numbers_that_people_compare() -> None:
    """A short list that DVC shows as columns: each metric, the reward's interval, and what won: all of detail.json."""
    found = full()
    short = compared(found)
    assert {name: list(section) for name, section in short.items()} == {
        "test": ["reward", "reward_lo", "reward_hi", "f1", "tokens_per_request", "looks"],
        "gain": ["reward", "reward_lo", "reward_hi"],
        "optimism": ["reward"],
        "winner": ["trial", *TRIALS[5].values],
        "search": ["frontier_size", "hypervolume", "lm_calls", "cost_usd"],
    }
    for name in ("test", "gain", "optimism", "search"):
        assert short[name].items() <= found[name].items()
    assert short["winner"] == {"trial": 6} | TRIALS[5].values
    assert "gain" not in compared(report_of({WINNER: evaluation(numbers(48, 335))}))


def test_of_what_was_invalid_the_sum_is_compared() -> None:
    """Its kinds, and calls that failed for good, are in detail.json alone; a metric whose name ends like an interval's
    end is a metric."""
    detail = full()
    detail["test"] |= {
        "invalid_rate": 0.1,
        "invalid_rate_lo": 0.0,
        "invalid_refused": 0.1,
        "failure_rate": 0.0,
        "say_hi": 1,
    }
    assert list(compared(detail)["test"]) == [
        "reward", "reward_lo", "reward_hi", "f1", "tokens_per_request", "looks", "invalid_rate", "say_hi",
    ]  # fmt: skip


@given(
    st.dictionaries(st.text(min_size=1), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()))
)
def test_hyperparameters_are_short_scalars(values: dict[str, Any]) -> None:
    """Whatever they are, the winner's trial keeps its name, and no cell is longer than 40 characters or spans lines."""
    detail = {name: {"reward": 0.5} for name in ("test", "optimism", "search")}
    detail["winner"] = {"trial": 7, "hyperparameters": values}
    found = compared(detail)["winner"]
    assert found["trial"] == 7 and len(found) >= len(set(values) - {"trial"}) + 1
    texts = [cell for cell in found.values() if isinstance(cell, str)]
    assert all(len(text) <= 40 and len(text.splitlines()) <= 1 for text in texts)
    assert not any(isinstance(cell, list | dict) for cell in found.values())


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
    assert list(report_of({WINNER: evaluation(numbers(48, 335), N, 0)})) == [
        "winner", "test", "val", "optimism", "search",
    ]  # fmt: skip
    found = search_summary([failed()], goals(F1))
    assert found["completed"] == found["frontier_size"] == found["hypervolume"] == 0


def test_the_winner_and_its_corrected_score() -> None:
    """The rule and its reason; what chose itself among eight scores less elsewhere: the correction is downwards."""
    found = full()
    assert found["winner"] == {
        "trial": 6,
        "hyperparameters": TRIALS[5].values,
        "rule": "epsilon",
        "why": "Trial 6 has the lowest tokens per request, 335, of the 2 trials within 0.03 of the best reward 0.7 "
        "(trial 8).",
        "doubt": "By reward the trials 6, 7, 8 cannot be told apart: each may be the best (95 % confidence).",
    }
    val = found["val"]
    assert val["reward"] == 54 / 80 and val["corrected_lo"] < val["corrected"] <= val["reward"] + 0.02
    corrected = val["corrected"]
    assert (val["corrected_lo"], val["corrected_hi"]) == pytest.approx(wilson(corrected * 80, 80), abs=1e-9)


def test_an_infeasible_winner_has_no_corrected_score() -> None:
    """Nothing was chosen by the rule; and none where the rule's metric is not among the measures."""
    bound = goals(REWARD, TOKENS, constraints=["val_tokens_per_request <= 1"])
    records = [trial(WINNER, {}, 54, 335.0)]
    winner = Best.of(records, bound, Rule(allow_broken=True))
    tested = {WINNER: evaluation(numbers(48, 335))}
    options = {"looks": 1, "records": records, "measures": measures_of(records), "resamples": 50}
    assert "corrected" not in detail_json(winner=winner, tested=tested, **options)["val"]


def test_many_looks_widen_the_intervals_on_test() -> None:
    """Up to three the plain ones hold; at four those of 1 - .05/4. Validation and baseline are not looked at."""
    plain, few, many = full(), full(looks=3), full(looks=4)
    assert few == {**plain, "test": {**plain["test"], "looks": 3}}
    assert (many["test"]["reward_lo"], many["test"]["reward_hi"]) == pytest.approx(
        wilson(48, 80, 1 - 0.05 / 4), abs=1e-9
    )
    expected = agresti_min(8, 0, 80, 1 - 0.05 / 4)
    assert (many["gain"]["reward_lo"], many["gain"]["reward_hi"]) == pytest.approx(expected, abs=1e-9)
    assert {name: many[name] for name in ("val", "baseline", "optimism")} == {
        name: plain[name] for name in ("val", "baseline", "optimism")
    }


def test_a_tested_frontier() -> None:
    """Each trial has its section and its gain; Holm: of p = .0039 (8 more) and .5 (1 more) the first is doubled."""
    tested = {WINNER: evaluation(numbers(48, 335)), "0001": evaluation(numbers(41, 150))}
    found = report_of(tested, baseline=evaluation(numbers(40, 150)), looks=2)
    assert found["frontier_0001"]["reward"] == 41 / 80
    assert (found["gain"]["p_mcnemar"], found["gain_0001"]["p_mcnemar"]) == (1 / 2**8, 1 / 2)
    assert (found["gain"]["p_holm"], found["gain_0001"]["p_holm"]) == (2 / 2**8, 1 / 2)


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
        report_of({WINNER: evaluation(numbers(48, 335))}, baseline=evaluation(numbers(20, 150, 40), 40))
