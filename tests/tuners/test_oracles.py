"""What the oracles propose."""

from __future__ import annotations

import collections
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import UsageError
from paretune.files import canonical_json
from paretune.trials.goals import as_goals
from paretune.tuners.keras_api import HyperParameters, TrialStatus
from paretune.tuners.oracles.base import ReplayableOracle
from paretune.tuners.oracles.grid import GridOracle
from paretune.tuners.oracles.random import RandomOracle
from paretune.tuners.spaces import combinations, conditional_on, grid_values, space_size

Space = Callable[[HyperParameters], Any]


def oracle_of(kind: type[ReplayableOracle], declare: Space, **options: Any) -> Any:
    """An oracle over the space that a function declares."""
    space = HyperParameters()
    declare(space)
    return kind(as_goals("val_reward"), hyperparameters=space, **{"max_trials": None, "seed": 0, **options})


def proposals(oracle: ReplayableOracle, most: int = 10_000) -> list[dict[str, Any]]:
    """All values that an oracle proposes, until it stops."""
    found = []
    for _ in range(most):
        trial = oracle.create_trial("one")
        if trial.status != TrialStatus.RUNNING:
            assert trial.status == TrialStatus.STOPPED
            break
        found.append(dict(trial.hyperparameters.values))
    return found


def mixed(hp: HyperParameters) -> None:
    """One hyperparameter of each kind."""
    hp.Choice("model", ["a", "b", "c"])
    hp.Boolean("thinks")
    hp.Int("k", 1, 7, step=3)
    hp.Int("n", 0, 2)
    hp.Float("t", 0.1, 0.3, step=0.1)
    hp.Fixed("fixed", 5)


MIXED = list(itertools.product("abc", [False, True], [1, 4, 7], [0, 1, 2], [0.1, 0.2, 0.3], [5]))


def nested(hp: HyperParameters) -> None:
    """Hyperparameters that exist only under conditions, two of them of one name."""
    hp.Choice("model", ["small", "large"])
    with hp.conditional_scope("model", ["small"]):
        hp.Int("examples", 0, 2)
        hp.Boolean("thinks")
        with hp.conditional_scope("thinks", [True]):
            hp.Choice("words", [10, 20])
    with hp.conditional_scope("model", ["large"]):
        hp.Int("examples", 0, 1)


NESTED = [
    *({"model": "small", "examples": n, "thinks": False} for n in range(3)),
    *({"model": "small", "examples": n, "thinks": True, "words": w} for n in range(3) for w in (10, 20)),
    *({"model": "large", "examples": n} for n in range(2)),
]


def test_grid_visits_the_product_once():
    """Every combination exactly once, end points included, the last hyperparameter changing fastest."""
    found = proposals(oracle_of(GridOracle, mixed))
    assert [tuple(values.values()) for values in found] == MIXED
    assert list(found[0]) == ["model", "thinks", "k", "n", "t", "fixed"]


def test_grid_respects_conditions():
    """Under conditional scopes each reachable point is visited once, without the values that do not apply."""
    found = proposals(oracle_of(GridOracle, nested))
    assert sorted(map(canonical_json, found)) == sorted(map(canonical_json, NESTED))


@pytest.mark.parametrize("declare", [lambda hp: hp.Float("t", 0.0, 1.0), lambda hp: hp.Float("t", 1, 8, None, "log")])
def test_grid_needs_ends(declare):
    """A float without a step is refused by name, logarithmic or not."""
    with pytest.raises(UsageError, match="'t'"):
        proposals(oracle_of(GridOracle, declare))


@given(st.integers(-50, 50), st.integers(1, 12), st.integers(1, 40), st.sampled_from([1, 10, 100, 1000]))
@settings(deadline=None)
def test_steps_reach_the_end(low, step, count, unit):
    """Decimal ranges have every value that the decimals say, the last one included, and no rounding noise."""
    space = HyperParameters()
    space.Float("t", low / unit, (low + step * count) / unit, step=step / unit)
    assert list(grid_values(space.space[0])) == [(low + step * index) / unit for index in range(count + 1)]


@given(st.integers(1, 9), st.integers(2, 5), st.integers(0, 6), st.sampled_from(["log", "reverse_log"]))
@settings(deadline=None)
def test_logarithmic_steps_are_factors(low, step, count, sampling):
    """The values of Keras-Tuner, both ends included, as integers and as floats."""
    for kind in ("Int", "Float"):
        space = HyperParameters()
        getattr(space, kind)("n", low, low * step**count, step=step, sampling=sampling)
        (declared,) = space.space
        found = list(grid_values(declared))
        assert len(found) == count + 1 and (found[0], found[-1]) == (low, low * step**count)
        assert found == pytest.approx(sorted(declared.values))


def test_values_once_each():
    """A range of one value has one, with or without a step; a value that a choice repeats is tried once."""
    space = HyperParameters()
    space.Float("t", 0.3, 0.3)
    space.Int("n", 4, 4, step=3)
    space.Choice("c", [0.1, 0.1, 0.2])
    assert [list(grid_values(kind)) for kind in space.space] == [[0.3], [4], [0.1, 0.2]]


