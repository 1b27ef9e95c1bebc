"""Hyperband: its plan, who survives a round, and that survivors are trained as if they had never been interrupted."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odd_numbers import Number, Parity, asked, digest_of, fit_arguments, rows

from paretune import ChainOfThought, Input, Program, ScriptedLanguageModel, clear_session, run_maybe_nested
from paretune.errors import TransientError, UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.optimizers import RandomFewShot
from paretune.programs.trainer import History
from paretune.trials.goals import Objective, as_goals
from paretune.trials.record import TrialRecord
from paretune.tuners import Hyperband
from paretune.tuners.keras_api import HyperParameters, KerasHyperbandOracle, KerasObjective, Trial, TrialStatus
from paretune.tuners.oracles.base import same_point
from paretune.tuners.oracles.hyperband import HyperbandOracle


def continuous(hp: HyperParameters) -> None:
    """A space without end."""
    hp.Float("t", 0.0, 1.0)


def thirteen_points(hp: HyperParameters) -> None:
    """A space of as many points as a bracket has trials at most."""
    hp.Int("t", 1, 13)


def four_points(hp: HyperParameters) -> None:
    """A space of four points, two of them under a condition."""
    hp.Boolean("thinks")
    with hp.conditional_scope("thinks", [True]):
        hp.Int("words", 1, 3)


def oracle_of(
    declare: Any = continuous, objective: Any = "val_reward", constraints: Any = (), **options: Any
) -> HyperbandOracle:
    """An oracle over the space that a function declares."""
    space = HyperParameters()
    declare(space)
    goals = as_goals(objective, constraints)
    return HyperbandOracle(goals, hyperparameters=space, **{"max_epochs": 9, **options})


def worth(number: int) -> float:
    """What a trial achieves, by its number; no two are alike."""
    return random.Random(number).random()


def finish(oracle: HyperbandOracle, trial: Trial, failing: frozenset[int] = frozenset()) -> None:
    """End a trial, by its number."""
    number = int(trial.trial_id) - 1
    status = TrialStatus.FAILED if number in failing else TrialStatus.COMPLETED
    metrics = {} if number in failing else {"val_reward": worth(number)}
    oracle.finish(trial, status, metrics, 0, None)


def run(oracle: HyperbandOracle, slots: int = 1, order: int = 0, failing: frozenset[int] = frozenset()) -> list[Any]:
    """The values of all trials, by number, when so many run at once and end in a random order."""
    rng, running = random.Random(order), []
    while True:
        trial = oracle.create_trial("one") if len(running) < slots else None
        if trial is not None and trial.status == TrialStatus.RUNNING:
            running.append(trial)
            continue
        if not running:
            break
        finish(oracle, running.pop(rng.randrange(len(running))), failing)
    assert oracle.done() and len(oracle.trials) == oracle.total()
    return [dict(oracle.trials[number].hyperparameters.values) for number in sorted(oracle.trials)]


def test_the_plan_by_hand():
    """max_epochs=9, factor=3: 9, 3, 1 trials of 1, 3, 9 epochs, then 5 and 2 of 3 and 9, then 3 of 9.

    Trained: 9*1 + 3*(3-1) + 1*(9-3) = 21, 5*3 + 2*(9-3) = 27, 3*9 = 27, together 75 epochs in 23 trials.
    """
    plan = oracle_of().rounds()
    assert [(each.bracket, each.index, len(each.numbers), each.initial_epoch, each.epochs) for each in plan] == [
        (2, 0, 9, 0, 1),
        (2, 1, 3, 1, 3),
        (2, 2, 1, 3, 9),
        (1, 0, 5, 0, 3),
        (1, 1, 2, 3, 9),
        (0, 0, 3, 0, 9),
    ]
    assert sum(len(each.numbers) * (each.epochs - each.initial_epoch) for each in plan) == 75
    assert oracle_of().total() == 23 and oracle_of(hyperband_iterations=3).total() == 69


@pytest.mark.parametrize(("max_epochs", "factor"), [(9, 3), (10, 3), (8, 2), (20, 4), (1, 3)])
def test_plan_and_survivors_are_those_of_keras_tuner(tmp_path, max_epochs, factor):
    """One trial after the other, Keras-Tuner's oracle makes the same trials of the same survivors."""
    space = HyperParameters()
    continuous(space)
    reference = KerasHyperbandOracle(
        KerasObjective("val_reward", "max"), max_epochs=max_epochs, factor=factor, seed=1, hyperparameters=space
    )
    reference.verbose = 0
    reference._set_project_dir(str(tmp_path), "reference")
    expected = []
    for number in itertools.count():
        trial = reference.create_trial("one")
        if trial.status == TrialStatus.STOPPED:
            break
        expected.append(dict(trial.hyperparameters.values))
        reference.update_trial(trial.trial_id, {"val_reward": worth(number)})
        trial.status = TrialStatus.COMPLETED
        reference.end_trial(trial)
    found = run(oracle_of(max_epochs=max_epochs, factor=factor))
    for values in (*expected, *found):
        values["t"] = None
        if "tuner/trial_id" in values:
            values["tuner/trial_id"] = int(values["tuner/trial_id"])
    for values in found:
        if "tuner/trial_id" in values:
            values["tuner/trial_id"] -= 1  # ours count from 1
    assert found == expected


