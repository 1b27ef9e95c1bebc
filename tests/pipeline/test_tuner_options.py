"""The options that `conf/tuner/` offers reach the tuners."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from paretune.pipeline.sections.tuner import TUNER_OPTIONS, TunerParams
from paretune.pipeline.tuners import TUNERS

CONF = Path(__file__).parents[2] / "conf" / "tuner"


@pytest.mark.parametrize("name", sorted(TUNERS))
def test_each_tuner_has_its_file(name):
    """Every tuner can be chosen by a file of its name, with options that its constructor takes and its oracle has."""
    params = TunerParams.model_validate(yaml.safe_load((CONF / f"{name}.yaml").read_text()))
    assert params.name == name and set(params.options) <= set(TUNER_OPTIONS[name])
    oracle = TUNERS[name](lambda hp: None, "val_reward", **params.options).oracle
    assert {option: getattr(oracle, option) for option in params.options} == params.options


def test_every_file_is_a_tuner():
    """There is no file, and no tuner with options, that the pipeline does not know."""
    assert {path.stem for path in CONF.glob("*.yaml")} == set(TUNERS) == set(TUNER_OPTIONS)


def test_options_of_another_tuner_are_refused():
    """An option that the chosen tuner has not would be without effect."""
    with pytest.raises(ValidationError, match=r"beta is no option of the pareto tuner \(it has: sampler"):
        TunerParams.model_validate({"name": "pareto", "beta": 2.6})
