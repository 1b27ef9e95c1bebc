"""What a tuner takes as a hypermodel and as a space, and how constraints rank its trials."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
from odd_numbers import Number, Parity, fit_arguments, make_builder, mostly_right

import paretune
from paretune import Budget, Generator, Input, LanguageModel, Program, ScriptedLanguageModel
from paretune.errors import BudgetError, SearchError, TransientError, UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Price, Request
from paretune.metrics import CategoricalF1Score
from paretune.tuners import GridSearch, Hyperband, Objective, RandomSearch
from paretune.tuners.keras_api import HyperParameters, KerasHyperModel, KerasObjective
from paretune.tuners.tuner import Tuner

TUNERS = [GridSearch, RandomSearch, lambda *args, **more: Hyperband(*args, max_epochs=3, **more)]


@pytest.fixture
def model() -> LanguageModel:
    """A scripted language model with a price."""
    return ScriptedLanguageModel(mostly_right, price=Price(1.0, 1.0))


@pytest.fixture
def search(tmp_path) -> Callable[..., Tuner]:
    """Runs a search for the reward."""

    def run(hypermodel: Any, kind: Any = GridSearch, objective: Any = "val_reward", **options: Any) -> Tuner:
        tuner = kind(hypermodel, objective, directory=tmp_path, **{"verbose": False, **options})
        tuner.search(**fit_arguments())
        return tuner

    return run


class HyperModel:
    """A hypermodel as an object."""

    def __init__(self, model: LanguageModel) -> None:
        self._build = make_builder(model)

    def build(self, hp: Any) -> Any:
        """An awaitable program."""
        return self._build(hp)


def test_an_object_with_build(model, search):
    """A hypermodel may be an object with a method build, which may give an awaitable."""
    assert len(search(HyperModel(model)).trial_records()) == 6
    with pytest.raises(UsageError, match="build_program"):
        search(7)


def declared(*names: str) -> HyperParameters:
    """A space declared beforehand, as the builder would."""
    space = HyperParameters()
    if "thinks" in names:
        space.Boolean("thinks")
    if "temperature" in names:
        space.Choice("temperature", [0.5, 1.0])
    return space


@pytest.mark.parametrize("kind", TUNERS)
def test_new_entries_that_are_not_tuned(model, search, kind):
    """tune_new_entries=False: what was not declared beforehand keeps its default, is not varied, and is recorded."""
    tuner = search(make_builder(model), kind, hyperparameters=declared("temperature"), tune_new_entries=False)
    values = [record.values for record in tuner.trial_records()]
    assert {one["temperature"] for one in values} == {0.5, 1.0}
    assert not any(one["thinks"] for one in values) and tuner.get_best_hyperparameters()[0].values in values
    assert {call.options.temperature for call in model.backend.calls} == {0.5, 1.0}
    assert all("thinking" not in call.schema["properties"] for call in model.backend.calls)


def test_a_declared_space_is_kept(model, search):
    """Values declared beforehand win over the builder's; the builder's other hyperparameters are varied with them."""
    tuner = search(make_builder(model), hyperparameters=declared("temperature"))
    assert [(r.values["temperature"], r.values["thinks"]) for r in tuner.trial_records()] == [
        (temperature, thinks) for temperature in (0.5, 1.0) for thinks in (False, True)
    ]


@pytest.mark.parametrize("kind", TUNERS)
def test_new_entries_that_are_not_allowed(model, search, kind):
    """allow_new_entries=False: a hyperparameter that was not declared is an error that names it, before any call."""
    with pytest.raises(UsageError, match=r"allow_new_entries=False.*\['thinks'\]"):
        search(make_builder(model), kind, hyperparameters=declared("temperature"), allow_new_entries=False)
    assert model.backend.calls == []
    whole = declared("temperature", "thinks")
    assert search(make_builder(model), kind, hyperparameters=whole, allow_new_entries=False).trial_records()


def test_not_allowed_twice(model, search, tmp_path):
    """A refused hyperparameter is refused again by the same tuner."""
    space = declared("temperature")
    tuner = GridSearch(
        make_builder(model), "val_reward", hyperparameters=space, allow_new_entries=False, directory=tmp_path
    )
    for _ in range(2):
        with pytest.raises(UsageError, match="allow_new_entries=False"):
            tuner.search(**fit_arguments())
    assert [kind.name for kind in space.space] == ["temperature"]


def test_a_hypermodel_of_keras_tuner(model, search):
    """Its subclass is taken; one that has a fit() of its own is refused, since that would never be called."""

    class Mine(KerasHyperModel):
        def build(self, hp: Any) -> Any:
            return make_builder(model)(hp)

    class WithFit(Mine):
        def fit(self, hp: Any, program: Any, **options: Any) -> Any:
            raise AssertionError

    assert len(search(Mine()).trial_records()) == 6
    with pytest.raises(UsageError, match=r"fit\(\) is not called here"):
        search(WithFit())
    with pytest.raises(UsageError, match="an object with a method build"):
        search(Mine)


def builder_that(declare: Any, model: Any) -> Any:
    """A builder around a function of hp, which gives the arguments of ``compile``."""

    async def build_program(hp: Any) -> Program:
        compiled = declare(hp) or {}
        inputs = Input(data_model=Number)
        used = compiled.pop("model", model)
        program = Program(inputs=inputs, outputs=await Generator(data_model=Parity, language_model=used)(inputs))
        program.compile(**compiled)
        return program

    return build_program


def nested_namesakes(hp: Any) -> None:
    """One name in two scopes, each the parent of another scope."""
    hp.Choice("model", ["a", "b"])
    for model, words in (("a", [10, 20]), ("b", [30, 40, 50])):
        with hp.conditional_scope("model", [model]):
            hp.Boolean("thinks")
            with hp.conditional_scope("thinks", [True]):
                hp.Choice("words", words)


def only_within_branches(hp: Any) -> None:
    """A scope of two values, in which the code looks at the value once more."""
    chosen = hp.Choice("model", ["a", "b", "c"])
    with hp.conditional_scope("model", ["b", "c"]):
        if chosen == "b":
            hp.Choice("x", [1, 2])
        if chosen == "c":
            hp.Choice("y", [1, 2, 3])


@pytest.mark.parametrize(("declare", "points"), [(nested_namesakes, 2 + 1 + 3 + 1), (only_within_branches, 1 + 2 * 6)])
def test_scopes_are_found_before_anything_is_called(model, search, declare, points):
    """Whatever values open a scope, its hyperparameters are known beforehand and varied."""
    assert len(search(builder_that(declare, model)).trial_records()) == points


def guarded(hp: Any) -> None:
    """As Keras-Tuner shows it: the scope, and in it a look at the value."""
    chosen = hp.Choice("model", ["a", "b"])
    for name in ("a", "b"):
        with hp.conditional_scope("model", [name]):
            if chosen == name:
                hp.Choice(f"of {name}", [1, 2, 3])


def test_scopes_behind_many_values(model, search):
    """Scopes are opened however many values there are to look at."""

    def scopes_outside(hp: Any) -> None:
        for number in range(12):
            hp.Choice(f"c{number}", list(range(40)))
        chosen = hp.Choice("model", ["a", "b"])
        with hp.conditional_scope("model", ["b"]):
            thinks = chosen == "b" and hp.Boolean("thinks")
            if chosen == "b":
                with hp.conditional_scope("thinks", [True]):
                    if thinks:
                        hp.Choice("words", [1, 2])

    tuner = search(builder_that(scopes_outside, model), RandomSearch, max_trials=24, seed=1)
    assert any("words" in record.values for record in tuner.trial_records())


def test_one_search_however_it_is_begun(model, search, tmp_path):
    """Asking for an estimate or a summary first, or searching twice with one tuner, is the same search."""
    first = search(builder_that(guarded, model))
    first.search(**fit_arguments())
    assert first.resumed == 6
    again = GridSearch(builder_that(guarded, model), "val_reward", directory=tmp_path, verbose=False)
    again.search_space_summary()
    assert paretune.estimate(again, **fit_arguments()).finished == 6
    again.search(**fit_arguments())
    assert again.resumed == 6


def test_a_builder_that_asks_a_model_spends_from_the_budget(tmp_path):
    """What a builder asks while the space is learned counts as well."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    writer = ScriptedLanguageModel(mostly_right, ledger=ledger)

    async def build_program(hp: Any) -> Program:
        number = hp.Int("n", 0, 3)
        await writer.complete(Request((("user", json.dumps({"n": number})),)))
        return await make_builder(writer)(hp)

    tuner = GridSearch(
        build_program, "val_reward", directory=tmp_path, verbose=False, budget=Budget(calls=1, ledger=ledger)
    )
    with pytest.raises(BudgetError):
        tuner.search(**fit_arguments())
    assert len(writer.backend.calls) == 1


