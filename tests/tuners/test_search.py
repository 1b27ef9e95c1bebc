"""A whole search: what it costs, what it records, how it stops, and how it goes on."""

from __future__ import annotations

import asyncio
import inspect
import json
import traceback
from collections.abc import Callable
from typing import Any, Literal

import pytest
from odd_numbers import (
    Number,
    Parity,
    asked,
    fit_arguments,
    make_builder,
    mostly_right,
    numbers,
    rows,
)

from paretune import (
    Budget,
    ChainOfThought,
    DataModel,
    Field,
    Generator,
    Input,
    Program,
    ScriptedLanguageModel,
    run_maybe_nested,
)
from paretune.errors import FatalError, SearchError, TransientError, UsageError
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Price, Request
from paretune.metrics import CategoricalF1Score
from paretune.optimizers import RandomFewShot
from paretune.rewards import ExactMatch
from paretune.trials.rules import Rule
from paretune.tuners import BayesianOptimization, GridSearch, Hyperband, Objective, ParetoSearch, RandomSearch
from paretune.tuners.tuner import Tuner

MakeModel = Callable[..., LanguageModel]
#: 2 x 3 points, each 6 training and 4 validation examples.
CALLS = 6 * (6 + 4)


@pytest.fixture
def model(tmp_path) -> MakeModel:
    """Makes scripted language models that share a ledger."""
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def make(script: Any = mostly_right, **options: Any) -> LanguageModel:
        return ScriptedLanguageModel(script, **{"ledger": ledger, "max_attempts": 1, **options})

    return make


@pytest.fixture
def tuner(tmp_path) -> Callable[..., Tuner]:
    """Makes tuners whose state is kept in one folder."""

    def make(builder: Any, kind: type[Tuner] = GridSearch, **options: Any) -> Tuner:
        options = {"objective": ["val_reward", Objective("val_f1", "max")], "verbose": False, **options}
        return kind(builder, **{"directory": tmp_path, "project_name": "search", **options})

    return make


def simple_builder(model: LanguageModel, declare: Any = lambda hp: hp.Choice("t", [0.0, 0.5]), **compiled: Any) -> Any:
    """A hypermodel without training; its first hyperparameter is the temperature."""

    async def build_program(hp: Any) -> Program:
        temperature = declare(hp)
        inputs = Input(data_model=Number)
        module = Generator(data_model=Parity, language_model=model, temperature=temperature)
        program = Program(inputs=inputs, outputs=await module(inputs))
        program.compile(**compiled)
        return program

    return build_program


def test_grid_search(model, tuner, capsys):
    """A search records every point with its measures; the best by the scalar agree everywhere."""
    lm = model()
    search = tuner(make_builder(lm))
    search.search(**fit_arguments())
    records = search.trial_records()
    assert [record.trial for record in records] == [f"{n:04d}" for n in range(1, 7)]
    assert [(record.values["thinks"], record.values["temperature"]) for record in records] == [
        (thinks, temperature) for thinks in (False, True) for temperature in (0.0, 0.5, 1.0)
    ]
    assert all(record.status == "COMPLETED" and record.n == 4 and record.calls == 10 for record in records)
    assert len(lm.backend.calls) == CALLS == search.session.paid
    for record in records:
        assert record.score == -(record.metrics["val_reward"] + record.metrics["val_f1"])
        rewards = [example.reward for example in record.replicates[0].examples]
        assert record.metrics["val_reward"] == sum(rewards) / 4
    ranked = sorted(records, key=lambda record: record.score)
    assert [trial.trial_id for trial in search.oracle.get_best_trials(6)] == [record.trial for record in ranked]
    assert [hp.values for hp in search.get_best_hyperparameters(2)] == [record.values for record in ranked[:2]]
    search.results_summary(2)
    printed = capsys.readouterr().out
    assert "2 best of 6 trials" in printed and f"trial {ranked[0].trial}" in printed and "temperature=" in printed