@example(space=thirteen_points, slots=12, order=0, failing=frozenset(range(9)))
@given(
    space=st.sampled_from([continuous, thirteen_points, four_points]),
    slots=st.integers(1, 12),
    order=st.integers(0, 99),
    failing=st.frozensets(st.integers(0, 45), max_size=35),
)
@settings(deadline=None, max_examples=60)
def test_trials_do_not_depend_on_how_many_run_at_once(space, slots, order, failing):
    """However many trials run at once, and in whatever order they end, each number has the same values."""
    alone = run(oracle_of(space, hyperband_iterations=2, seed=5), failing=failing)
    assert run(oracle_of(space, hyperband_iterations=2, seed=5), slots, order, failing) == alone


@example(failing=frozenset(range(9)))
@given(failing=st.frozensets(st.integers(0, 22), max_size=20))
@settings(deadline=None, max_examples=40)
def test_no_round_shrinks(failing):
    """Every place of a round is taken: by the best of the round before, and where these run out by a fresh draw, none
    that the bracket has tried."""
    oracle = oracle_of(thirteen_points)
    values = run(oracle, failing=failing)
    assert len(values) == 23
    for each in oracle.rounds():
        begun = [values[number] for number in each.numbers]
        assert all(one["tuner/epochs"] == each.epochs and one["tuner/round"] == each.index for one in begun)
        completed = [number for number in (each.previous.numbers if each.previous else ()) if number not in failing]
        best = sorted(completed, key=worth, reverse=True)[: len(begun)]
        survivors, fresh = begun[: len(best)], begun[len(best) :]
        assert [one["tuner/trial_id"] for one in survivors] == [f"{number + 1:04d}" for number in best]
        assert [one["t"] for one in survivors] == [values[number]["t"] for number in best]
        assert all(one["tuner/initial_epoch"] == each.initial_epoch for one in survivors)
        assert all(one["tuner/initial_epoch"] == 0 and "tuner/trial_id" not in one for one in fresh)
        bracket = [one["t"] for one in values[: each.numbers.stop] if one["tuner/bracket"] == each.bracket]
        assert all(bracket.count(one["t"]) == 1 for one in fresh)


def test_slots_do_not_idle():
    """While a round waits for its last trial, the next bracket's first round begins."""
    oracle = oracle_of()
    trials = [oracle.create_trial("one") for _ in range(12)]
    assert [int(trial.trial_id) - 1 for trial in trials] == [*range(9), 13, 14, 15]
    for trial in trials[1:9]:
        finish(oracle, trial)
    assert oracle.next_number() == 16
    finish(oracle, trials[0])
    assert oracle.next_number() == 9


def test_a_small_space_is_covered_in_each_bracket():
    """Four points: a bracket begins with each at most once, one of three goes on, and the search is complete."""
    oracle = oracle_of(four_points)
    values = run(oracle)
    # 9, 3, 1 become 4, ceil(4/3), ceil(4/9); 5, 2 become 4, 2; 3 stays.
    assert [len(each.numbers) for each in oracle.rounds()] == [4, 2, 1, 4, 2, 3]
    for each in oracle.rounds():
        points = [same_point(values[number]) for number in each.numbers]
        assert len(set(points)) == len(points)
    assert all(("words" in one) is one["thinks"] for one in values)


def test_an_iteration_begins_with_points_of_its_own():
    """Where the space allows, no point begins twice in an iteration."""
    oracle = oracle_of(lambda hp: hp.Int("n", 1, 17), seed=3, hyperband_iterations=2)
    values = run(oracle)
    begun = [[v["n"] for v in half if v["tuner/round"] == 0] for half in (values[:23], values[23:])]
    assert [sorted(numbers) for numbers in begun] == [list(range(1, 18))] * 2  # 9 + 5 + 3
    assert begun[0] != begun[1]


