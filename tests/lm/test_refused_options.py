"""Options that litellm would not send are known before a call is paid."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from paretune.errors import ConfigError
from paretune.eventloop import run_maybe_nested
from paretune.lm.backends import litellm as backend
from paretune.lm.language_model import LanguageModel
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.sections.base import read_params

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of its own."""
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("model", "options", "reason"),
    [
        ("gpt-5-mini", {"temperature": 0.0}, "gpt-5-mini doesn't support temperature=0.0"),
        ("o3-mini", {"temperature": 0.5}, "Only temperature=1 is supported."),
        ("gpt-5-mini", {"temperature": 1.0, "reasoning_effort": "low"}, None),
        ("gpt-4o-mini", {"temperature": 0.0, "reasoning_effort": None}, None),
        ("nosuch/model", {"temperature": 0.0}, None),
    ],
)
def test_litellm_knows(model: str, options: dict[str, Any], reason: str | None) -> None:
    """Its own words, without its advice to set something that does not exist here."""
    refused = backend.refused_options(model, **options)
    assert (refused is None) == (reason is None)
    if refused is not None and reason is not None:
        assert reason in refused and "drop" not in refused


def test_what_is_taken_is_asked_once_a_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later run asks nobody; a server of the user's own takes what it takes."""
    asked: list[str] = []
    monkeypatch.setattr(backend, "refused_options", lambda model, **options: asked.append(model))
    for _ in range(2):
        assert LanguageModel("gpt-4o-mini").refused(temperature=0.0) is None
        assert LanguageModel("openai/own", api_base="http://127.0.0.1:9/v1").refused(temperature=0.0) is None
    assert asked == ["gpt-4o-mini"]


def test_the_program_is_refused_when_it_is_built() -> None:
    """Before a call, with the key of params.yaml that is to be changed."""
    params = copy.deepcopy(read_params(ROOT / "params.yaml"))
    params["lm"]["model"] = "gpt-5-mini"
    with pytest.raises(ConfigError, match=r"gpt-5-mini takes no temperature 0 .*; set program\.temperature to null"):
        run_maybe_nested(ProgramSetup(params).declared_program({}))
    params["program"]["temperature"] = None
    run_maybe_nested(ProgramSetup(params).declared_program({}))