def test_best_programs_have_their_trained_state(model, tuner):
    """A rebuilt program shows the examples that the trial had found, and scores as the trial did."""
    search = tuner(make_builder(model()))
    search.search(**fit_arguments())
    (program,) = run_maybe_nested(search.get_best_programs())
    best = search.records[search.oracle.get_best_trials()[0].trial_id]
    assert program.generators[0].examples and program.get_state()["modules"] == best.state["modules"]
    values = run_maybe_nested(program.evaluate(*numbers(4, start=100)))
    assert values["reward"] == best.metrics["val_reward"]


def test_search_inside_a_running_loop(model, tuner):
    """In a notebook the same call works, and so does the awaited form."""

    async def cell() -> tuple[int, int]:
        first, second = tuner(make_builder(model())), tuner(make_builder(model()), project_name="other")
        first.search(**fit_arguments())
        await second.search_async(**fit_arguments())
        return len(first.trial_records()), len(second.trial_records())

    assert asyncio.run(cell()) == (6, 6)


def test_positional_data_and_a_plain_builder(model, tuner):
    """x and y may be given by position, and a builder need not be async."""
    build = make_builder(model())

    def build_program(hp: Any) -> Any:
        return run_maybe_nested(build(hp))

    fit = fit_arguments()
    search = tuner(build_program)
    search.search(fit.pop("x"), fit.pop("y"), **fit)
    assert len(search.trial_records()) == 6


def test_concurrency_changes_nothing(tmp_path):
    """The records are the same at any number of calls and trials at once, in whatever order replies come."""
    found = []
    for concurrency, trials in [(1, 1), (4, 3), (32, 1), (32, 3)]:
        folder = tmp_path / f"{concurrency}-{trials}"
        lm = ScriptedLanguageModel(
            mostly_right,
            ledger=Ledger(folder / "ledger.sqlite"),
            concurrency=concurrency,
            latency_s=0.001,
            jitter=True,
        )
        search = GridSearch(
            make_builder(lm), ["val_reward", "val_cost"], directory=folder, parallel_trials=trials, verbose=False
        )
        lm.backend._price = Price(1.0, 2.0)
        search.search(**fit_arguments(epochs=2))
        assert lm.backend.peak <= concurrency
        found.append(json.dumps(rows(search)))
    assert len(set(found)) == 1


def test_parallel_builders_that_wait(model, tuner):
    """Builders that suspend do not mix up each other's automatic names."""
    build = make_builder(model())

    async def build_program(hp: Any) -> Any:
        await asyncio.sleep(0)
        first = Generator(data_model=Parity, language_model=model())
        await asyncio.sleep(0)
        assert first.name == "generator"
        return await build(hp)

    search = tuner(build_program, parallel_trials=4)
    search.search(**fit_arguments())
    states = {tuple(record.state["modules"]) for record in search.trial_records()}
    assert states == {("chain_of_thought",), ("generator_1",)}


def test_epochs_are_not_mixed(model, tuner):
    """A trial is scored from one epoch, the best by the scalar, and holds that epoch's measures only."""
    right_in_epoch, programs = [2, 4, 4, 1], []

    def script(request: Request) -> str:  # in each epoch right on the first so many of the four
        right = asked(request) - 100 < right_in_epoch[int(request.messages[0][1])]
        return json.dumps({"parity": "odd" if (asked(request) % 2 == 1) is right else "even"})

    build = simple_builder(model(script), lambda hp: hp.Choice("t", [0.5]))

    async def build_program(hp: Any) -> Program:
        programs.append(await build(hp))
        programs[-1].generators[0].instructions = "0"
        return programs[-1]

    class NextInstructions:
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            programs[-1].generators[0].instructions = str(epoch + 1)

    for objective in ("val_reward", ["val_reward", "val_invalid_rate"]):
        search = tuner(build_program, objective=objective)
        search.search(**fit_arguments(epochs=4, callbacks=[NextInstructions()]))
        (record,) = search.trial_records()
        assert record.replicates[0].epoch == 1 and record.calls == 4 * 4
        assert record.metrics["val_reward"] == 1.0
        assert [one.reward for one in record.replicates[0].examples] == [1.0] * 4
        assert record.state["modules"]["generator"]["instructions"] == "1"


