"""The search for a frontier: what it proposes, and that it does so repeatably."""

from __future__ import annotations

import logging
import statistics
import sys
from typing import Any

import pytest
from driving import drive, oracle_over, reward_and_cost, search, square, two_objectives
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bayesian import nested

from paretune.errors import UsageError
from paretune.files import canonical_json
from paretune.stats.pareto import non_dominated
from paretune.trials.constraint import as_constraint
from paretune.trials.goals import Objective
from paretune.tuners import ParetoSearch
from paretune.tuners.keras_api import HyperParameters
from paretune.tuners.oracles.optuna import ParetoOracle
from paretune.tuners.oracles.random import RandomOracle

SAMPLERS = ["tpe", "nsga2"]


def valley(values: Any) -> dict[str, float]:
    """The frontier lies where y is 0.2 and the style is formal: reward and cost both grow with x."""
    off = abs(values["y"] - 0.2) + 0.3 * (values["style"] != "formal")
    return {"val_reward": values["x"] - off, "val_cost": values["x"] ** 2 + off}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_finds_the_frontier(sampler):
    """Late proposals lie nearer to the frontier than random draws do, spread along it; both directions are heeded."""

    def off(kind: Any, **options: Any) -> tuple[float, float]:
        found = []
        for seed in range(2):
            oracle = oracle_over(kind, square, two_objectives(), seed=seed, slots=4, **options)
            found += drive(oracle, valley, 60)[40:]
        off = [abs(values["y"] - 0.2) + 0.3 * (values["style"] != "formal") for values in found]
        return statistics.mean(off), statistics.stdev(values["x"] for values in found)

    ours, spread = off(ParetoOracle, sampler=sampler, num_initial_points=10)
    drawn, _ = off(RandomOracle)
    assert ours < 0.6 * drawn and spread > 0.15


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_covers_a_small_space(sampler):
    """Each of eighteen points is proposed once, conditions respected, and then the search ends."""
    oracle = oracle_over(ParetoOracle, nested, two_objectives(), slots=3, sampler=sampler, num_initial_points=4)
    found = drive(oracle, lambda v: {"val_reward": v["examples"], "val_cost": v.get("temperature", 0.0)})
    assert len(set(map(canonical_json, found))) == len(found) == 18
    assert {"examples", "kind", "model", "polite"} == set.intersection(*map(set, found))
    assert all(("temperature" in values) is (values["model"] == "large") for values in found)
    assert {values.get("temperature") for values in found} == {None, 0.1, 0.2, 0.3}


@pytest.mark.parametrize("sampler", SAMPLERS)
@given(st.integers(1, 4), st.integers(0, 1000), st.integers(0, 14), st.booleans())
@settings(max_examples=6, deadline=None)
def test_same_trials_whatever_ends_first_and_when_resumed(sampler, slots, order, cut, bounded):
    """The trials depend neither on which of the running ones end first, nor on whether the search was interrupted,
    constraints included."""
    options: dict[str, Any] = {"constraints": [as_constraint("val_cost <= 10")]} if bounded else {}

    def oracle() -> Any:
        return oracle_over(
            ParetoOracle, square, two_objectives(), sampler=sampler, num_initial_points=4, slots=slots, **options
        )

    whole = drive(oracle(), reward_and_cost, 14)
    assert drive(oracle(), reward_and_cost, 14, recorded=whole[:cut], order=order) == whole


def test_nsga2_combines_earlier_trials():
    """After the random start NSGA-II proposes values of earlier trials, also where several run at once, and when nearly
    all trials are known from a record."""

    def oracle() -> Any:
        return oracle_over(ParetoOracle, square, two_objectives(), sampler="nsga2", num_initial_points=5, slots=4)

    whole = drive(oracle(), reward_and_cost, 40)
    inherited = [any(values["x"] == other["x"] for other in whole[:n]) for n, values in enumerate(whole)]
    assert not any(inherited[:5]) and sum(inherited[20:]) > 10
    assert drive(oracle(), reward_and_cost, 40, recorded=whole[:35]) == whole


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_long_search(sampler):
    """After hundreds of trials a proposal still follows from the best of all, the first ones among them, however many
    have failed since; and from the same ones when the search is resumed."""
    best = {"x": 0.5, "y": 0.2, "loud": 0, "style": "formal"}
    drawn = drive(oracle_over(RandomOracle, square), valley, 239)

    def oracle() -> Any:
        return oracle_over(ParetoOracle, square, two_objectives(), sampler=sampler, num_initial_points=4, slots=2)

    def only_the_first(values: Any) -> dict[str, float] | None:
        return valley(values) if values in [best, *drawn[:10]] else None

    whole = drive(oracle(), only_the_first, 250, recorded=[best, *drawn])
    assert whole != drive(oracle(), lambda values: None, 250, recorded=[best, *drawn])
    if sampler == "nsga2":
        parents = {values["x"] for values in whole[:11]}
        assert sum(values["x"] in parents for values in whole[240:]) > 5
    assert drive(oracle(), only_the_first, 250, recorded=whole[:246]) == whole


