"""What a search is said to take beforehand is what it takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from odd_numbers import Number, Parity, asked, fit_arguments, make_builder, mostly_right, numbers
from pydantic import BaseModel

import paretune
from paretune import ChainOfThought, DataModel, Field, Generator, Input, Module, Program, ScriptedLanguageModel
from paretune.errors import UsageError
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.budget import Budget
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Price, Request
from paretune.optimizers import GEPA, OPRO, RandomFewShot
from paretune.rewards import LMAsJudge
from paretune.tuners import GridSearch, RandomSearch
from paretune.tuners.oracles.bayesian import BayesianOptimization
from paretune.tuners.oracles.hyperband import Hyperband
from paretune.tuners.tuner import Tuner

MakeTuner = Callable[..., Tuner]


def answer(request: Request) -> str:
    """Right or wrong parities, scores for a judge, new instructions for an optimizer."""
    wanted = (request.schema or {})["properties"]
    if "score" in wanted:
        return json.dumps({"score": 1.0})
    if "instructions" in wanted:
        return json.dumps({"instructions": f"Say whether the number is odd, version {request.replicate}."})
    return mostly_right(request)


@pytest.fixture
def model(tmp_path: Path) -> LanguageModel:
    """A scripted model with a price, and a ledger of its own."""
    return ScriptedLanguageModel(answer, ledger=Ledger(tmp_path / "ledger.sqlite"), price=Price(1e6, 2e6))


@pytest.fixture
def tuner(tmp_path: Path) -> MakeTuner:
    """Makes tuners whose records are kept in one folder."""

    def make(builder: Any, kind: type[Tuner] = GridSearch, **options: Any) -> Tuner:
        return kind(builder, **{"directory": tmp_path, "project_name": "search", "verbose": False, **options})

    return make


def builder_of(
    model: LanguageModel,
    optimizer: Callable[[Any], Any] = lambda hp: None,
    temperatures: tuple[float, ...] = (0.0, 0.5, 1.0),
    **compiled: Any,
) -> Any:
    """A hypermodel with some temperatures, and an optimizer that may depend on hyperparameters."""

    async def build_program(hp: Any) -> Program:
        inputs = Input(data_model=Number)
        temperature = hp.Choice("temperature", list(temperatures))
        module = Generator(data_model=Parity, language_model=model, temperature=temperature)
        program = Program(inputs=inputs, outputs=await module(inputs))
        program.compile(optimizer=optimizer(hp), **compiled)
        return program

    return build_program


def sent(model: LanguageModel) -> list[Request]:
    """The requests that reached the model."""
    return model.backend.calls  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (GridSearch, {"executions_per_trial": 2, "parallel_trials": 2}),
        (RandomSearch, {"max_trials": 4}),
        (BayesianOptimization, {"max_trials": 4}),
        (Hyperband, {"max_epochs": 4, "factor": 2}),
    ],
)
def test_the_calls_are_those_of_the_trials(model, tuner, kind, options):
    """With every tuner, over epochs and replicates, the estimate is the sum of the trials' calls."""
    search = tuner(make_builder(model), kind, **options)
    estimate = paretune.estimate(search, **fit_arguments(epochs=2))
    search.search(**fit_arguments(epochs=2))
    records = search.trial_records()
    assert estimate.trials == len(records) and estimate.finished == 0 and estimate.space == 6
    assert estimate.calls.exact and estimate.calls.low == sum(record.calls for record in records)


@pytest.mark.parametrize("kind", [GridSearch, Hyperband, BayesianOptimization])
def test_a_race_takes_from_one_trial_to_all(model, tuner, kind):
    """At the least all trials but one are dropped at the first of 60 examples' looks, after 20; at most none is."""
    options = {"max_epochs": 2, "factor": 2} if kind is Hyperband else {}
    fit = fit_arguments(validation_data=numbers(60, start=100))
    full = paretune.estimate(tuner(make_builder(model), kind, **options), **fit)
    search = tuner(make_builder(model), kind, racing="fast", **options)
    estimate = paretune.estimate(search, **fit)
    assert estimate.calls.high == full.calls.high
    epochs = full.calls.low // 66  # of all trials, each with 6 training examples
    assert full.calls.low - estimate.calls.low == 40 * (epochs - 1)
    search.search(**fit)
    assert estimate.calls.low <= sum(record.calls for record in search.trial_records()) <= full.calls.low
    again = paretune.estimate(tuner(make_builder(model), kind, racing="fast", **options), **fit)
    assert again.finished == again.trials and again.calls.high == 0