def later_in_a_branch(hp: Any) -> None:
    """Declared for one value of a flag, outside of any scope."""
    if hp.Boolean("thinks"):
        hp.Choice("style", ["a", "b"])


def one_for_each_layer(hp: Any) -> None:
    """As many hyperparameters as another one says."""
    for number in range(hp.Int("layers", 1, 3)):
        hp.Choice(f"layer {number}", [1, 2])


@pytest.mark.parametrize(("declare", "name"), [(later_in_a_branch, "style"), (one_for_each_layer, "layer 1")])
def test_undeclared_in_other_trials(model, search, declare, name):
    """A hyperparameter that the defaults do not declare is refused before the first call, and the cure is named."""
    with pytest.raises(UsageError, match=f"'{name}' is declared only for some values.*conditional_scope"):
        search(builder_that(declare, model))
    assert model.backend.calls == []


def test_what_cannot_work_in_other_trials(model, search):
    """A model without a price, and a metric of one value per class, under any value: refused before the first call."""
    free = ScriptedLanguageModel(mostly_right, name="free")

    def priced(hp: Any) -> dict[str, Any]:
        return {"model": {"a": model, "b": model, "c": free}[hp.Choice("model", ["a", "b", "c"])]}

    with pytest.raises(UsageError, match="price of 'scripted/free' is unknown"):
        search(builder_that(priced, model), objective=["val_reward", "val_cost"])

    def averaged(hp: Any) -> dict[str, Any]:
        average = "macro" if hp.Choice("average", ["macro", "none"]) == "macro" else None
        return {"metrics": [CategoricalF1Score(average=average, name="f1")]}

    with pytest.raises(UsageError, match="one value per class"):
        search(builder_that(averaged, model), objective=Objective("val_f1", "max"))
    with pytest.raises(UsageError, match="give it a step"):
        search(builder_that(lambda hp: hp.Float("t", 0.0, 1.0) and None, model), objective="val_reward")
    for aim in ({"objective": "reward"}, {"constraints": "cost <= 1"}):
        with pytest.raises(UsageError, match="training examples, which run with an optimizer only"):
            search(builder_that(lambda hp: hp.Boolean("x") and None, model), **aim)
    assert model.backend.calls == free.backend.calls == []


