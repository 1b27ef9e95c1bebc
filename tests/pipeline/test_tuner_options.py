"""The options that `conf/tuner/` offers reach the tuners, as the one table of tuners declares them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from odd_numbers import make_builder, mostly_right
from pydantic import ValidationError

from paretune import ScriptedLanguageModel, tuners
from paretune.errors import UsageError
from paretune.pipeline.sections.tuner import TunerParams
from paretune.tuners import TUNERS

CONF = Path(__file__).parents[2] / "conf" / "tuner"
OPTIONS = [(name, option) for name, entry in TUNERS.items() for option in entry.options]


def tuner_of(name: str, **options: Any) -> tuners.GridSearch:
    """A tuner by its name in the table."""
    builder = make_builder(ScriptedLanguageModel(mostly_right))
    return getattr(tuners, TUNERS[name].class_name)(builder, "val_reward", **options)


def accepts(make: Callable[[], object]) -> bool:
    """Whether something can be made."""
    try:
        make()
    except (ValidationError, UsageError):
        return False
    return True


@pytest.mark.parametrize("name", TUNERS)
def test_each_tuner_has_its_file(name):
    """Every tuner can be chosen by a file of its name, with options that its constructor takes and its oracle has."""
    params = TunerParams.model_validate(yaml.safe_load((CONF / f"{name}.yaml").read_text()))
    assert params.name == name and set(params.options) == set(TUNERS[name].options)
    oracle = tuner_of(name, **params.options).oracle
    assert {option: getattr(oracle, option) for option in params.options} == params.options


def test_every_file_is_a_tuner():
    """There is no file, and no public tuner, that the table does not know."""
    assert {path.stem for path in CONF.glob("*.yaml")} == set(TUNERS)
    assert {entry.class_name for entry in TUNERS.values()} == set(tuners.__all__) - {
        "HyperParameters",
        "Objective",
        "Tuner",
    }


@pytest.mark.parametrize("name", TUNERS)
def test_the_table_tells_what_a_tuner_is(name):
    """Its options are arguments of the constructor, whose defaults they are, in order; who plans the epochs has no
    max_trials, and its oracle proposes a training to be continued."""
    entry = TUNERS[name]
    taken = inspect.signature(getattr(tuners, entry.class_name)).parameters
    assert [option for option in taken if option in entry.options] == list(entry.options)
    assert ("max_trials" not in taken) == entry.plans_epochs == tuner_of(name).oracle.continues


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_the_bounds_are_those_of_the_constructor(name, option):
    """What the pipeline refuses before a search, the library refuses as well, and nothing else."""
    values = ["nonsense"] if option == "sampler" else [-1, 0, 1, 2]
    declared = [accepts(lambda v=value: TunerParams.model_validate({"name": name, option: v})) for value in values]
    assert declared == [accepts(lambda v=value: tuner_of(name, **{option: v})) for value in values]
    assert not declared[0]


def test_an_option_means_the_same_in_all_tuners():
    """Options of one name have one type, since the section of params.yaml has one field for them."""
    for name, option in OPTIONS:
        kinds = [entry.options[option] for entry in TUNERS.values() if option in entry.options]
        assert kinds.count(TUNERS[name].options[option]) == len(kinds)


def test_options_of_another_tuner_are_refused():
    """An option that the chosen tuner has not would be without effect."""
    with pytest.raises(ValidationError, match=r"beta is no option of the pareto tuner \(it has: sampler"):
        TunerParams.model_validate({"name": "pareto", "beta": 2.6})