def test_finished_search_is_not_run_again(model, tuner):
    """A second run takes every trial from the record: no call, not even one that the ledger would serve."""
    tuner(make_builder(model())).search(**fit_arguments())
    lm = model()
    again = tuner(make_builder(lm))
    again.search(**fit_arguments())
    assert again.resumed == 6 and len(again.trial_records()) == 6
    assert lm.backend.calls == [] and again.session.served == 0


def test_raised_max_trials_continue(model, tuner):
    """A finished search with a larger budget goes on from where it ended."""
    tuner(make_builder(model()), max_trials=2).search(**fit_arguments())
    lm = model()
    more = tuner(make_builder(lm), max_trials=5)
    more.search(**fit_arguments())
    assert more.resumed == 2 and len(lm.backend.calls) == 3 * 10
    whole = tuner(make_builder(lm), project_name="whole", max_trials=5)
    whole.search(**fit_arguments())
    assert rows(whole) == rows(more)


def test_searching_twice_with_one_tuner(model, tuner):
    """A second search() on the same tuner is that of a new one: finished trials stay, other data are searched anew."""
    search = tuner(make_builder(model()), overwrite=True)
    search.search(**fit_arguments())
    first = rows(search)
    search.search(**fit_arguments())
    assert search.resumed == 6 and rows(search) == first
    search.search(**fit_arguments(epochs=2))
    assert search.resumed == 0 and [record.calls for record in search.trial_records()] == [20] * 6


def test_going_on_after_an_error_with_one_tuner(model, tuner):
    """What an error interrupted is tried again by the next search(), and nothing is left out."""
    broken = [True]

    def script(request: Request) -> str:
        if broken[0] and request.options.temperature == 0.5:
            raise FatalError("budget spent")
        return mostly_right(request)

    search = tuner(make_builder(model(script)))
    with pytest.raises(FatalError, match="budget spent"):
        search.search(**fit_arguments())
    assert [record.trial for record in search.trial_records()] == ["0001"]
    assert search.trial_records()[0].score is not None
    broken[0] = False
    search.search(**fit_arguments())
    assert search.resumed == 1 and len(search.trial_records()) == 6


@pytest.mark.parametrize("change", ["space", "data", "epochs", "builder", "model", "identity"])
def test_another_search_has_a_record_of_its_own(model, tuner, change):
    """Whatever the trials depend on is told apart; going back finds the first record again."""
    first = tuner(make_builder(model()))
    first.search(**fit_arguments())
    builder, options, fit = make_builder(model()), {}, fit_arguments()
    if change == "space":
        builder = make_builder(model(), [0.0, 0.5])
    elif change == "data":
        fit["x"] = [*fit["x"][:-1], Number(n=77)]
    elif change == "epochs":
        fit["epochs"] = 2
    elif change == "builder":
        builder = simple_builder(model(), metrics=[CategoricalF1Score(average="macro", name="f1")])
    elif change == "model":
        builder = make_builder(model(name="other"))
    else:
        options = {"identity": {"version": 2}}
    other = tuner(builder, **options)
    other.search(**fit)
    assert other.resumed == 0
    back = tuner(make_builder(model()))
    back.search(**fit_arguments())
    assert back.resumed == 6 and rows(back) == rows(first)


def always(y_true: Any, y_pred: Any) -> float:
    """A reward."""
    return 1.0


def never(y_true: Any, y_pred: Any) -> float:
    """Another one."""
    return 0.0


class Described(DataModel):
    """Other words in the prompt for the same labels."""

    parity: Literal["odd", "even"] = Field(description="Whether two divides it")