def test_the_value_of_one_class(model, search):
    """A metric of one value per class has each of them as an objective."""

    def per_class(hp: Any) -> dict[str, Any]:
        hp.Boolean("x")
        return {"metrics": [CategoricalF1Score(average=None, name="f1")]}

    tuner = search(builder_that(per_class, model), objective=Objective("val_f1_even", "max"))
    assert [record.score for record in tuner.trial_records()] == [
        record.metrics["val_f1_even"] for record in tuner.trial_records()
    ]


@pytest.mark.parametrize("step", [0, -2])
@pytest.mark.parametrize("kind", ["Int", "Float"])
def test_a_step_leads_on(model, search, kind, step):
    """A step of nothing, or backwards, is refused by name."""
    with pytest.raises(UsageError, match="'n': a step must be above 0"):
        search(builder_that(lambda hp: getattr(hp, kind)("n", 1, 9, step=step) and None, model))


def test_values_behind_a_choice_make_the_search(model, search):
    """Another model behind a value that is not the default, with the builder's text unchanged: another search."""
    models = {"a": model, "b": ScriptedLanguageModel(mostly_right, name="b1")}

    def by_name(hp: Any) -> dict[str, Any]:
        return {"model": models[hp.Choice("model", ["a", "b"])]}

    builder = functools.partial(builder_that, by_name, model)
    assert [search(builder()).resumed, search(builder()).resumed] == [0, 2]
    models["b"] = ScriptedLanguageModel(mostly_right, name="b2")
    assert search(builder()).resumed == 0 and models["b"].backend.calls


