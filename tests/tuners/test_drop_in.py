"""Habits of Keras-Tuner that work here: its names, its hooks, a new tuner on an old folder, and its grids."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_numbers import Number, Parity, fit_arguments, make_builder, mostly_right, numbers

from paretune import Generator, Input, Program, ScriptedLanguageModel, run_maybe_nested
from paretune.datasets import Dataset
from paretune.errors import UsageError
from paretune.estimating.estimate import estimate
from paretune.lm.language_model import LanguageModel
from paretune.metrics import MeanMetricWrapper
from paretune.trials.goals import Goals, Objective
from paretune.tuners import GridSearch, HyperParameters, RandomSearch
from paretune.tuners.keras_api import FailedTrialError
from paretune.tuners.oracles.grid import GridOracle
from paretune.tuners.spaces import grid_points, space_size
from paretune.tuners.tuner import Tuner


@pytest.fixture
def model() -> LanguageModel:
    """A scripted language model."""
    return ScriptedLanguageModel(mostly_right)


@pytest.fixture
def make(tmp_path, model) -> Callable[..., Tuner]:
    """Makes tuners on one folder."""

    def tuner(hypermodel: Any = None, objective: Any = "val_f1", kind: Any = GridSearch, **options: Any) -> Tuner:
        return kind(hypermodel or make_builder(model), objective, directory=tmp_path, **{"verbose": False, **options})

    return tuner


def generator_builder(model: LanguageModel, decide: Callable[[Any], Any], **compiled: Any) -> Callable[[Any], Any]:
    """A hypermodel whose temperature ``decide`` finds."""

    async def build_program(hp: Any) -> Program:
        temperature = decide(hp)
        inputs = Input(data_model=Number)
        outputs = await Generator(data_model=Parity, language_model=model, temperature=temperature)(inputs)
        program = Program(inputs=inputs, outputs=outputs)
        program.compile(**compiled)
        return program

    return build_program


def test_names_of_keras_tuner(make, model):
    """The hypermodel builds the best program from its hyperparameters, and the best models are there without await."""
    tuner = make()
    tuner.search(**fit_arguments())
    best = tuner.get_best_hyperparameters()[0]
    assert isinstance(asyncio.run(tuner.hypermodel.build(best)), Program)
    models = tuner.get_best_models(2)
    states = [program.get_state()["modules"] for program in models]
    ranked = tuner.oracle.get_best_trials(2)
    assert states == [tuner.records[trial.trial_id].state["modules"] for trial in ranked]


def test_a_new_tuner_knows_the_results(make, model, capsys):
    """Without search() it has the trials, the best hyperparameters and the trained programs of the last search here,
    says so in one line, and calls nobody."""
    old = make()
    old.search(**fit_arguments())
    made, asked = [program.get_state() for program in old.get_best_models(6)], len(model.backend.calls)
    new = make(verbose=True)
    assert new.trial_records() == old.trial_records()
    assert capsys.readouterr().err.splitlines() == [
        f"note: the results are those of the last search here, '{next(old.project_dir.glob('*.jsonl'))}'"
    ]
    assert [hp.values for hp in new.get_best_hyperparameters(6)] == [
        hp.values for hp in old.get_best_hyperparameters(6)
    ]
    assert [program.get_state() for program in run_maybe_nested(new.get_best_programs(6))] == made
    old.results_summary()
    printed = capsys.readouterr().out
    make().results_summary()
    assert capsys.readouterr().out == printed and "6 best of 6 trials" in printed
    assert len(model.backend.calls) == asked
    new.search(**fit_arguments())
    assert new.resumed == 6 and new.trial_records() == old.trial_records()


def test_results_of_another_search_are_not_taken(make, model):
    """A record with hyperparameters that this space has not, or without its objectives, is passed over; and
    overwrite=True knows nothing."""
    make().search(**fit_arguments())
    other = generator_builder(model, lambda hp: hp.Choice("temperature", [0.0, 0.5]))
    assert make(other, "val_reward").trial_records() == []
    assert make(overwrite=True).oracle.get_best_trials() == []
    assert len(make().oracle.get_best_trials(9)) == 6


def test_the_space_is_known_without_a_search(make, model, capsys):
    """A new tuner's oracle knows every hyperparameter, and the summary takes ``extended``."""
    tuner = make()
    assert [kind.name for kind in tuner.oracle.get_space().space] == ["thinks", "temperature"]
    tuner.search_space_summary(extended=True)
    assert capsys.readouterr().out.startswith("2 hyperparameters, 6 configurations") and not model.backend.calls


def test_a_direction_is_that_of_the_metric(make, model):
    """An objective by its name alone is maximised or minimised as its metric says; with the direction it is the very
    same search. A name of no metric is refused before any call."""
    far = MeanMetricWrapper(fn=lambda y_true, y_pred: 0.0, direction="min", invalid=1.0, name="far")
    builder = generator_builder(model, lambda hp: hp.Choice("t", [0.0, 0.5]), metrics=[far])
    tuner = make(builder, ["val_far", "val_reward"])
    tuner.search(**fit_arguments())
    assert (
        tuner.oracle.goals.directions
        == ["min", "max"]
        == [part.direction for part in tuner.oracle.objective.objectives]
    )
    again = make(builder, [Objective("val_far", "min"), "val_reward"])
    again.search(**fit_arguments())
    assert again.resumed == 2
    with pytest.raises(UsageError, match="'val_near' is reported by no metric"):
        make(builder, "val_near").search(**fit_arguments())
    with pytest.raises(UsageError, match="'val_near' is reported by no metric"):
        make(builder, "val_near").results_summary()