CHANGES: dict[str, dict[str, Any]] = {
    "data model": {"data_model": Described},
    "setting of a module": {"max_tokens": 9},
    "class of a module": {"kind": ChainOfThought},
    "reward": {"reward": never},
    "mask of the reward": {"reward": ExactMatch(in_mask=["parity"])},
    "optimizer": {"optimizer": RandomFewShot(1, 3)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_builder_finds_around_it(model, tuner, change):
    """A search starts afresh where the builder reads the same, but what it makes of its surroundings is another
    program; a program inside a program counts like any other."""

    def builder(data_model: Any = Parity, kind: Any = Generator, max_tokens: int | None = None, **compiled: Any) -> Any:
        async def build_program(hp: Any) -> Program:
            hp.Choice("t", [0.0, 0.5])
            inputs = Input(data_model=Number)
            inner = kind(data_model=data_model, language_model=model(), max_tokens=max_tokens)
            inner = Program(inputs=inputs, outputs=await inner(inputs))
            outer = Input(data_model=Number)
            program = Program(inputs=outer, outputs=await inner(outer))
            metrics = [CategoricalF1Score(average="macro", name="f1")]
            program.compile(**{"reward": always, "metrics": metrics, "optimizer": RandomFewShot(1, 2), **compiled})
            return program

        return build_program

    def resumed(**options: Any) -> int:
        search = tuner(builder(**options))
        search.search(**fit_arguments())
        return search.resumed

    assert [resumed(), resumed(), resumed(**CHANGES[change]), resumed(**CHANGES[change]), resumed()] == [0, 2, 0, 2, 2]


RESCORED: dict[str, dict[str, Any]] = {
    "units": {"objective": [Objective("val_reward", unit=2.0), Objective("val_f1", "max", unit=0.01)]},
    "constraints": {"constraints": ["val_f1 >= 0.9"]},
    "rule": {"rule": "epsilon"},
    "metric": {"average": "micro"},
    "price": {"price": Price(1.0, 1.0)},
}


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("change", RESCORED)
@pytest.mark.parametrize("kind", [RandomSearch, BayesianOptimization, ParetoSearch, Hyperband])
def test_a_finished_search_is_scored_anew(model, tuner, kind, change, epochs):
    """With other units, constraints, metrics or prices the trials stay, whatever proposes them; they are scored as if
    they had been from the beginning, and no call is paid for."""
    options = {"max_epochs": 2, "factor": 2} if kind is Hyperband else {"max_trials": 4}

    def search(price: Price | None = None, average: Any = "macro", **more: Any) -> Any:
        builder = make_builder(model(price=price or Price(2.0, 2.0)), average=average)
        found = tuner(builder, kind, **{"objective": ["val_reward", "val_f1"], **options, **more})
        found.search(**fit_arguments(), epochs=epochs)
        return found

    first, again = search(), search(**RESCORED[change])
    assert first.session.paid > 0 == again.session.paid
    assert again.resumed == len(first.records) == len(again.records)
    values = [record.values for record in first.trial_records()]
    assert [record.values for record in again.trial_records()] == values
    for record, before in zip(again.trial_records(), first.trial_records(), strict=True):
        if change == "price":
            assert record.metrics["val_cost"] == pytest.approx(before.metrics["val_cost"] / 2)
        if change == "metric":
            assert record.metrics["val_f1"] == record.metrics["val_reward"]  # of one label an example
    assert rows(search()) == rows(first)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (BayesianOptimization, {"num_initial_points": 2}),
        (BayesianOptimization, {"alpha": 0.1}),
        (BayesianOptimization, {"beta": 1.0}),
        (BayesianOptimization, {"parallel_trials": 2}),
        (ParetoSearch, {"num_initial_points": 2}),
        (ParetoSearch, {"sampler": "nsga2"}),
        (Hyperband, {"factor": 2}),
        (Hyperband, {"max_epochs": 2}),
    ],
)
def test_other_options_of_a_tuner(model, tuner, kind, change):
    """What the proposals of a tuner depend on makes another search."""
    options = {"max_epochs": 3} if kind is Hyperband else {"max_trials": 2}
    tuner(make_builder(model()), kind, **options).search(**fit_arguments())
    other = tuner(make_builder(model()), kind, **{**options, **change})
    other.search(**fit_arguments())
    assert other.resumed == 0


