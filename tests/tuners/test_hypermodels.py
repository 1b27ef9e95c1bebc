"""What a tuner takes as a hypermodel and as a space, and how constraints rank its trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from odd_numbers import fit_arguments, make_builder, mostly_right

from paretune import LanguageModel, ScriptedLanguageModel
from paretune.errors import UsageError
from paretune.lm.types import Price
from paretune.tuners import GridSearch, Hyperband, RandomSearch
from paretune.tuners.kt import HyperParameters
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
        tuner = kind(hypermodel, objective, directory=tmp_path, verbose=False, **options)
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
    """tune_new_entries=False: what was not declared beforehand keeps its default, and is not varied."""
    tuner = search(make_builder(model), kind, hyperparameters=declared("temperature"), tune_new_entries=False)
    values = [record.values for record in tuner.trial_records()]
    assert {one["temperature"] for one in values} == {0.5, 1.0}
    assert not any("thinks" in one for one in values)
    assert {call.temperature for call in model.backend.calls} == {0.5, 1.0}
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


def cost_limit(tuner: Tuner) -> float:
    """A cost that the one half of the trials keeps, and the other breaks."""
    costs = sorted({record.metrics["val_cost"] for record in tuner.trial_records()})
    return (costs[len(costs) // 2 - 1] + costs[len(costs) // 2]) / 2


@pytest.mark.parametrize("kind", TUNERS)
@pytest.mark.parametrize("objective", ["val_reward", ["val_reward", "val_cost"]])
def test_constraints_rank_first(model, search, kind, objective, capsys):
    """Of trials that keep the constraint the best wins, and all of them come before those that break it."""
    limit = cost_limit(search(make_builder(model)))
    tuner = search(make_builder(model), kind, objective, constraints=[f"val_cost <= {limit!r}"])
    best = tuner.oracle.get_best_trials(99)
    keeps = [tuner.records[trial.trial_id].metrics["val_cost"] <= limit for trial in best]
    assert keeps == sorted(keeps, reverse=True) and True in keeps and False in keeps
    sign = 1 if objective == "val_reward" else -1
    for group in (True, False):
        scores = [sign * trial.score for trial, keep in zip(best, keeps, strict=True) if keep is group]
        assert scores == sorted(scores, reverse=True)
    assert tuner.get_best_hyperparameters()[0].values == best[0].hyperparameters.values
    tuner.results_summary(99)
    assert capsys.readouterr().out.count("breaks a constraint") == keeps.count(False)


def test_constraint_that_nothing_keeps(model, search):
    """Where all break it, the best by the objective is still told, and it is told that it breaks the constraint."""
    tuner = search(make_builder(model), constraints=["val_cost <= 0"])
    best = tuner.oracle.get_best_trials(1)[0]
    assert not tuner.oracle.feasible(best)
    assert best.score == max(record.score for record in tuner.trial_records())
