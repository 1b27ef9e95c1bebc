"""The frontier, and best.json."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import DataError
from paretune.files import read_json
from paretune.trials.frontier import frontier
from paretune.trials.goals import Goals, as_goals
from paretune.trials.record import ReplicateRecord, TrialRecord
from paretune.trials.rules import Rule
from paretune.trials.winner import Best

GOALS = as_goals(["val_reward", "val_cost"], ["val_cost <= 3"])
Points = list[tuple[float, float] | None]
#: Reward and cost of some trials; None has failed. Few values, so that many are equal.
POINTS: st.SearchStrategy[Points] = st.lists(
    st.none() | st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([1.0, 2.0, 3.0, 4.0])), max_size=9
)


def records(points: Points) -> list[TrialRecord]:
    """Trials with these metrics."""
    found = []
    for number, point in enumerate(points, start=1):
        metrics = {} if point is None else dict(zip(("val_reward", "val_cost"), point, strict=True))
        replicate = ReplicateRecord(metrics, 0, {"trained": number}, ())
        status: Any = "FAILED" if point is None else "COMPLETED"
        found.append(TrialRecord(f"{number:04d}", status, {"n": number}, metrics, replicates=(replicate,)))
    return found


def slow_frontier(points: Points, limit: float) -> list[bool]:
    """Compare each with each other one, by hand."""

    def beats(one: Any, other: Any) -> bool:
        return one[0] >= other[0] and one[1] <= other[1] and one != other

    allowed = [point if point is not None and point[1] <= limit else None for point in points]
    return [
        point is not None and not any(beats(other, point) for other in allowed if other is not None)
        for point in allowed
    ]


@given(POINTS)
def test_the_frontier_is_that_of_the_feasible_trials(points: Points) -> None:
    """A dear trial, however good, is not on it and keeps nobody off it; nor does one that failed."""
    assert frontier(records(points), GOALS) == slow_frontier(points, limit=3.0)


def test_a_dear_trial_is_not_on_the_frontier() -> None:
    """(1.0, 4.0) breaks the bound: (0.5, 3.0) is on the frontier beside (0.0, 1.0), and wins."""
    trials = records([(1.0, 4.0), (0.5, 3.0), (0.0, 1.0), (0.0, 2.0), None])
    assert frontier(trials, GOALS) == [False, True, True, False, False]
    best = Best.of(trials, as_goals(["val_reward"], ["val_cost <= 3"]), Rule())
    assert (best.trial, best.frontier) == ("0002", ("0002",))


def test_what_best_json_holds(tmp_path: Path) -> None:
    """It is read back as it was written; its keys are those that others rely on."""
    best = Best.of(records([(0.5, 3.0), (0.0, 1.0)]), GOALS, Rule(by="val_cost"), stopped="no money")
    best.write(tmp_path / "best.json")
    assert Best.read(tmp_path / "best.json") == best
    row = read_json(tmp_path / "best.json")
    assert list(row) == [
        "trial", "values", "metrics", "score", "stopped", "why", "doubt", "rule", "objectives", "constraints",
        "frontier", "confidence_set", "state",
    ]  # fmt: skip
    assert row["objectives"][0] == {"name": "val_reward", "direction": "max", "unit": 1.0}
    assert row["rule"] == {"name": "epsilon", "epsilon": 0.02, "by": "val_cost", "allow_broken": False}
    assert (row["constraints"], row["state"]) == (["val_cost <= 3.0"], {"trained": 1})


@pytest.mark.parametrize("text", ["[]", "{}", '{"objectives": [], "constraints": [], "frontier": []}'])
def test_what_is_no_result_of_a_search(tmp_path: Path, text: str) -> None:
    """A file that something else wrote is an error that names it."""
    (tmp_path / "best.json").write_text(text)
    with pytest.raises(DataError, match=r"best\.json"):
        Best.read(tmp_path / "best.json")


def test_no_order_of_the_records_changes_the_frontier() -> None:
    """The frontier is a set of trials."""
    trials = records([(0.5, 3.0), (0.0, 1.0), (1.0, 4.0), (0.5, 3.0)])
    for order in itertools.permutations(trials):
        flags = dict(zip((record.trial for record in order), frontier(list(order), GOALS), strict=True))
        assert flags == {"0001": True, "0002": True, "0003": False, "0004": True}


def test_goals_need_an_objective() -> None:
    """A search aims at something."""
    with pytest.raises(Exception, match="at least one"):
        Goals(())