@pytest.mark.parametrize("validation", [{"validation_data": numbers(4, start=100)}, {"validation_split": 0.3}])
def test_the_calls_are_those_that_reach_the_model(model, tuner, validation):
    """With an empty ledger and no question asked twice, so many requests arrive: with a judge and with OPRO too."""
    judge = ScriptedLanguageModel(answer, name="judge", ledger=model.ledger)
    builder = builder_of(model, lambda hp: OPRO(few_shot=RandomFewShot(1, 1)), (0.5,), reward=LMAsJudge(judge))
    x, y = numbers(9)
    search = tuner(builder, executions_per_trial=2)
    estimate = paretune.estimate(search, x, y, batch_size=3, epochs=2, **validation)
    search.search(x, y, batch_size=3, epochs=2, **validation)
    calls = {share.model: share.calls.low for share in estimate.models}
    assert estimate.calls.low == sum(record.calls for record in search.trial_records())
    assert sum(calls.values()) == estimate.calls.low == estimate.calls.high
    assert calls["scripted/scripted"] == len(sent(model))
    assert calls["scripted/judge"] > len(sent(judge)) > 0  # equal answers are judged once


def test_a_module_that_is_used_twice_asks_twice(model, tuner):
    """The estimate, the trials' usage and the model agree on a program that asks one generator at two places."""

    async def build_program(hp: Any) -> Program:
        shots = hp.Choice("shots", [0, 2])
        inputs = Input(data_model=Number)
        parity = Generator(data_model=Parity, language_model=model, temperature=0.5)
        guess = Generator(data_model=Number, language_model=other)
        program = Program(inputs=inputs, outputs=[await parity(inputs), await parity(await guess(inputs))])
        program.compile(optimizer=RandomFewShot(shots, shots) if shots else None)
        return program

    other = ScriptedLanguageModel(lambda request: f'{{"n": {100 * asked(request) + 7}}}', name="o", ledger=model.ledger)
    search = tuner(build_program, executions_per_trial=2)
    estimate = paretune.estimate(search, **fit_arguments(epochs=3))
    search.search(**fit_arguments(epochs=3))
    assert estimate.calls.low == estimate.calls.high == sum(record.calls for record in search.trial_records())
    calls = {share.model: share.calls.low for share in estimate.models}
    assert calls == {"scripted/scripted": 2 * 3 * (4 + 10) * 2, "scripted/o": 2 * 3 * (4 + 10)}
    assert calls["scripted/scripted"] == len(sent(model))


def test_nothing_is_called_and_nothing_written(model, tuner, tmp_path):
    """An estimate leaves no file, asks nobody, and leaves the search as it was."""
    search = tuner(make_builder(model))
    paretune.estimate(search, **fit_arguments())
    assert not sent(model) and list(tmp_path.iterdir()) == []
    assert not search.oracle.trials and not search.records


def test_what_depends_on_results_is_a_range(model, tuner):
    """Where proposals follow results, and points differ in their calls, the truth lies between two numbers; without
    such a difference it is known."""

    def builder(hp: Any) -> Any:
        return RandomFewShot(1, 1) if hp.Boolean("trains") else None

    search = tuner(builder_of(model, builder), BayesianOptimization, max_trials=5)
    estimate = paretune.estimate(search, **fit_arguments())
    assert 5 * 4 <= estimate.calls.low < estimate.calls.high <= 5 * 10
    assert "results decide" in str(estimate)
    search.search(**fit_arguments())
    assert estimate.calls.low <= sum(record.calls for record in search.trial_records()) <= estimate.calls.high
    assert paretune.estimate(
        tuner(builder_of(model), BayesianOptimization, max_trials=3), **fit_arguments()
    ).calls.exact
    whole = tuner(builder_of(model, builder), BayesianOptimization, max_trials=6, project_name="whole")
    calls = paretune.estimate(whole, **fit_arguments()).calls  # each point comes once
    assert calls.low == calls.high == 3 * 4 + 3 * 10


