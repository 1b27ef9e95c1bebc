"""How sure the frontier is: probabilities, how they are drawn, and a sentence where it is not settled."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from made_up_trials import REWARD, TOKENS, WINNER, failed, goals, ratio, resolved, trial

from paretune.reporting.results import Result, results, unsettled
from paretune.stats import Measure
from paretune.trials.frontier import frontier_draws
from paretune.trials.goals import Objective


def searched(answers: Sequence[Sequence[int]], tokens: Sequence[float], *constraints: str) -> list[Result]:
    """Trials with these answers to the examples (t, n), at these tokens."""
    records, measures = [], {}
    for number, (row, used) in enumerate(zip(answers, tokens, strict=True), start=1):
        record = trial(f"{number:04d}", {}, 0, used)
        record.metrics["val_reward"] = float(np.mean(row))
        records.append(record)
        measures[record.trial] = [ratio("reward", row), ratio("tokens_per_request", [used] * len(row), "min")]
    return results(records, measures, goals(REWARD, TOKENS, constraints=constraints), "0001", resamples=500)


def test_what_is_clear_is_drawn_so() -> None:
    """Each is right wherever the cheaper one is, and elsewhere: on the frontier in all draws, the others in none."""
    assert [each.drawn for each in resolved()] == [
        "solid",
        "faint",
        "solid",
        "solid",
        "faint",
        "solid",
        "faint",
        "solid",
    ]
    assert unsettled(resolved()) == ""


def test_what_chance_decides_is_hollow() -> None:
    """Two that are right about other halves: the dearer one is on the frontier in about half of the draws."""
    half = [[1, 0] * 20, [0, 1] * 20]
    found = searched(half, [10.0, 20.0])
    assert found[0].frontier_probability == 1.0 and 0.4 < found[1].frontier_probability < 0.6
    assert [each.drawn for each in found] == ["solid", "hollow"] and [each.on_frontier for each in found] == [
        True,
        False,
    ]
    assert unsettled(found).startswith("The frontier is not settled: 0.")


def test_a_constraint_counts_in_each_draw() -> None:
    """Which reward it keeps is a matter of chance too; a bound that no draw keeps leaves nobody on the frontier."""
    found = searched([[1, 0] * 20, [1, 1, 1, 0] * 10], [10.0, 20.0], "val_reward >= 0.5")
    assert 0.4 < found[0].frontier_probability < 0.6 and found[1].frontier_probability > 0.95
    assert [each.frontier_probability for each in searched([[1] * 9], [10.0], "val_reward <= 0.5")] == [0.0]


def test_what_is_not_known() -> None:
    """A failed trial has no probability; without a measure of an objective nobody has, and places are as measured."""
    assert math.isnan(resolved([*[trial(WINNER, {}, 54, 335.0)], failed()])[1].frontier_probability)
    own = Objective("val_own", "max")
    records = [trial(WINNER, {}, 54, 335.0)]
    measures: dict[str, list[Measure]] = {WINNER: [ratio("reward", [1, 0])]}
    assert frontier_draws(records, measures, goals(own)) is None
    found = results(records, measures, goals(own), WINNER)
    assert math.isnan(found[0].frontier_probability) and found[0].drawn == "faint"
    assert frontier_draws([failed()], {}, goals(REWARD)) is None


@pytest.mark.parametrize("resamples", [100, 300])
def test_a_dominated_trial_changes_no_probability(resamples: int) -> None:
    """One that is never right and dearest changes nobody's place in any draw."""
    rng = np.random.default_rng(2)
    answers, tokens = (rng.random((4, 30)) < 0.6).astype(int).tolist(), [10.0, 20.0, 30.0, 40.0]
    more = searched([*answers, [0] * 30], [*tokens, 50.0])
    assert [each.frontier_probability for each in more[:4]] == [
        each.frontier_probability for each in searched(answers, tokens)
    ]