@pytest.mark.parametrize("verbose", [0, False])
def test_silent_searches(make, capsys, verbose):
    """verbose=0 among the arguments of search() silences all of it, however the tuner was made."""
    make(verbose=True).search(**fit_arguments(verbose=verbose))
    assert capsys.readouterr() == ("", "")


def test_a_rejected_combination_fails_alone(make, model):
    """FailedTrialError rejects one combination, also many in a row and that of the defaults: its trial is FAILED with
    no call, the others run, and the estimate counts those."""

    def decide(hp: Any) -> float:
        temperature = hp.Choice("t", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
        if temperature < 0.4:
            raise FailedTrialError(f"{temperature} is too cold")
        return temperature

    assert importlib.import_module("keras_tuner.errors").FailedTrialError is FailedTrialError
    tuner = make(generator_builder(model, decide), "val_reward", max_retries_per_trial=2)
    assert estimate(tuner, **fit_arguments()).calls.low == 2 * 4
    tuner.search(**fit_arguments())
    records = tuner.trial_records()
    assert [record.status for record in records] == ["FAILED"] * 4 + ["COMPLETED"] * 2
    assert records[0].error == "rejected by the hypermodel: 0.0 is too cold" and records[0].calls == 0
    assert len(model.backend.calls) == 2 * 4 and tuner.get_best_hyperparameters()[0].get("t") in (0.4, 0.5)


def test_rejecting_everything_is_an_error(make):
    """A hypermodel that rejects all that was tried stops the search before any call, with its reason."""

    def build_program(hp: Any) -> Any:
        raise FailedTrialError(f"no {hp.Boolean('x')}")

    with pytest.raises(UsageError, match="rejects every combination that was tried; the first one: no False"):
        make(build_program, "val_reward").search(**fit_arguments())


@pytest.mark.parametrize("hook", ["run_trial", "on_epoch_end", "load_model"])
def test_hooks_that_nobody_would_call(hook):
    """A subclass with a method that Keras-Tuner calls and this library does not is refused, with what to do instead."""
    with pytest.raises(UsageError, match=rf"Mine\.{hook}\(\) would never be called.*build_program.*callbacks"):
        type("Mine", (RandomSearch,), {hook: lambda self, *args: None})


def test_a_trial_has_a_duration(make, capsys):
    """How long a trial took is known now and to later tuners, is shown, and is in no row that two runs must share."""
    tuner = make()
    tuner.search(**fit_arguments())
    seconds = [record.seconds for record in tuner.trial_records()]
    assert all(second > 0 for second in seconds) and [r.seconds for r in make().trial_records()] == seconds
    assert "seconds" not in tuner.trial_records()[0].row()
    tuner.results_summary(1)
    assert f"{tuner.records[tuner.oracle.get_best_trials()[0].trial_id].seconds:.1f} s" in capsys.readouterr().out


class Numbers(Dataset):
    """Numbers and what they are, in batches of three."""

    batch_size = 3

    def __init__(self, count: int, start: int = 0, gold: bool = True) -> None:
        self.rows = [pair if gold else pair[:1] for pair in zip(*numbers(count, start), strict=True)]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        yield from self.rows


def test_datasets_in_the_place_of_x(make, model):
    """fit, evaluate, predict and search take a dataset as x and as validation data: the same as its arrays."""
    tuner = make()
    tuner.search(Numbers(6), validation_data=Numbers(4, start=100))
    again = make()
    again.search(**fit_arguments())
    assert again.resumed == 6 and tuner.trial_records() == again.trial_records()
    program = tuner.get_best_models()[0]
    run = run_maybe_nested
    of_arrays = run(program.evaluate(*numbers(4), verbose=0))
    assert run(program.evaluate(Numbers(4), verbose=0)) == pytest.approx(of_arrays, nan_ok=True)
    assert len(run(program.predict(Numbers(4)))) == 4
    found = run(program.fit(Numbers(6), validation_data=Numbers(4, start=100), verbose=0)).history
    assert {"reward", "val_reward"} <= found.keys()
    for arguments in ((Numbers(4, gold=False),), (Numbers(4), numbers(4)[1]), (numbers(4)[0],)):
        with pytest.raises(UsageError, match="gold records"):
            run(program.evaluate(*arguments, verbose=0))


def grid(declare: Callable[[HyperParameters], object]) -> list[tuple[Any, ...]]:
    """The points of a grid search, in order."""
    space = HyperParameters()
    declare(space)
    oracle = GridOracle(Goals((Objective("val_reward"),)), hyperparameters=space)
    found = []
    while (number := oracle.next_number()) is not None and (values := oracle.propose(number)) is not None:
        oracle.start(number, values)
        found.append(tuple(values.values()))
    assert len(found) == len(set(found)) == oracle.total()
    return found


def test_grids_begin_with_the_defaults():
    """The first trial has every default, then each hyperparameter's default comes before its other values."""
    found = grid(lambda hp: (hp.Boolean("a", default=True), hp.Choice("b", [1, 2, 3], default=2), hp.Int("c", 0, 1)))
    assert found[:4] == [(True, 2, 0), (True, 2, 1), (True, 1, 0), (True, 1, 1)] and len(found) == 12


@given(st.integers(1, 9), st.integers(0, 10**6), st.sampled_from(["log", "reverse_log"]))
@settings(deadline=None)
def test_logarithmic_integers_have_keras_tuners_points(low, width, sampling):
    """Without a step a grid has the values that Keras-Tuner's has, the default first; other searches draw from all."""
    space = HyperParameters()
    space.Int("n", low, low + width, sampling=sampling)
    (kind,) = space.space
    found = list(grid_points(kind))
    assert found[0] == kind.default and set(found) == {*kind.values, kind.default} and len(found) <= 11
    assert found[1:] == sorted(found[1:]) and space_size(space) == width + 1