@pytest.mark.parametrize(("trials", "notes"), [(3, 2), (4, 1), (6, 0)])
def test_a_search_that_is_only_random_is_told(model, tuner, capsys, trials, notes):
    """It is said beforehand that results are never looked at, and that a finite space is not covered."""
    search = tuner(make_builder(model()), BayesianOptimization, max_trials=trials, num_initial_points=3, verbose=True)
    search.search(**fit_arguments())
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("note: ") for line in lines) == notes


@pytest.mark.parametrize("kind", [GridSearch, RandomSearch, BayesianOptimization, Hyperband, ParetoSearch])
def test_arguments_by_position(kind):
    """All arguments can be given in Keras-Tuner's order: after a tuner's own ones come the seed and the rest."""
    own = list(inspect.signature(kind).parameters.values())[2:-2]
    search = kind(lambda hp: None, "val_reward", *(each.default for each in own), 7, None, False, False, 1, 5)
    assert search.seed == 7 and not search.tune_new_entries and not search.allow_new_entries
    assert search.options.retries == 1 and search.options.max_consecutive_failures == 5


def test_overwrite_discards_the_record(model, tuner):
    """With overwrite the trials are run anew; the ledger still serves what was paid for."""
    tuner(make_builder(model())).search(**fit_arguments())
    lm = model()
    anew = tuner(make_builder(lm), overwrite=True)
    anew.search(**fit_arguments())
    assert anew.resumed == 0 and lm.backend.calls == []
    assert anew.session.served == CALLS and anew.session.paid == 0


def test_a_new_value_costs_only_its_own_trials(model, tuner):
    """A grid that gets one value more pays for the points of that value; the other replies are in the ledger."""
    tuner(make_builder(model())).search(**fit_arguments())
    lm = model()
    wider = tuner(make_builder(lm, [0.0, 0.25, 0.5, 1.0]))
    wider.search(**fit_arguments())
    assert len(wider.trial_records()) == 8
    assert len(lm.backend.calls) == 2 * 10 and {call.options.temperature for call in lm.backend.calls} == {0.25}


def test_failed_trial_is_not_scored_and_tried_again(model, tuner):
    """With too many failures a trial is FAILED, without a score; the next run runs it again and only it."""
    down = [True]

    def script(request: Request) -> str:
        if down[0] and request.options.temperature == 0.5 and asked(request) in (100, 101):
            raise TransientError("503")
        return mostly_right(request)

    search = tuner(make_builder(model(script)))
    search.search(**fit_arguments())
    failed = [record for record in search.trial_records() if record.status == "FAILED"]
    assert [record.values["temperature"] for record in failed] == [0.5, 0.5]
    assert all(record.score is None and "50% of the examples" in record.error for record in failed)
    assert not {record.trial for record in failed} & {trial.trial_id for trial in search.oracle.get_best_trials(9)}
    down[0] = False
    lm = model(script)
    again = tuner(make_builder(lm))
    again.search(**fit_arguments())
    assert again.resumed == 4 and len(lm.backend.calls) == 2 * 2
    assert {record.status for record in again.trial_records()} == {"COMPLETED"}


def test_few_failures_are_tolerated(model, tuner):
    """Up to max_failure_rate the other examples are scored."""

    def script(request: Request) -> str:
        if asked(request) == 100:
            raise TransientError("503")
        return json.dumps({"parity": "odd" if asked(request) % 2 else "even"})

    search = tuner(simple_builder(model(script)), objective="val_reward", max_failure_rate=0.25)
    search.search(**fit_arguments())
    for record in search.trial_records():
        assert record.status == "COMPLETED" and record.metrics["val_reward"] == 1.0
        assert record.metrics["val_failure_rate"] == 0.25


