"""Bayesian optimization: what it proposes, and that it does so repeatably."""

from __future__ import annotations

import itertools
import statistics
from typing import Any

import pytest
from driving import drive, oracle_over, reward_and_cost, search, square, two_objectives
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.files import canonical_json
from paretune.trials.constraint import as_constraint
from paretune.tuners import BayesianOptimization, Objective
from paretune.tuners.keras_api import HyperParameters
from paretune.tuners.oracles.bayesian import BayesianOracle, KerasBayesianOracle
from paretune.tuners.oracles.random import RandomOracle
from paretune.tuners.spaces import UnitCube, grid_values


def hill(values: Any) -> dict[str, float]:
    """A smooth reward with its top at 0.6, 0.2, where the style is formal."""
    far = (values["x"] - 0.6) ** 2 + (values["y"] - 0.2) ** 2
    return {"val_reward": 1.0 - far - 0.1 * (values["style"] != "formal")}


def nested(hp: HyperParameters) -> None:
    """Conditions, a name declared twice, booleans as values, a fixed value, and steps that binary floats miss."""
    hp.Choice("model", ["small", "large"])
    hp.Fixed("kind", "test")
    hp.Choice("polite", [True, False])
    with hp.conditional_scope("model", ["small"]):
        hp.Int("examples", 0, 2)
    with hp.conditional_scope("model", ["large"]):
        hp.Int("examples", 0, 1)
        hp.Float("temperature", 0.1, 0.3, step=0.1)


def test_it_is_keras_tuners():
    """The surrogate comes from Keras-Tuner's oracle."""
    assert issubclass(BayesianOracle, KerasBayesianOracle)


def test_finds_the_top_sooner_than_random_draws():
    """On a smooth function the best of thirty trials is much nearer to the top than with random draws."""

    def missed(kind: Any, seed: int) -> float:
        oracle = oracle_over(kind, square, seed=seed, slots=2)
        drive(oracle, hill, 30)
        return 1.0 - oracle.get_best_trials()[0].score

    seeds = range(3)
    found = statistics.mean(missed(BayesianOracle, seed) for seed in seeds)
    assert found < 0.1 * statistics.mean(missed(RandomOracle, seed) for seed in seeds)


def test_first_points_are_random_by_number():
    """The first proposals are those of a random search: by default three for each hyperparameter."""
    for initial, expected in [(None, 12), (5, 5)]:
        ours = drive(oracle_over(BayesianOracle, square, num_initial_points=initial), hill, 14)
        drawn = drive(oracle_over(RandomOracle, square), hill, 14)
        assert ours[:expected] == drawn[:expected] and ours[expected] != drawn[expected]


def test_directions_and_seeds():
    """What is minimised is proposed as its negative is when maximised; another seed gives other trials."""

    def found(seed: int = 0, objective: Any = None, sign: float = 1.0) -> list[Any]:
        oracle = oracle_over(BayesianOracle, square, objective, num_initial_points=4, seed=seed)
        return drive(oracle, lambda values: {"val_reward": sign * hill(values)["val_reward"]}, 9)

    assert found() == found(objective=Objective("val_reward", "min"), sign=-1.0)
    first, second = found(seed=0), found(seed=1)
    assert not any(values in second for values in first)


def test_no_point_comes_twice():
    """Where the surrogate goes back to the best point, and so do many draws, something new is proposed."""

    def declare(hp: HyperParameters) -> None:
        hp.Boolean("warm")
        with hp.conditional_scope("warm", [True]):
            hp.Float("temperature", 0.1, 1.0)

    oracle = oracle_over(BayesianOracle, declare, num_initial_points=3)
    found = drive(oracle, lambda values: {"val_reward": 0.0 if values["warm"] else 1.0}, 20)
    assert len(set(map(canonical_json, found))) == 20


@pytest.mark.parametrize("seed", [0, 1])
def test_covers_a_small_space(seed):
    """Each point of a finite space is proposed once, conditions respected, and then the search ends."""
    oracle = oracle_over(BayesianOracle, nested, seed=seed, slots=3, num_initial_points=4)
    found = drive(oracle, lambda values: {"val_reward": values["examples"] + (values["model"] == "large")})
    expected = [
        *({"model": "small", "kind": "test", "polite": p, "examples": n} for p in (0, 1) for n in range(3)),
        *(
            {"model": "large", "kind": "test", "polite": p, "examples": n, "temperature": t}
            for p, n, t in itertools.product((0, 1), range(2), (0.1, 0.2, 0.3))
        ),
    ]
    assert sorted(map(canonical_json, found)) == sorted(map(canonical_json, expected))


def test_best_points_come_first():
    """In a finite space the optimum is met long before the space is covered."""

    def declare(hp: HyperParameters) -> None:
        hp.Int("x", 0, 19)
        hp.Int("y", 0, 19)

    oracle = oracle_over(BayesianOracle, declare, num_initial_points=6)
    found = drive(oracle, lambda v: {"val_reward": -((v["x"] - 13) ** 2) - (v["y"] - 4) ** 2}, 30)
    assert {"x": 13, "y": 4} in found


