"""The declared program: what its hyperparameters make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from paretune import run_maybe_nested
from paretune.lm.backends.local_memory import loaded_models
from paretune.optimizers import OPRO, RandomFewShot
from paretune.pipeline.programs import ProgramSetup

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
