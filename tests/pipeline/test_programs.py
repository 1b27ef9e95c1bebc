"""The declared program: what its hyperparameters make of it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from paretune import run_maybe_nested
from paretune.errors import ConfigError
from paretune.lm.backends.local_memory import loaded_models
from paretune.lm.options import CallOptions
from paretune.optimizers import OPRO, RandomFewShot
from paretune.pipeline.programs import ProgramSetup
from paretune.tuners.building import build
from paretune.tuners.keras_api import HyperParameters

PARAMS = yaml.safe_load((Path(__file__).resolve().parents[2] / "params.yaml").read_text())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"few_shot": 0}, (type(None), type(None))),
        ({"few_shot": 2}, (RandomFewShot, type(None))),
        ({"few_shot": 0, "instruction_search": True}, (OPRO, type(None))),
        ({"few_shot": 2, "instruction_search": True}, (OPRO, RandomFewShot)),
    ],
)
def test_what_is_trained(values: dict[str, Any], expected: tuple[type, type]) -> None:
    """Examples and instructions are searched where their hyperparameters say so, alone or together."""
    program = run_maybe_nested(ProgramSetup(PARAMS).declared_program(values))
    assert (type(program.optimizer), type(getattr(program.optimizer, "few_shot", None))) == expected
    few_shot = getattr(program.optimizer, "few_shot", program.optimizer)
    assert getattr(few_shot, "nb_max_examples", 0) == values["few_shot"]


@pytest.mark.parametrize(("declared", "limit"), [(2.5, 2_500_000_000), (None, None)])
def test_the_memory_of_local_models(monkeypatch: pytest.MonkeyPatch, declared: float | None, limit: int | None) -> None:
    """Gigabytes in the configuration; nothing said is nothing limited but by the machine."""
    monkeypatch.setattr(loaded_models, "limit", 1)
    ProgramSetup({**PARAMS, "lm": {**PARAMS["lm"], "memory_gb": declared}})
    assert loaded_models.limit == limit


def test_call_options_are_hyperparameters() -> None:
    """Also those of one provider, under names of their own; what cannot be sent is refused with its place."""
    params = copy.deepcopy(PARAMS)
    params["search"]["space"] = {
        "top_p": {"kind": "float", "min": 0.1, "max": 1.0},
        "stop": {"kind": "choice", "values": ["#", "##"]},
        "extra": {"top_k": {"kind": "choice", "values": [5, 20]}},
    }
    params["program"]["extra"] = {"min_p": 0.1}
    setup = ProgramSetup(params)
    hyperparameters = HyperParameters()
    hyperparameters.values = {"top_p": 0.5, "stop": "##", "extra.top_k": 20}
    (generator,) = run_maybe_nested(build(setup.build_program, hyperparameters)).generators
    sent = CallOptions(temperature=0, max_tokens=256, top_p=0.5, stop=("##",), extra={"min_p": 0.1, "top_k": 20})
    assert generator.options == sent
    params["search"]["space"] = {"extra.api_key": {"kind": "choice", "values": ["a"]}}
    with pytest.raises(ConfigError, match=r"extra: .*api_key_env instead of 'api_key'$"):
        ProgramSetup(params)