def test_failures_in_training_count(model, tuner):
    """A trial whose training examples mostly failed has not been trained as it was meant to be: it is FAILED too."""

    def script(request: Request) -> str:
        if request.options.temperature == 0.5 and asked(request) < 6:
            raise TransientError("503")
        return mostly_right(request)

    search = tuner(make_builder(model(script)))
    search.search(**fit_arguments())
    failed = {record.values["temperature"] for record in search.trial_records() if record.status == "FAILED"}
    assert failed == {0.5}


def test_a_trial_that_keeps_failing_does_not_end_later_runs(model, tuner):
    """When a FAILED trial is tried again, only what failed is asked again: that says nothing of the server."""
    x, y = numbers(100)

    def script(request: Request) -> str:
        if request.options.temperature == 0.5 and asked(request) % 4 == 0:
            raise TransientError("503")
        return mostly_right(request)

    for trials in (2, 3):
        builder = simple_builder(model(script), lambda hp: hp.Choice("t", [0.5, 0.0, 1.0]))
        search = tuner(builder, objective="val_reward", max_trials=trials)
        search.search(x, y, validation_data=(x, y))
        assert [record.status for record in search.trial_records()] == ["FAILED", *["COMPLETED"] * (trials - 1)]


def test_a_run_that_is_stopped_knows_what_was_finished(model, tuner):
    """However early a later run ends, the trials of the earlier one are there, unless they are not wanted any more."""
    broken = [True]

    def script(request: Request) -> str:
        if broken[0] and request.options.temperature == 0.0:
            raise TransientError("503")
        return mostly_right(request)

    tuner(make_builder(model(script)), GridSearch, parallel_trials=6).search(**fit_arguments())
    broken[0] = False
    again = tuner(make_builder(model(script)), budget=Budget(calls=1, ledger=model().ledger))
    again.search(**fit_arguments())
    assert "budget.calls" in again.stopped and again.resumed == 4 and len(again.oracle.get_best_trials(9)) == 4
    fewer = tuner(make_builder(model(script)), max_trials=3)
    fewer.search(**fit_arguments())
    assert len(fewer.trial_records()) == 3


@pytest.mark.parametrize("in_a_row", [1, 2, 3])
def test_failures_in_a_row_stop_the_search(model, tuner, in_a_row):
    """So many failed trials one after the other, and the search stops with one line."""

    def script(request: Request) -> str:
        if asked(request) in (5, 103):  # the server is not dead altogether
            return mostly_right(request)
        raise TransientError("connection refused")

    search = tuner(make_builder(model(script)), max_consecutive_failed_trials=in_a_row)
    with pytest.raises(SearchError, match=f"{in_a_row} trials in a row failed"):
        search.search(**fit_arguments())
    assert len(search.trial_records()) == in_a_row


def test_bug_in_a_builder_keeps_its_traceback(model, tuner):
    """A programming error stops the search as itself, with the line that raised it; it is no bad score."""
    build = make_builder(model())

    async def build_program(hp: Any) -> Any:
        if hp.Choice("temperature", [0.0, 0.5, 1.0]) == 1.0:
            {}["typo"]
        return await build(hp)

    search = tuner(build_program, parallel_trials=2)
    with pytest.raises(KeyError) as raised:
        search.search(**fit_arguments())
    assert '{}["typo"]' in "".join(traceback.format_exception(raised.value))
    assert all(record.status == "COMPLETED" for record in search.trial_records())