def test_seeds_and_iterations():
    """Another seed draws other points; more iterations begin with the same trials."""
    assert run(oracle_of(seed=1)) != run(oracle_of(seed=2))
    more = run(oracle_of(seed=1, hyperband_iterations=2))
    assert more[:23] == run(oracle_of(seed=1)) and more[23]["t"] != more[0]["t"]
    oracle = oracle_of(seed=1)
    run(oracle)
    oracle.restart()
    assert run(oracle) == more[:23]


def test_a_round_is_judged_among_its_own_trials():
    """Trials of other rounds do not count; what breaks a constraint comes last, by how far it does.

    Round 0 of bracket 1, with units of 0.4 of reward and 2 of cost: the scalars cost/2 - reward/0.4 are 0.5-1.25, 1-2,
    1.5-2.25, 0.5-1.5, 1-1.75, so the best are the second and fourth (-1, equal: the lower number first). A bound of 1
    on the cost is kept by the first and fourth.
    """
    objectives = [Objective("val_reward", unit=0.4), Objective("val_cost", unit=2)]
    logs = [(0.5, 1), (0.8, 2), (0.9, 3), (0.6, 1), (0.7, 2)]

    def survivors(constraints: list[str]) -> list[str]:
        oracle = oracle_of(objective=objectives, max_epochs=9, constraints=constraints)
        while (number := oracle.next_number()) is not None and number < 20:
            trial = oracle.start(number, oracle.propose(number))
            reward, cost = logs[number - 13] if 13 <= number < 18 else (100.0 * number, 0.0)
            oracle.finish(trial, TrialStatus.COMPLETED, {"val_reward": reward, "val_cost": cost}, 0, None)
        return [oracle.trials[f"{n + 1:04d}"].hyperparameters.values["tuner/trial_id"] for n in (18, 19)]

    assert survivors([]) == ["0015", "0017"]
    assert survivors(["val_cost <= 1"]) == ["0017", "0014"]


@pytest.mark.parametrize("options", [{"max_epochs": 0}, {"factor": 1}, {"hyperband_iterations": 0}, {"factor": 2.5}])
def test_impossible_plans_are_refused(options):
    """A plan that cannot be is an error that names the option."""
    with pytest.raises(UsageError, match=next(iter(options))):
        oracle_of(**options)


class Search:
    """Hyperband over a language model that gets better as training goes on: the more, the higher ``talent`` is."""

    def __init__(self, folder: Path, talents: int = 12) -> None:
        self.folder = folder
        self.talents = talents
        self.down: set[int] = set()
        self.model = ScriptedLanguageModel(
            self.reply, ledger=Ledger(folder / "ledger.sqlite"), concurrency=8, max_attempts=1
        )

    def reply(self, request: Request) -> str:
        talent = int(request.messages[0][1].split("talent ")[1].split(".")[0])
        if talent in self.down and asked(request) == 101:  # one of four validation examples
            raise TransientError("503")
        dice = int(digest_of(request)[:4], 16) / 65536  # of the examples shown, too
        ability = talent / self.talents * ((request.epoch + 1) / 9) ** 0.5 + 0.1 * dice
        right = (asked(request) % 4 + 0.5) / 4 < ability
        return json.dumps(
            {"thinking": f"{dice:.3f}", "parity": "odd" if (asked(request) % 2 == 1) is right else "even"}
        )

    def fit(self, record: TrialRecord, replicate: int = 0) -> History:
        """One training of a trial's configuration, from nothing to the trial's last epoch."""
        hyperparameters = HyperParameters()
        hyperparameters.values = dict(record.values)
        clear_session()
        program = run_maybe_nested(self.build_program(hyperparameters))
        epochs = record.values["tuner/epochs"]
        return run_maybe_nested(program.fit(**fit_arguments(), epochs=epochs, replicate=replicate, verbose=0))

    async def build_program(self, hp: Any) -> Program:
        talent = hp.Int("talent", 1, self.talents)
        inputs = Input(data_model=Number)
        module = ChainOfThought(data_model=Parity, language_model=self.model, instructions=f"talent {talent}.")
        program = Program(inputs=inputs, outputs=await module(inputs))
        program.compile(optimizer=RandomFewShot(1, 3, seed=2))
        return program

    def run(self, **options: Any) -> Hyperband:
        search = Hyperband(
            self.build_program,
            "val_reward",
            **{"max_epochs": 9, "directory": self.folder, "verbose": False, **options},
        )
        search.search(**fit_arguments())
        return search


