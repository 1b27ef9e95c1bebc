"""Objectives, and the scalar by which trials are ranked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.trials.constraint import Constraint, as_constraint
from paretune.trials.goals import Goals, Objective, as_goals
from paretune.tuners.keras_api import KerasMultiObjective, KerasObjective

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
DIRECTIONS = st.lists(st.sampled_from(["min", "max"]), min_size=1, max_size=5)


@given(DIRECTIONS, st.data())
def test_scalar_is_that_of_keras_tuner(directions, data):
    """With all units 1 the scalar equals Keras-Tuner's: the sum of what is minimised less what is maximised."""
    names = [f"m{index}" for index in range(len(directions))]
    logs = {name: data.draw(NUMBERS) for name in names}
    ours = Goals(tuple(Objective(*pair) for pair in zip(names, directions, strict=True)))
    theirs = KerasMultiObjective([KerasObjective(*pair) for pair in zip(names, directions, strict=True)])
    assert ours.score(logs) == pytest.approx(theirs.get_value(logs), rel=1e-9, abs=1e-6)
    assert ours.order([logs, {**logs, names[0]: logs[names[0]] + (1 if directions[0] == "min" else -1)}]) == [0, 1]


def test_units():
    """0.5 / 0.25 of cost less 0.25 / 0.5 of reward: 2 - 0.5."""
    goals = Goals((Objective("val_reward", "max", 0.5), Objective("val_cost", "min", 0.25)))
    assert goals.score({"val_reward": 0.25, "val_cost": 0.5}) == 1.5


def test_units_left_out():
    """A hundredth of the reward is worth 100 tokens or a hundredth of a cent an example, or a second a call."""
    goals = as_goals(["val_reward", "val_tokens_per_request", "val_cost", "val_latency", "val_invalid_rate"])
    assert [objective.unit for objective in goals.objectives] == [1.0, 10_000.0, 0.01, 100.0, 1.0]


def test_the_last_digits_decide_nothing():
    """Of equals to ten digits the earlier comes first: 0.1 as a mean of (0, 0, .3) and of (0, .1, .2) is one number."""
    goals = as_goals(["val_reward"])
    assert goals.order([{"val_reward": 0.09999999999999999}, {"val_reward": 0.10000000000000002}]) == [0, 1]
    assert as_goals("val_reward", "val_reward >= 0.1").feasible({"val_reward": 0.09999999999999999})


def test_broken_constraints_are_ranked_by_how_far():
    """Three times the bound is worse than twice the bound, whatever the reward; what cannot be measured is worst."""
    goals = as_goals("val_reward", "val_cost <= 2")
    trials = [{"val_reward": 1.0}, {"val_reward": 0.9, "val_cost": 6.0}, {"val_reward": 0.1, "val_cost": 4.0}]
    assert goals.order(trials) == [2, 1, 0]
    assert goals.order([*trials, {"val_reward": 0.0, "val_cost": 2.0}]) == [3, 2, 1, 0]


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
        lambda: as_goals(3),
        lambda: as_goals("val_f1").resolved({"reward": "max"}),
    ],
)
def test_wrong_objectives_are_refused(make: Any):
    """No or another direction, a unit that is no positive number, repeats and further lists are errors."""
    with pytest.raises(UsageError):
        make()


def test_what_a_tuner_takes():
    """A name, an objective, or a list of these."""
    assert as_goals("val_reward").directions == ["max"]
    single = Objective("val_f1", "max")
    assert as_goals(single).objectives == (single,) and not as_goals(single).listed
    several = as_goals([single, "val_cost"])
    assert several.listed
    assert several.objectives == (Objective("val_f1", "max", 1.0), Objective("val_cost", "min", 0.01))


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