def test_only_what_is_left_is_counted(model, tuner):
    """Trials that are finished take nothing again; a record that is to be discarded does not count."""
    tuner(make_builder(model), RandomSearch, max_trials=2).search(**fit_arguments())
    estimate = paretune.estimate(tuner(make_builder(model), RandomSearch, max_trials=5), **fit_arguments())
    assert (estimate.trials, estimate.finished, estimate.calls.low, estimate.calls.high) == (5, 2, 30, 30)
    again = tuner(make_builder(model), RandomSearch, max_trials=2)
    done = paretune.estimate(again, **fit_arguments())
    assert done.finished == 2 and done.calls.high == 0 and done.models == ()
    fresh = paretune.estimate(tuner(make_builder(model), RandomSearch, max_trials=2, overwrite=True), **fit_arguments())
    assert fresh.finished == 0 and fresh.calls.low == 20


@pytest.mark.parametrize("more", [{"objective": ["val_reward", "val_cost"]}, {"constraints": ["val_cost <= 9"]}])
def test_a_price_that_is_declared_later(tmp_path, tuner, more):
    """Trials that were finished without a price take nothing either where the cost is then aimed at, or bounded."""
    unpriced, priced = (
        ScriptedLanguageModel(answer, ledger=Ledger(tmp_path / "ledger.sqlite"), price=price)
        for price in (None, Price(1.0, 2.0))
    )
    tuner(make_builder(unpriced)).search(**fit_arguments())
    estimate = paretune.estimate(tuner(make_builder(priced), **more), **fit_arguments())
    assert (estimate.finished, estimate.calls.high) == (6, 0)


@pytest.mark.parametrize("trains", [False, True])
def test_what_the_ledger_holds(model, tuner, trains):
    """Calls of unfinished trials that were paid for before are told: untrained ones by their questions, others where
    the ledger knows that this search has asked them."""
    builder = builder_of(model, lambda hp: RandomFewShot(1, 1) if trains else None)
    tuner(builder, max_trials=2).search(**fit_arguments())
    model.ledger.close()
    estimate = paretune.estimate(tuner(builder, overwrite=True), **fit_arguments())
    assert estimate.finished == 0 and estimate.calls.low == 3 * (10 if trains else 4)
    assert estimate.held == len(sent(model)) == 2 * (10 if trains else 4)
    assert paretune.estimate(tuner(builder, overwrite=True, seed=1), **fit_arguments()).held == (0 if trains else 8)


def test_tokens_and_dollars_follow_experience(model, tuner):
    """After some calls of a model, what others like them will take is known well; before, it is a wide range."""
    before = paretune.estimate(tuner(make_builder(model), seed=1), **fit_arguments())
    assert before.tokens.low < before.tokens.high and before.models[0].seen == 0
    assert before.seconds is None
    tuner(make_builder(model), RandomSearch, max_trials=5).search(**fit_arguments())
    search = tuner(make_builder(model), project_name="other")
    estimate = paretune.estimate(search, **fit_arguments(epochs=3))
    search.search(**fit_arguments(epochs=3))
    cost = sum(record.cost_usd or 0.0 for record in search.trial_records())
    tokens = sum(record.prompt_tokens + record.completion_tokens for record in search.trial_records())
    assert estimate.usd is not None and 0.9 * estimate.usd.low < cost < 1.1 * estimate.usd.high
    assert 0.9 * estimate.tokens.low < tokens < 1.1 * estimate.tokens.high < 2 * tokens
    assert estimate.seconds is not None and estimate.models[0].seen > 0