def test_a_long_search_within_a_constraint():
    """Of hundreds of trials those that keep the constraint are the parents, also where others beat them in all
    objectives; trials that fail take nobody's place."""
    drawn = drive(oracle_over(RandomOracle, square), valley, 400)
    parents = {values["x"] for values in drawn[:10]}

    def judge(values: Any) -> dict[str, float] | None:
        kept = values["x"] in parents
        if not kept and values["x"] < 0.4:
            return None
        return {"val_reward": values["x"] - kept, "val_cost": values["y"] + kept, "val_latency": 2.0 - kept}

    oracle = oracle_over(
        ParetoOracle,
        square,
        two_objectives(),
        sampler="nsga2",
        num_initial_points=8,
        constraints=[as_constraint("val_latency <= 1")],
    )
    found = drive(oracle, judge, 420, recorded=drawn)[400:]
    assert sum(values["x"] in parents for values in found) > 10


@pytest.mark.parametrize(("sampler", "initial"), [("tpe", 250), ("tpe", 150), ("nsga2", 150)])
def test_a_long_random_start(sampler, initial):
    """A sampler that is to begin with hundreds of random trials gets them all, and then proposes better ones."""

    def off(values: Any) -> float:
        return abs(values["y"] - 0.2) + 0.3 * (values["style"] != "formal")

    drawn = drive(oracle_over(RandomOracle, square), valley, 300)
    oracle = oracle_over(ParetoOracle, square, two_objectives(), sampler=sampler, num_initial_points=initial)
    found = drive(oracle, lambda v: valley(v) if v in drawn[:250] else None, 320, recorded=drawn)[300:]
    assert statistics.mean(map(off, found)) < 0.9 * statistics.mean(map(off, drawn))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_results_count(sampler):
    """After the random start the proposals follow from the results, each objective's and each constraint's."""

    def found(judge: Any, **options: Any) -> list[Any]:
        oracle = oracle_over(
            ParetoOracle, square, two_objectives(), sampler=sampler, num_initial_points=6, seed=1, **options
        )
        return drive(oracle, judge, 14)

    plain = found(valley)
    others = [
        found(lambda v: {**valley(v), "val_reward": v["y"]}),
        found(lambda v: {**valley(v), "val_cost": v["y"]}),
        found(valley, constraints=[as_constraint("val_cost >= 0.9")]),
        found(lambda v: None),
    ]
    assert all(other[:6] == plain[:6] and other != plain for other in others)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_constraints_are_kept(sampler):
    """Where a bound excludes half of the frontier, more of the late proposals keep it than by chance."""
    bound = as_constraint("val_reward >= 0.3")

    def kept(kind: Any, **options: Any) -> int:
        oracle = oracle_over(kind, square, two_objectives(), constraints=[bound], **options)
        return sum(bound.violation(valley(values)) <= 0 for values in drive(oracle, valley, 60)[30:])

    assert kept(ParetoOracle, sampler=sampler, num_initial_points=10) > 1.5 * kept(RandomOracle)


def test_choices_have_no_order():
    """Beside the best of some choices the next one in the list is no more promising than any other."""

    def declare(hp: HyperParameters) -> None:
        hp.Choice("style", list("abcdefghi"))
        hp.Float("y", 0.0, 1.0)

    styles = ""
    for seed in range(4):
        oracle = oracle_over(ParetoOracle, declare, seed=seed)
        found = drive(oracle, lambda values: {"val_reward": float(values["style"] == "e")}, 40)
        styles += "".join(values["style"] for values in found[10:])
    beside, far = styles.count("d") + styles.count("f"), styles.count("a") + styles.count("i")
    assert beside < 2 * far