def test_search_space_summary(model, tmp_path, capsys):
    """Each hyperparameter with its settings and its scope, in one line; nothing is called."""
    GridSearch(builder_that(nested_namesakes, model), directory=tmp_path).search_space_summary()
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "5 hyperparameters, 7 configurations" and len(lines) == 5
    assert lines[-1].startswith("words (Choice)") and "when model in ['b'] and thinks in [True]" in lines[-1]
    assert model.backend.calls == []


def test_summaries_of_nothing(model, search, tmp_path, capsys):
    """Before a search it says that there was none; when all trials failed, why."""
    tuner = GridSearch(make_builder(model), directory=tmp_path)
    tuner.results_summary()
    assert "nothing was searched yet" in capsys.readouterr().out

    def broken(request: Any) -> str:
        raise TransientError("the server sleeps")

    down = ScriptedLanguageModel(broken, max_attempts=1)
    search(builder_that(lambda hp: hp.Boolean("x") and None, down)).results_summary()
    said = capsys.readouterr().out
    assert said.startswith("0 best of 2 trials") and said.count("the server sleeps") == 2


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"max_retries_per_trial": -1}, "max_retries_per_trial must be a whole number of at least 0 .got -1"),
        ({"parallel_trials": 1.5}, "parallel_trials must be a whole number of at least 1 .got 1.5"),
        ({"max_failure_rate": 10}, "from 0 to 1 .got 10"),
        ({"max_trials": "3"}, "max_trials must be a whole number of at least 1 .got '3'"),
        ({"seed": "a"}, "seed must be a whole number .*got 'a'"),
    ],
)
def test_options_that_are_none(model, options, rule):
    """An impossible option is named, with what it must be."""
    with pytest.raises(UsageError, match=rule):
        GridSearch(make_builder(model), "val_reward", **options)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"validation_data": (1,)}, r"validation_data must be a pair"),
        ({"validation_data": (1, 2, 3)}, r"validation_data must be a pair"),
        ({"epochs": None}, "epochs must be a whole number .got None"),
        ({"epochs": 2, "initial_epoch": 2}, "initial_epoch below it .got 2, 2"),
        ({"ephocs": 3}, r"not \['ephocs'\]"),
    ],
)
def test_arguments_of_search_that_are_none(model, tmp_path, arguments, rule):
    """What fit() could not use is refused before anything is called."""
    with pytest.raises(UsageError, match=rule):
        GridSearch(make_builder(model), "val_reward", directory=tmp_path).search(**{**fit_arguments(), **arguments})
    assert model.backend.calls == []


def test_one_constraint_and_an_objective_of_keras_tuner(model, search):
    """A constraint need not stand in a list, and Keras-Tuner's own objectives are taken."""
    tuner = search(make_builder(model), objective=KerasObjective("val_cost", "min"), constraints="val_reward >= 0")
    assert tuner.oracle.objective.direction == "min" and len(tuner.oracle.goals.constraints) == 1