@pytest.fixture
def search(tmp_path) -> Search:
    """A search in a folder of its own."""
    return Search(tmp_path)


def trained(record: TrialRecord) -> int:
    """How many epochs a trial was trained."""
    return record.values["tuner/epochs"] - record.values["tuner/initial_epoch"]


def test_survivors_are_trained_as_if_never_interrupted(search):
    """Each trial's state, replies and scores are those of one fit over all the epochs; calls made = calls planned."""
    tuner = search.run()
    records = tuner.trial_records()
    assert len(records) == 23 and sum(map(trained, records)) == 75
    assert all(record.calls == trained(record) * (6 + 4) for record in records)
    asked_by_search = list(search.model.backend.calls)
    assert len(asked_by_search) == tuner.session.paid <= 75 * 10 == sum(record.calls for record in records)
    for record in records:
        if record.values["tuner/round"] == 0:
            continue
        begun = tuner.records[record.values["tuner/trial_id"]]
        assert begun.values["talent"] == record.values["talent"]
        assert begun.values["tuner/epochs"] == record.values["tuner/initial_epoch"]
        history = search.fit(record)
        assert history.states[-1] == record.replicates[0].reached
        assert history.states[record.values["tuner/initial_epoch"] - 1] == begun.replicates[0].reached
        best = record.replicates[0]
        assert history.history["val_reward"][best.epoch] == best.metrics["val_reward"]
        assert best.metrics["val_reward"] == max(history.history["val_reward"][record.values["tuner/initial_epoch"] :])
        assert history.states[best.epoch]["modules"] == record.state["modules"]
    assert len(search.model.backend.calls) == len(asked_by_search)  # the ledger had every reply


def test_training_longer_helps(search):
    """Survivors are better after more epochs, and the winner is the best of those that were trained longest."""
    tuner = search.run()
    gains = [
        record.metrics["val_reward"] - tuner.records[record.values["tuner/trial_id"]].metrics["val_reward"]
        for record in tuner.trial_records()
        if "tuner/trial_id" in record.values
    ]
    assert min(gains) >= 0 and sum(gains) > 1
    assert tuner.get_best_hyperparameters()[0].values["tuner/epochs"] == 9


def test_more_iterations_continue_a_finished_search(search):
    """Raising hyperband_iterations runs the new ones only, and gives the records of a search that had them at once."""
    search.run(max_epochs=3)
    paid = len(search.model.backend.calls)
    more = search.run(max_epochs=3, hyperband_iterations=2)
    assert more.resumed == 6 and len(more.trial_records()) == 12
    assert len(search.model.backend.calls) > paid
    assert rows(search.run(max_epochs=3, hyperband_iterations=2, project_name="whole")) == rows(more)
    assert search.run(max_epochs=3, factor=2).resumed == 0


def test_epochs_of_search_do_not_count(search):
    """``epochs`` in search() is for other tuners: here the plan says how long, and the record is the same."""
    tuner = search.run(max_epochs=3)
    tuner.search(**fit_arguments(epochs=5))
    assert tuner.resumed == 6


def test_replicates_go_on_each_from_its_own_state(search):
    """Replicate r of a survivor continues replicate r; the calls are those of all replicates."""
    tuner = search.run(max_epochs=3, executions_per_trial=2)
    records = tuner.trial_records()
    assert all(record.calls == 2 * trained(record) * 10 for record in records)
    (record,) = [record for record in records if "tuner/trial_id" in record.values]
    for replicate, found in enumerate(record.replicates):
        assert search.fit(record, replicate).states[-1] == found.reached
    assert record.replicates[0].reached != record.replicates[1].reached


def test_failed_trials_leave_no_gap(search):
    """Where too many failed, a fresh configuration is trained from the start for all the epochs of its round."""
    search.down = set(range(1, 12))
    tuner = search.run(max_consecutive_failed_trials=99)
    records = tuner.trial_records()
    assert len(records) == 23
    fresh = [r for r in records if r.values["tuner/round"] and "tuner/trial_id" not in r.values]
    assert fresh and all(record.values["tuner/initial_epoch"] == 0 for record in fresh)
    search.down = set()
    again = search.run()
    assert again.resumed == sum(record.status == "COMPLETED" for record in records)
    assert {record.status for record in again.trial_records()} == {"COMPLETED"}
