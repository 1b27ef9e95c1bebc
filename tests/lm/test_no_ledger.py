"""A ledger that keeps nothing: for programs at work."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from openai_server import chat, openai_server

from paretune import DataModel, Generator, Input, LanguageModel, Program, run_maybe_nested
from paretune.errors import BudgetError, ConfigError, UsageError
from paretune.lm.ledger.budget import Budget
from paretune.lm.ledger.default import default_ledger
from paretune.lm.ledger.none import NoLedger
from paretune.rewards import ExactMatch
from paretune.tuners import RandomSearch


class Tweet(DataModel):
    text: str


class Emotion(DataModel):
    label: Literal["joy", "fear"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, in which the state would be kept."""
    monkeypatch.delenv("PARETUNE_HOME")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path / "empty"


async def program(model: LanguageModel) -> Program:
    inputs = Input(Tweet)
    return Program(inputs, await Generator(Emotion, model)(inputs))


@pytest.mark.parametrize("by_environment", [True, False])
def test_nothing_is_kept(by_environment: bool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment or by the argument: each call is made anew and counted, and no file is made."""
    if by_environment:
        monkeypatch.setenv("PARETUNE_LEDGER", "off")
    with openai_server() as server:
        server.answer = chat('{"label": "joy"}')
        model = LanguageModel("openai/m", api_base=server.api_base, ledger=None if by_environment else False)
        built = run_maybe_nested(program(model))
        paid = model.ledger.session.paid
        for _ in range(3):
            output = run_maybe_nested(built(Tweet(text="a")))
            assert output is not None and output.get_json() == {"label": "joy"}
        assert isinstance(model.ledger, NoLedger) and model.ledger.session.paid - paid == len(server.asked) == 3
    assert list(folder.iterdir()) == []


def test_a_cap_holds_without_a_ledger(folder: Path) -> None:
    """A budget that is kept in memory."""
    with openai_server() as server:
        server.answer = chat('{"label": "joy"}')
        model = LanguageModel("openai/m", api_base=server.api_base, ledger=False)
        built = run_maybe_nested(program(model))
        with Budget(calls=2, ledger=model.ledger).charging() as budget:
            for _ in range(2):
                run_maybe_nested(built(Tweet(text="a")))
            with pytest.raises(BudgetError):
                run_maybe_nested(built(Tweet(text="a")))
        assert budget.spent().calls == len(server.asked) == 2
    assert list(folder.iterdir()) == []


def test_a_search_without_a_ledger_is_refused(folder: Path) -> None:
    """It would pay again for each reply: the line says what to leave out, before any call."""
    with openai_server() as server:
        server.answer = chat('{"label": "joy"}')

        async def build(hp: object) -> Program:
            built = await program(LanguageModel("openai/m", api_base=server.api_base, ledger=False))
            built.compile(reward=ExactMatch())
            return built

        tuner = RandomSearch(build, "val_reward", 1, directory=folder.parent)
        examples = np.array([Tweet(text="a")]), np.array([Emotion(label="joy")])
        with pytest.raises(UsageError, match="PARETUNE_LEDGER=off"):
            tuner.search(*examples, validation_data=examples)
        assert server.asked == []


def test_the_switch_has_two_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another value is refused, rather than that replies were kept which must not be."""
    with monkeypatch.context() as changed, pytest.raises(ConfigError, match="must be on, off or postgresql"):
        changed.setenv("PARETUNE_LEDGER", "false")
        default_ledger()
