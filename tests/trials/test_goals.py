"""Objectives, and the scalar by which trials are ranked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.trials.goals import Constraint, Goals, Objective, as_constraint, as_goals
from paretune.tuners.keras_api import KerasMultiObjective, KerasObjective

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
DIRECTIONS = st.lists(st.sampled_from(["min", "max"]), min_size=1, max_size=5)


@given(DIRECTIONS, st.data())
def test_scalar_is_that_of_keras_tuner(directions, data):
    """With all weights 1 the scalar equals Keras-Tuner's: the sum of what is minimised less what is maximised."""
    names = [f"m{index}" for index in range(len(directions))]
    logs = {name: data.draw(NUMBERS) for name in names}
    ours = Goals(tuple(Objective(*pair) for pair in zip(names, directions, strict=True)))
    theirs = KerasMultiObjective([KerasObjective(*pair) for pair in zip(names, directions, strict=True)])
    assert ours.scores([logs]) == [pytest.approx(theirs.get_value(logs), rel=1e-9, abs=1e-6)]
    assert ours.order([logs, {**logs, names[0]: logs[names[0]] + (1 if directions[0] == "min" else -1)}]) == [0, 1]


def test_weights():
    """3 * cost - 2 * reward: 3 * 0.5 - 2 * 0.25 = 1."""
    objective = Goals((Objective("val_reward", "max", 2), Objective("val_cost", "min", 3)))
    assert objective.scores([{"val_reward": 0.25, "val_cost": 0.5}]) == [1.0]


def test_range_scale():
    """Each metric is divided by its range over the trials; one that never varies is left as it is.

    Rewards 0.2, 0.6 have the range 0.4; costs 0.001, 0.005 the range 0.004; so -0.5 + 0.25 and -1.5 + 1.25.
    """
    objective = Goals((Objective("r", "max"), Objective("c", "min"), Objective("k", "min")), scale="range")
    trials = [{"r": 0.2, "c": 0.001, "k": 7.0}, {"r": 0.6, "c": 0.005, "k": 7.0}]
    assert objective.scores(trials) == pytest.approx([6.75, 6.75])
    assert objective.scores([]) == []
    assert objective.relative and not objective.unscaled().relative


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=8), st.floats(1e-3, 1e3))
def test_range_scale_ignores_units(points, factor):
    """In whatever unit a metric is measured, the ranks by the scaled scalar are the same where it varies enough."""
    if any(max(column) - min(column) < 1e-2 for column in zip(*points, strict=True)):
        return
    objective = Goals((Objective("a", "max"), Objective("b", "min")), scale="range")
    plain = objective.scores([{"a": a, "b": b} for a, b in points])
    other = objective.scores([{"a": a, "b": b * factor} for a, b in points])
    assert other == pytest.approx(plain, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["cost", "latency", "tokens_per_request", "failure_rate", "invalid_rate"])
def test_operational_measures_need_no_direction(name):
    """What a call takes is minimised, on training and on validation examples; rewards are maximised."""
    assert Objective(name).direction == Objective(f"val_{name}").direction == "min"
    assert Objective("val_reward").direction == Objective("reward").direction == "max"
    assert Objective("val_cost", "max").direction == "max"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Objective("val_f1", "up"),
        lambda: Objective("val_f1", "max", 0),
        lambda: Objective("val_f1", "max", -1.0),
        lambda: Objective("val_f1", "max", math.nan),
        lambda: Objective("val_f1", "max", math.inf),
        lambda: Objective("val_f1", "max", "2"),
        lambda: as_goals([]),
        lambda: as_goals(["val_reward", "val_reward"]),
        lambda: as_goals(["val_reward", ["val_cost"]]),
        lambda: as_goals(["val_reward", as_goals(["val_cost"])]),
        lambda: as_goals(["val_reward", "val_cost"], scale="log"),
        lambda: as_goals(3),
        lambda: as_goals("val_f1").resolved({"reward": "max"}),
    ],
)
def test_wrong_objectives_are_refused(make: Any):
    """No or another direction, a weight that is no positive number, repeats and further lists are errors."""
    with pytest.raises(UsageError):
        make()


def test_what_a_tuner_takes():
    """A name, an objective, or a list of these."""
    assert as_goals("val_reward").directions == ["max"]
    single = Objective("val_f1", "max")
    assert as_goals(single).objectives == (single,) and not as_goals(single).listed
    several = as_goals([single, "val_cost"], scale="range")
    assert several.listed and several.scale == "range"
    assert [part.describe() for part in several.objectives] == [
        {"name": "val_f1", "direction": "max", "weight": 1.0},
        {"name": "val_cost", "direction": "min", "weight": 1.0},
    ]


@pytest.mark.parametrize(("constraint", "violation"), [("val_cost <= 0.5", -0.25), ("val_cost >= 0.5", 0.25)])
def test_violation_of_a_constraint(constraint, violation):
    """Above 0 on the wrong side of the bound; a metric that could not be measured keeps no bound."""
    assert as_constraint(constraint).violation({"val_cost": 0.25}) == violation
    assert as_constraint(constraint).violation({"val_reward": 1.0}) == math.inf


def test_a_constraint_from_numbers_of_numpy():
    """It is told as it is read, whatever the kind of its bound; another sign is refused."""
    bound = Constraint("val_cost", "<=", np.float64(0.5))
    assert as_constraint(bound.describe()) == bound
    with pytest.raises(UsageError, match=r"'val_cost': the sign must be '<=' or '>=' \(got '<'\)"):
        Constraint("val_cost", "<", 1)


def test_no_constraints():
    """None is an empty list; what is none is told."""
    assert as_goals("val_reward", None).constraints == ()
    with pytest.raises(UsageError, match="metric <= number"):
        as_goals("val_reward", 3)
    with pytest.raises(UsageError, match="name must be text"):
        Objective(5, "max")


@pytest.mark.parametrize("text", ["val_cost", "val_cost < 1", "val_cost <= cheap", "<= 1", "val_cost <= 1e999", "", 3])
def test_what_is_no_constraint(text):
    """A constraint that cannot be read is an error that says how one is written."""
    with pytest.raises(UsageError, match="metric <= number"):
        as_constraint(text)