def test_keeps_away_from_pending_trials():
    """Where both sides promise the same, the next proposal is on the side that no running trial is on."""
    for pending in (0.25, 0.75):
        oracle = oracle_over(BayesianOracle, lambda hp: hp.Float("x", 0.0, 1.0), slots=2, num_initial_points=3)
        for number, (x, reward) in enumerate([(0.0, 0.0), (0.5, 0.1), (1.0, 0.0)]):
            oracle.finish(oracle.start(number, {"x": x}), "COMPLETED", {"val_reward": reward}, 0, None)
        oracle.start(3, {"x": pending})
        assert (oracle.propose(4)["x"] > 0.5) is (pending < 0.5)


def test_large_grids():
    """Where there are too many points to compare, values are still on their grids, the last ones included, and no point
    comes twice."""

    def declare(hp: HyperParameters) -> None:
        hp.Float("x", 0.0, 1.0, step=0.1)
        hp.Int("y", 1, 1000, sampling="log")
        hp.Int("z", 0, 4)

    oracle = oracle_over(BayesianOracle, declare, num_initial_points=4)
    found = drive(oracle, lambda v: {"val_reward": v["x"] + v["y"] / 1000 + v["z"]}, 25)
    assert all(values["x"] in grid_values(oracle.hyperparameters.space[0]) for values in found)
    assert all(1 <= values["y"] <= 1000 for values in found)
    assert len(set(map(canonical_json, found))) == 25
    assert {"x": 1.0, "y": 1000, "z": 4} in found


def test_constraints_are_kept():
    """With the top on the wrong side of a bound, most proposals keep it, and the best lies near it."""
    bound = as_constraint("val_cost <= 0.4")
    oracle = oracle_over(BayesianOracle, square, constraints=[bound], num_initial_points=8)
    found = drive(oracle, lambda v: {**hill(v), "val_cost": v["x"]}, 30)
    best = oracle.get_best_trials()[0].hyperparameters.values
    assert 0.3 < best["x"] <= 0.4
    assert sum(values["x"] <= 0.4 for values in found[8:]) > 11


@pytest.mark.parametrize(
    "judge", [lambda v: None, lambda v: {"val_reward": 0.5}, lambda v: {"val_reward": 1e30 * v["x"]}]
)
def test_hopeless_scores(judge):
    """Trials that all fail, or are all alike, or differ beyond measure, keep nobody from proposing."""
    found = drive(oracle_over(BayesianOracle, square, slots=3, num_initial_points=2), judge, 12)
    assert len(set(map(canonical_json, found))) == 12


def test_all_trials_break_the_constraint():
    """Until one keeps the bound, the search explores."""
    bound = as_constraint("val_reward >= 2")
    oracle = oracle_over(BayesianOracle, square, constraints=[bound], num_initial_points=3)
    found = drive(oracle, hill, 10)
    assert len(set(map(canonical_json, found))) == 10


@given(st.integers(1, 4), st.integers(0, 1000), st.integers(0, 11))
@settings(max_examples=8, deadline=None)
def test_same_trials_whatever_ends_first_and_when_resumed(slots, order, cut):
    """The trials depend neither on which of the running ones end first, nor on whether the search was interrupted."""

    def oracle() -> Any:
        return oracle_over(BayesianOracle, square, two_objectives(), slots=slots, num_initial_points=3, seed=order % 3)

    whole = drive(oracle(), reward_and_cost, 11)
    assert drive(oracle(), reward_and_cost, 11, recorded=whole[:cut], order=order) == whole


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_points_and_vectors(data):
    """A point's vector leads back to the point."""
    space = HyperParameters()
    nested(space)
    square(space)
    cube = UnitCube(space)
    vector = data.draw(st.lists(st.floats(0, 1), min_size=cube.dimensions, max_size=cube.dimensions))
    values = cube.values(vector)
    again = cube.values(cube.vector(values))
    assert {name: pytest.approx(value) for name, value in values.items()} == again


def test_concurrency_changes_nothing(tmp_path):
    """The records of a search are the same at 1, 4 and 32 calls at once, in whatever order the replies come."""
    assert len({search(BayesianOptimization, tmp_path / str(n), n) for n in (1, 4, 32)}) == 1


@pytest.mark.parametrize("die_after", [15, 55, 85])
def test_resumed_search(tmp_path, die_after):
    """A search that dies on the way goes on to the records of one that does not."""
    whole = search(BayesianOptimization, tmp_path / "whole")
    assert search(BayesianOptimization, tmp_path / "cut", die_after=die_after) is None
    assert search(BayesianOptimization, tmp_path / "cut") == whole


def test_raised_max_trials(tmp_path):
    """A finished search with a larger budget goes on as if it had had it from the start."""
    search(BayesianOptimization, tmp_path / "few", trials=6)
    assert search(BayesianOptimization, tmp_path / "few") == search(BayesianOptimization, tmp_path / "whole")


@pytest.mark.parametrize(
    "options", [{"num_initial_points": 0}, {"alpha": 0.0}, {"alpha": float("nan")}, {"beta": -1.0}, {"seed": 2**32}]
)
def test_impossible_options(options):
    """Options that cannot work are refused by name when the tuner is made."""
    with pytest.raises(UsageError, match=next(iter(options))):
        BayesianOptimization(lambda hp: None, "val_reward", **options)
