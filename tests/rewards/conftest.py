"""Scripted language models for judges, and for those who are judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paretune import LanguageModel, ScriptedLanguageModel, clear_session
from paretune.lm.ledger.ledger import Ledger


@pytest.fixture
def lm(tmp_path: Path) -> Callable[..., LanguageModel]:
    """Makes scripted language models, each with a ledger of its own."""
    clear_session()
    ledgers = iter(range(100))

    def make(script: Any, name: str = "student", **options: Any) -> LanguageModel:
        ledger = Ledger(tmp_path / f"{next(ledgers)}.sqlite")
        return ScriptedLanguageModel(script, name=name, **{"ledger": ledger, "max_attempts": 1, **options})

    return make