def cost_limit(tuner: Tuner) -> float:
    """A cost that the one half of the trials keeps, and the other breaks."""
    costs = sorted({record.metrics["val_cost"] for record in tuner.trial_records()})
    return (costs[len(costs) // 2 - 1] + costs[len(costs) // 2]) / 2


@pytest.mark.parametrize("kind", TUNERS)
@pytest.mark.parametrize("objective", ["val_reward", ["val_reward", "val_cost"]])
def test_constraints_rank_first(model, search, kind, objective, capsys):
    """Of trials that keep the constraint the best wins; the others come last, by how far they break it."""
    limit = cost_limit(search(make_builder(model)))
    tuner = search(make_builder(model), kind, objective, constraints=[f"val_cost <= {limit!r}"])
    best = tuner.oracle.get_best_trials(99)
    keeps = [tuner.records[trial.trial_id].metrics["val_cost"] <= limit for trial in best]
    assert keeps == sorted(keeps, reverse=True) and True in keeps and False in keeps
    losses = [tuner.oracle.loss(trial) for trial in best[: sum(keeps)]]
    excesses = [tuner.records[trial.trial_id].metrics["val_cost"] for trial in best[sum(keeps) :]]
    assert losses == sorted(losses) and excesses == sorted(excesses)
    assert tuner.get_best_hyperparameters()[0].values == best[0].hyperparameters.values
    tuner.results_summary(99)
    assert capsys.readouterr().out.count("breaks a constraint") == keeps.count(False)


def test_constraint_that_nothing_keeps(model, search, capsys):
    """Where all break it, the one that breaks it the least is told, and that it does; there is no winner."""
    tuner = search(make_builder(model), constraints=["val_cost <= 0"], verbose=True)
    shown = capsys.readouterr().err
    assert "note: no trial keeps the constraints" in shown
    assert shown.count("breaks a constraint") == len(tuner.records)
    best = tuner.oracle.get_best_trials(1)[0]
    assert not tuner.oracle.feasible(best)
    costs = {record.trial: record.metrics["val_cost"] for record in tuner.trial_records()}
    assert costs[best.trial_id] == min(costs.values())
    with pytest.raises(SearchError, match=r"no trial keeps val_cost <= 0\.0, so there is no winner; trial"):
        tuner.choose()


@pytest.mark.parametrize(
    ("declare", "is_refused"),
    [
        (lambda hp: [hp.Choice("a", [1, 2]), hp.Choice("a", [1, 2])], False),
        (lambda hp: [hp.Choice("a", [1, 2]), hp.Choice("a", [1, 3])], True),
        (lambda hp: [hp.Int("a", 1, 3), hp.Float("a", 1, 3, step=1)], True),
        (lambda hp: [hp.Boolean("a"), hp.Boolean("a", default=True)], True),
        (lambda hp: [hp.Int("a", 1, 3), nested(hp, "y", lambda: hp.Int("a", 1, 9))], True),
        (lambda hp: [nested(hp, "x", lambda: hp.Int("a", 1, 3)), nested(hp, "y", lambda: hp.Int("a", 4, 9))], False),
    ],
)
def test_the_same_hyperparameter_twice(model, search, declare, is_refused):
    """Alike it is one; with other values, where both exist, it is refused before the first call: Keras-Tuner would take
    the first and say nothing. Under conditions that exclude each other these are two."""

    def build(hp: Any) -> Any:
        hp.Choice("which", ["x", "y"])
        declare(hp)
        return make_builder(model)(hp)

    if is_refused:
        with pytest.raises(UsageError, match="hyperparameter 'a' is declared twice, and not alike: first"):
            search(build)
        assert model.backend.calls == []
    else:
        assert search(build, RandomSearch, max_trials=2).trial_records()


def nested(hp: Any, value: str, declare: Callable[[], Any]) -> Any:
    """Declare something that exists only for a value of ``which``."""
    with hp.conditional_scope("which", [value]):
        return declare()


def test_costs_are_those_of_now(tmp_path):
    """Replies that were paid for while the price was unknown have the cost of the price that is declared later, and a
    hundred times as much at 100 times the price; nothing is paid for twice. Without a price the search is refused."""
    ledger, costs, spent = Ledger(tmp_path / "ledger.sqlite"), [], []
    for number, price in enumerate((None, Price(1.0, 2.0), Price(100.0, 200.0), None)):
        model = ScriptedLanguageModel(mostly_right, ledger=ledger, price=price)
        objective = ["val_reward", "val_cost"] if number else "val_reward"
        tuner = GridSearch(make_builder(model), objective, directory=tmp_path / str(number), verbose=False)
        if number and price is None:
            with pytest.raises(UsageError, match="the price of 'scripted/scripted' is unknown"):
                tuner.search(**fit_arguments())
            continue
        tuner.search(**fit_arguments())
        costs.append([record.metrics.get("val_cost") for record in tuner.trial_records()])
        spent.append(tuner.session.paid)
    unknown, first, second = costs
    assert len(first) == 6 and all(cost is None or cost != cost for cost in unknown)
    assert second == pytest.approx([100 * cost for cost in first]) and min(first) > 0
    assert spent[0] > 0 and spent[1:] == [0, 0]