def test_single_objective():
    """One objective works as well, and its best trial is found sooner than by chance."""

    def best(kind: Any) -> float:
        oracle = oracle_over(kind, square, Objective("val_reward"))
        drive(oracle, lambda v: {"val_reward": -abs(v["x"] - 0.7) - abs(v["y"] - 0.2)}, 40)
        return oracle.get_best_trials()[0].score

    assert best(ParetoOracle) > best(RandomOracle)


def test_seeds_and_restart():
    """Another seed gives other trials; after restart() nothing is left of the earlier ones, nor of a smaller space."""

    def oracle(seed: int) -> Any:
        return oracle_over(ParetoOracle, square, two_objectives(), sampler="nsga2", num_initial_points=3, seed=seed)

    def wider(oracle: Any) -> Any:
        oracle.hyperparameters.Float("z", 0.0, 1.0)
        return oracle

    again = oracle(0)
    drive(again, lambda values: None, 14)
    again.restart()
    found = drive(wider(again), valley, 14)
    assert found == drive(wider(oracle(0)), valley, 14) != drive(wider(oracle(1)), valley, 14)


def test_pending_trials_count():
    """Where a trial is running makes a difference for the next proposal, though it has no results yet."""
    proposed = set()
    for pending in range(3):
        oracle = oracle_over(ParetoOracle, square, two_objectives(), slots=2, num_initial_points=2)
        values = drive(oracle_over(RandomOracle, square), valley, 13)
        for number in range(10):
            trial = oracle.start(number, values[number])
            oracle.finish(trial, "COMPLETED", valley(values[number]), 0, None)
        oracle.start(10, values[10 + pending])
        proposed.add(canonical_json(oracle.propose(11)))
    assert len(proposed) > 1


def test_concurrency_changes_nothing(tmp_path):
    """The records of a search are the same at 1, 4 and 32 calls at once, in whatever order the replies come."""
    assert len({search(ParetoSearch, tmp_path / str(n), n) for n in (1, 4, 32)}) == 1


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("die_after", [35, 75])
def test_resumed_search(tmp_path, sampler, die_after):
    """A search that dies on the way goes on to the records of one that does not."""
    whole = search(ParetoSearch, tmp_path / "whole", sampler=sampler)
    assert search(ParetoSearch, tmp_path / "cut", die_after=die_after, sampler=sampler) is None
    assert search(ParetoSearch, tmp_path / "cut", sampler=sampler) == whole


def test_nothing_is_printed(capsys):
    """Optuna announces neither its studies nor its trials, and its other log messages are left as they are."""
    before = logging.getLogger("optuna").level
    drive(oracle_over(ParetoOracle, square, two_objectives(), num_initial_points=2), valley, 5)
    printed = capsys.readouterr()
    assert printed.out == printed.err == "" and logging.getLogger("optuna").level == before


def test_the_frontier_is_kept_apart_from_the_ranking(tmp_path):
    """The best trials are ranked by the scalar, as in every search."""
    oracle = oracle_over(ParetoOracle, square, two_objectives(), num_initial_points=4)
    drive(oracle, valley, 12)
    scores = [trial.score for trial in oracle.get_best_trials(12)]
    points = [
        [trial.metrics.get_best_value(n) for n in ("val_reward", "val_cost")] for trial in oracle.get_best_trials(12)
    ]
    assert scores == sorted(scores) == [cost - reward for reward, cost in points]
    assert non_dominated(points, ["max", "min"])[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "cmaes"}, "sampler must be one of 'tpe', 'nsga2', 'gp' .got 'cmaes'"),
        ({"num_initial_points": 0}, "num_initial_points must be at least 1"),
        ({"sampler": "nsga2", "num_initial_points": 1}, "num_initial_points must be at least 2"),
    ],
)
def test_impossible_options(options, message):
    """Options that cannot work are refused when the tuner is made."""
    with pytest.raises(UsageError, match=message):
        ParetoSearch(lambda hp: None, ["val_reward", "val_cost"], **options)


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [("optuna", {}, r"paretune\[pareto\]"), ("torch", {"sampler": "gp"}, "needs PyTorch")],
)
def test_missing_libraries(monkeypatch, module, options, message):
    """Without Optuna, and without PyTorch for the sampler that needs it, the error says what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=message):
        ParetoSearch(lambda hp: None, ["val_reward", "val_cost"], **options)