@pytest.mark.parametrize(
    ("options", "most"),
    [({"max_tokens": 9}, 9), ({}, 14), ({"structured_output": "text"}, 10**9), ({"reasoning_effort": "low"}, 10**9)],
)
def test_the_most_that_a_reply_may_take(model, tuner, options, most):
    """Without experience: its limit, and what its form allows ({"parity": "even"} has 18 characters)."""

    async def build_program(hp: Any) -> Program:
        inputs = Input(data_model=Number)
        thinking = ScriptedLanguageModel(answer, ledger=model.ledger, reasoning_effort="reasoning_effort" in options)
        module = Generator(data_model=Parity, language_model=thinking, **options)
        program = Program(inputs=inputs, outputs=await module(inputs))
        program.compile()
        hp.Boolean("any")
        return program

    estimate = paretune.estimate(tuner(build_program), **fit_arguments())
    completion, calls = estimate.models[0].completion_tokens, estimate.calls.low
    assert calls <= completion.low < completion.high <= calls * most
    if "reasoning_effort" in options:
        assert completion.high > 1000 * calls


def test_no_examples(model, tuner):
    """Nothing to run is refused, as by the search."""
    with pytest.raises(UsageError, match="x and y must be"):
        paretune.estimate(tuner(make_builder(model), objective="reward"), [], [])


def test_proposals_of_a_training_that_goes_on(model, tuner):
    """Where trials go on from others, an optimizer that asks every other batch goes on asking in turn."""
    builder = builder_of(model, lambda hp: OPRO(every=2))
    search = tuner(builder, Hyperband, max_epochs=4, factor=2)
    estimate = paretune.estimate(search, **fit_arguments(batch_size=6))
    search.search(**fit_arguments(batch_size=6))
    assert estimate.calls.low == estimate.calls.high == sum(record.calls for record in search.trial_records())


def test_proposals_whose_number_is_not_known(model, tuner):
    """How often GEPA reflects depends on the rewards: none at the least, and at most once a minibatch."""
    pytest.importorskip("gepa", reason="needs the extra gepa")
    search = tuner(builder_of(model, lambda hp: GEPA(few_shot=RandomFewShot(1, 1))))
    estimate = paretune.estimate(search, **fit_arguments(batch_size=6))
    search.search(**fit_arguments(batch_size=6))
    paid = sum(record.calls for record in search.trial_records())
    assert estimate.calls.low < paid <= estimate.calls.high


def test_calls_at_once(model, tuner):
    """A batch waits for the one before: 6 training examples in 2 batches and the validation are 3 latencies, in 6
    batches 7, and a model that is asked one at a time takes 10."""
    tuner(make_builder(model), max_trials=1).search(**fit_arguments())
    slow = ScriptedLanguageModel(answer, ledger=model.ledger, concurrency=1)
    took = [
        paretune.estimate(tuner(make_builder(asked), project_name="other"), **fit_arguments(batch_size=size)).seconds
        for asked, size in ((model, 3), (model, 1), (slow, 3))
    ]
    assert [each.low / took[0].low for each in took] == pytest.approx([1, 7 / 3, 10 / 3])


def test_limits_a_minute_and_budgets(model, tuner, tmp_path):
    """The time is no less than limits allow; a budget that does not suffice is told, with what it has spent."""
    model.requests_per_minute = 10
    search = tuner(make_builder(model), budget=Budget(calls=50, ledger=model.ledger))
    estimate = paretune.estimate(search, **fit_arguments())
    assert estimate.seconds is not None and estimate.seconds.low == estimate.seconds.high == 60 * 6
    (limit,) = estimate.budget
    assert (limit.name, limit.limit, limit.spent, limit.suffices) == ("calls", 50, 0, False)
    assert "does not cover" in str(estimate)
    model.requests_per_minute = None
    enough = Budget(calls=100, ledger=model.ledger)
    tuner(make_builder(model), max_trials=1, budget=enough).search(**fit_arguments())
    (limit,) = paretune.estimate(tuner(make_builder(model), budget=enough), **fit_arguments()).budget
    assert limit.spent == 10 and limit.suffices is True
    (limit,) = paretune.estimate(
        tuner(make_builder(model), budget=Budget(calls=59, ledger=model.ledger)), **fit_arguments()
    ).budget
    assert limit.suffices is False  # 50 are left, and 49 may be spent