@pytest.mark.parametrize("result", [None, 3, "uncompiled"])
def test_builder_must_give_a_compiled_program(model, tuner, result):
    """Anything else is refused before the first call."""

    async def build_program(hp: Any) -> Any:
        if result != "uncompiled":
            return result
        inputs = Input(data_model=Number)
        return Program(
            inputs=inputs, outputs=await Generator(data_model=Parity, language_model=model())(inputs), name="p"
        )

    with pytest.raises(UsageError, match="must return a compiled Program"):
        tuner(build_program).search(**fit_arguments())


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (Objective("val_accuracy", "max"), "reported by no metric"),
        (Objective("f2", "max"), "reported by no metric"),
        (Objective("val_per_class", "max"), "one value per class"),
        (["val_reward", "val_cost"], "the price of 'scripted/scripted' is unknown"),
    ],
)
def test_impossible_objectives_are_refused_before_the_first_call(model, tuner, objective, message):
    """Unknown metrics, one value per class, and costs without a price end the search before it spends anything; as
    objectives, in bounds, and as what the winner's rule goes by."""
    lm = model()
    builder = simple_builder(lm, metrics=[CategoricalF1Score(average=None, name="per_class")])
    name = getattr(objective, "name", "val_cost")
    for aim in (
        {"objective": objective},
        {"objective": "val_reward", "constraints": [f"{name} >= 0"]},
        {"objective": "val_reward", "rule": Rule(by=name)},
    ):
        with pytest.raises(UsageError, match=message):
            tuner(builder, **aim).search(**fit_arguments())
    assert lm.backend.calls == []


def test_price_is_checked_for_each_model(model, tuner):
    """A model without a price among others is refused before its first call."""
    priced, free = model(name="priced", price=Price(1.0, 1.0)), model(name="unpriced")

    async def build_program(hp: Any) -> Any:
        lm = {"priced": priced, "unpriced": free}[hp.Choice("model", ["priced", "unpriced"])]
        return await simple_builder(lm, lambda hp: 0.0)(hp)

    with pytest.raises(UsageError, match="'scripted/unpriced' is unknown"):
        tuner(build_program, objective="val_cost").search(**fit_arguments())
    assert free.backend.calls == []


def test_validation_objective_needs_validation(model, tuner):
    """val_ measures without validation data, and a trial that would run no example, are refused."""
    lm = model()
    x, y = numbers(4)
    with pytest.raises(UsageError, match="'val_reward' needs validation data"):
        tuner(make_builder(lm), objective="val_reward").search(x, y)
    with pytest.raises(UsageError, match="training examples, which run with an optimizer only"):
        tuner(simple_builder(lm), objective="reward").search(x, y)
    assert lm.backend.calls == []
    trained = tuner(make_builder(lm), objective="reward")
    trained.search(x, y)
    assert len(trained.trial_records()) == 6


@pytest.mark.parametrize("kind", [GridSearch, RandomSearch])
def test_conditional_scopes_are_explored(model, tuner, kind):
    """Hyperparameters that a builder reaches only under some values are found before the search, and varied."""

    def declare(hp: Any) -> float:
        size = hp.Choice("size", ["small", "large"])
        with hp.conditional_scope("size", ["large"]):
            if size == "large":
                return float(hp.Choice("temperature", [0.2, 0.4, 0.6]))
        return 0.0

    search = tuner(simple_builder(model(), declare), kind, objective="val_reward")
    search.search(**fit_arguments())
    found = sorted(record.values.get("temperature", 0.0) for record in search.trial_records())
    assert found == [0.0, 0.2, 0.4, 0.6]
    again = tuner(simple_builder(model(), declare), kind, objective="val_reward")
    again.search(**fit_arguments())
    assert again.resumed == 4


def test_hidden_hyperparameters_are_refused(model, tuner):
    """One that shows up in some trials only, outside of any scope, would never be varied: an error, not a default."""

    def declare(hp: Any) -> float:
        return float(hp.Choice("temperature", [0.2, 0.4])) if hp.Boolean("warm") else 0.0

    search = tuner(simple_builder(model(), declare), objective="val_reward")
    with pytest.raises(UsageError, match="'temperature' is declared only for some values"):
        search.search(**fit_arguments())