@pytest.mark.parametrize(("declare", "expected"), [(mixed, 162), (nested, 11)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_covers_a_small_space(declare, expected, seed):
    """A finite space is covered without repeats, whatever the draws, and then the search stops."""
    found = proposals(oracle_of(RandomOracle, declare, seed=seed))
    assert len(found) == expected
    assert sorted(map(canonical_json, found)) == sorted(map(canonical_json, proposals(oracle_of(GridOracle, declare))))


def test_random_draws_are_uniform():
    """Over many seeds the first draw takes each point about equally often, the ends of a float's steps included."""
    counts = collections.Counter(
        proposals(oracle_of(RandomOracle, lambda hp: hp.Float("t", 0.1, 0.4, step=0.1), seed=seed), 1)[0]["t"]
        for seed in range(400)
    )
    assert set(counts) == {0.1, 0.2, 0.3, 0.4} and min(counts.values()) > 70


def test_seeds():
    """The same seed gives the same trials, and 0 is a seed like any other."""

    def draw(seed: int) -> list[dict[str, Any]]:
        return proposals(
            oracle_of(RandomOracle, lambda hp: (hp.Float("t", 0.0, 1.0), hp.Int("k", 0, 99)), seed=seed), 8
        )

    assert draw(0) == draw(0) and draw(7) == draw(7)
    assert draw(0) != draw(7)


@pytest.mark.parametrize("kind", [GridOracle, RandomOracle])
def test_max_trials(kind):
    """No more than max_trials are proposed, and a larger budget begins with the same ones."""
    few, more = (proposals(oracle_of(kind, mixed, max_trials=n, seed=4)) for n in (5, 9))
    assert len(few) == 5 and len(more) == 9 and more[:5] == few


@pytest.mark.parametrize("kind", [GridOracle, RandomOracle])
def test_proposals_do_not_depend_on_how_trials_end(kind):
    """In whatever order trials end, and however well they went, the next proposals are the same."""

    def propose(rng: random.Random) -> list[dict[str, Any]]:
        oracle, open_trials, found = oracle_of(kind, mixed, seed=2), [], []
        for number in range(40):
            trial = oracle.create_trial(f"slot-{number}")
            found.append(dict(trial.hyperparameters.values))
            open_trials.append(trial)
            while open_trials and rng.random() < 0.5:
                ended = open_trials.pop(rng.randrange(len(open_trials)))
                status = rng.choice([TrialStatus.COMPLETED, TrialStatus.FAILED])
                oracle.finish(ended, status, {"val_reward": rng.random()}, 0, None)
        return found

    assert propose(random.Random(1)) == propose(random.Random(2)) == proposals(oracle_of(kind, mixed, seed=2))[:40]


@pytest.mark.parametrize("kind", [GridOracle, RandomOracle])
def test_restart(kind):
    """After restart() the same trials are proposed once more."""
    oracle = oracle_of(kind, nested, seed=3)
    first = proposals(oracle, 4)
    oracle.restart()
    assert oracle.trials == {} and proposals(oracle, 4) == first


spaces = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5), st.integers(0, 2)), max_size=5)


@given(spaces)
@settings(deadline=None)
def test_counting_agrees_with_listing(kinds):
    """The slow twin, over spaces whose conditions nest and whose names come twice."""
    space = HyperParameters()
    for place, (values, parent, value) in enumerate(kinds):
        name = f"h{place % 3}"
        parents = [kind.name for kind in space.space if kind.name != name]
        if parent < len(parents):
            with conditional_on(space, {parents[parent]: [value]}):
                space.Int(name, 0, values - 1)
        elif all(kind.name != name for kind in space.space):
            space.Int(name, 0, values - 1)
    points = [canonical_json(values) for values in combinations(space)]
    assert space_size(space) == len(points) == len(set(points))


def test_sizes_do_not_take_long():
    """Many parents declared before all their children are counted as fast as one after the other."""
    space = HyperParameters()
    for number in range(30):
        space.Boolean(f"use {number}")
    for number in range(30):
        with space.conditional_scope(f"use {number}", [True]):
            space.Choice(f"k {number}", [1, 2, 3])
    assert space_size(space) == 4**30


def test_size_of_a_space():
    """Finite spaces are counted, conditions respected, however large; a continuous one has no size."""
    space = HyperParameters()
    assert space_size(space) == 1
    mixed(space)
    assert space_size(space) == 162
    huge = HyperParameters()
    huge.Int("n", 0, 10**12)
    huge.Int("m", 1, 1000)
    assert space_size(huge) == (10**12 + 1) * 1000
    huge.Float("t", 0.0, 1.0)
    assert space_size(huge) is None


def test_random_draws_from_huge_and_logarithmic_ranges():
    """Ranges that cannot be listed are drawn from like any other."""
    oracle = oracle_of(RandomOracle, lambda hp: (hp.Int("n", 0, 10**12), hp.Int("m", 1, 1000, sampling="log")))
    found = proposals(oracle, 50)
    assert len({values["n"] for values in found}) == 50
    assert sum(values["m"] < 100 for values in found) > 20  # on a logarithmic scale two thirds lie below 100


def test_best_trials():
    """Completed trials only, the best first; of equals the earlier one."""
    oracle = oracle_of(GridOracle, mixed)
    for reward in (0.2, 0.9, None, 0.9, 0.5):
        trial = oracle.create_trial("one")
        status = TrialStatus.FAILED if reward is None else TrialStatus.COMPLETED
        oracle.finish(trial, status, {} if reward is None else {"val_reward": reward}, 0, None)
    assert [trial.trial_id for trial in oracle.get_best_trials(10)] == ["0002", "0004", "0005", "0001"]
    assert [trial.score for trial in oracle.get_best_trials(2)] == [0.9, 0.9]