def test_modules_of_ones_own_are_not_run(model, tuner):
    """A module that does who knows what is asked nothing; what it would give is made up."""

    class Search(Module):
        async def call(self, inputs: Number) -> Number:
            raise AssertionError("an estimate ran a module")

    async def build_program(hp: Any) -> Program:
        hp.Boolean("any")
        inputs = Input(data_model=Number)
        found = await Search()(inputs)
        first = Generator(data_model=Parity, language_model=model)
        program = Program(inputs=inputs, outputs=await first(found))
        program.compile()
        return program

    estimate = paretune.estimate(tuner(build_program), **fit_arguments())
    assert estimate.calls.low == 2 * 4 and estimate.models[0].prompt_tokens.low > 0


def test_what_cannot_work_is_told_as_by_the_search(model, tuner):
    """An unknown objective, a space without an end: the search's own errors."""
    with pytest.raises(UsageError, match="val_rewrad"):
        paretune.estimate(tuner(make_builder(model), objective="val_rewrad"), **fit_arguments())
    endless = builder_of(model, lambda hp: RandomFewShot(1, 1, sampling_temperature=hp.Float("t", 0.1, 1.0)))
    with pytest.raises(UsageError, match="max_trials"):
        paretune.estimate(tuner(endless, RandomSearch, max_trials=None), **fit_arguments())


def test_as_json(model, tuner):
    """The numbers for machines are JSON, and the same."""
    estimate = paretune.estimate(tuner(make_builder(model)), **fit_arguments())
    numbers = json.loads(json.dumps(estimate.as_json(), allow_nan=False))
    assert numbers["calls"] == {"low": 60, "high": 60} == numbers["models"][0]["calls"]
    assert numbers["trials"] == 6 and numbers["usd"]["low"] == pytest.approx(estimate.usd.low, rel=1e-5)


class Stop(BaseModel):
    when: datetime
    price: Decimal


class Booking(DataModel):
    """What a reply holds beside text and numbers."""

    day: date
    at: time | None
    lasts: timedelta
    key: UUID
    kind: Literal["a"]
    stops: Annotated[list[Stop], Field(min_length=1)]
    tags: set[str]
    note: str = Field(pattern="^[a-z]+$")


def test_every_type_of_field(model, tuner):
    """Replies with dates, decimals, records and the like are sized from made-up values of these types, without a
    warning."""
    gold = Booking(
        day="2020-01-01",
        at=None,
        lasts="P1D",
        key=UUID(int=4),
        kind="a",
        stops=[Stop(when=0, price=1)],
        tags=["x"],
        note="a",
    )

    async def build_program(hp: Any) -> Program:
        inputs = Input(data_model=Number)
        parts = await ChainOfThought(data_model=Booking, language_model=model)(inputs)
        program = Program(inputs=inputs, outputs=await Generator(data_model=Parity, language_model=model)(parts))
        program.compile(optimizer=RandomFewShot(1, 2))
        return program

    x, y = numbers(6)
    known = paretune.estimate(tuner(build_program), x, y, epochs=1, validation_split=0.5)
    assert known.calls.exact and known.calls.low == 2 * 6

    async def build_whole(hp: Any) -> Program:
        inputs = Input(data_model=Number)
        program = Program(inputs, await ChainOfThought(data_model=Booking, language_model=model)(inputs))
        program.compile(optimizer=RandomFewShot(1, 2))
        return program

    whole = paretune.estimate(tuner(build_whole, project_name="whole"), x, [gold] * 6, epochs=1, validation_split=0.5)
    assert whole.calls.low == 6 and whole.tokens.low > 0