def test_names_of_keras_tuner_are_refused(model, tuner):
    """A hyperparameter that has one of Hyperband's names is refused before the first call."""
    lm = model()
    builder = simple_builder(lm, lambda hp: hp.Choice("tuner/epochs", [0.0, 0.5]))
    with pytest.raises(UsageError, match="'tuner/epochs'"):
        tuner(builder, objective="val_reward").search(**fit_arguments())
    assert lm.backend.calls == []


def test_endless_random_search_is_refused(model, tuner):
    """A continuous space without max_trials has no end, so nothing is begun."""
    builder = simple_builder(model(), lambda hp: hp.Float("t", 0.0, 1.0))
    with pytest.raises(UsageError, match="give max_trials"):
        tuner(builder, RandomSearch, objective="val_reward", max_trials=None).search(**fit_arguments())
    search = tuner(builder, RandomSearch, objective="val_reward", max_trials=3)
    search.search(**fit_arguments())
    assert len({record.values["t"] for record in search.trial_records()}) == 3


def test_seeds_of_a_random_search(model, tuner):
    """0 is a seed: the same trials each time; without one it is 0, so that the search can be resumed."""

    def values(**options: Any) -> list[Any]:
        builder = simple_builder(model(), lambda hp: hp.Float("t", 0.0, 1.0))
        search = tuner(builder, RandomSearch, objective="val_reward", max_trials=4, **options)
        search.search(**fit_arguments())
        return [record.values["t"] for record in search.trial_records()]

    assert values(seed=0) == values() == values(seed=0, overwrite=True) != values(seed=1)


def test_the_scalar_of_a_search(model, tuner):
    """Each objective counts by its unit, and no trial's scalar depends on the others: a hundredth of a cent is worth a
    hundredth of the reward, unless another unit is given."""
    objectives = ["val_reward", Objective("val_cost"), Objective("val_f1", "max", unit=0.5)]
    search = tuner(make_builder(model(price=Price(1.0, 1.0))), objective=objectives)
    search.search(**fit_arguments())
    for record in search.trial_records():
        reward, cost, f1 = (record.metrics[name] for name in ("val_reward", "val_cost", "val_f1"))
        assert record.score == pytest.approx(cost / 0.01 - reward - f1 / 0.5)


def test_one_search_at_a_time(model, tuner):
    """While a search runs, a second one on the same record is refused with one line; afterwards it may run."""
    refused = []

    def script(request: Request) -> str:
        if not refused:
            refused.append(None)
            with pytest.raises(SearchError, match="another process runs this very search") as raised:
                tuner(make_builder(model())).search(**fit_arguments())
            refused[0] = raised.value
        return mostly_right(request)

    search = tuner(make_builder(model(script)))
    search.search(**fit_arguments())
    assert "\n" not in str(refused[0]) and len(search.trial_records()) == 6
    after = tuner(make_builder(model()))
    after.search(**fit_arguments())
    assert after.resumed == 6


@pytest.mark.parametrize(
    "options", [{"parallel_trials": 0}, {"max_trials": 0}, {"objective": 5}, {"seed": -1}, {"seed": 0.5}]
)
def test_impossible_options_are_refused(model, tuner, options):
    """Options that cannot work are errors when the tuner is made."""
    with pytest.raises(UsageError):
        tuner(make_builder(model()), **options)


def test_optimizer_state_of_trials_is_their_own(model, tuner):
    """Trials do not train each other: one point searched alone gives the same record as in the grid."""
    grid = tuner(make_builder(model()))
    grid.search(**fit_arguments())
    alone = tuner(make_builder(model(), [1.0]), project_name="alone")
    alone.search(**fit_arguments())

    def essence(row: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in row.items() if name != "trial"}

    assert [essence(row) for row in rows(alone)] == [
        essence(row) for row in rows(grid) if row["values"]["temperature"] == 1.0
    ]
