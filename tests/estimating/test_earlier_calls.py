"""What earlier calls in the ledger tell of later ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune import Budget, run_maybe_nested
from paretune.estimating.earlier_calls import LedgerView, characters, kind_of
from paretune.estimating.recording import RecordingModel
from paretune.estimating.spending import spending
from paretune.lm.backends.scripted import ScriptedLanguageModel
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Reply, Request


def store(ledger: Ledger, number: int, size: int, tokens: int, **request: Any) -> None:
    """Keep a call whose prompt has so many characters and tokens."""
    asked = {"messages": [["user", "x" * size]], **request}
    ledger.put(str(number), "some/model", asked, Reply("x", tokens, 7, None, 0.5, 1))


def test_the_tokens_of_prompts(tmp_path: Path) -> None:
    """A line through what was seen, 40 tokens and one more for each 4 characters; other kinds have other lines."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for number, size in enumerate((100, 200, 400)):
        store(ledger, number, size, 40 + size // 4)
        store(ledger, 10 + number, 300, 100, structured_output="completion")
    found = LedgerView(ledger).experience("some/model")
    request = Request(messages=(("user", "x" * 1000),))
    assert set(found) == {"", kind_of(request), kind_of({"structured_output": "completion"})}
    assert found[kind_of(request)].prompt_tokens(characters(request)) == pytest.approx(40 + 250)
    completion = found[kind_of({"structured_output": "completion"})]
    assert completion.prompt_tokens(600) == pytest.approx(200)
    assert (completion.calls, completion.completion_tokens, completion.latency_s) == (3, 7, 0.5)
    assert LedgerView(ledger).experience("other/model") == {}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 10**5)), min_size=1, max_size=8), st.integers(0, 10**6))
def test_no_prompt_is_without_tokens(tmp_path_factory: pytest.TempPathFactory, seen: Any, size: int) -> None:
    """Whatever was seen, a prompt has at least one token, and a longer one no fewer."""
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite")
    for number, (length, tokens) in enumerate(seen):
        store(ledger, number, length, tokens)
    experience = LedgerView(ledger).experience("some/model")[""]
    ledger.close()
    assert 1 <= experience.prompt_tokens(size) <= experience.prompt_tokens(size + 1000)


def test_prices_without_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider's price is known from litellm's list, without importing litellm; a declared one goes before, and
    earlier calls at another price say nothing: 1,000 and 100 tokens at $0.15 and $0.60 a million, or at $5 and $6."""
    monkeypatch.delitem(sys.modules, "litellm", raising=False)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    paid = Reply("x", 1, 1, None, 0.5, 1, price={"prompt": 3.0, "completion": 4.0})
    ledger.put("a", "openai/gpt-4o-mini", {"messages": []}, paid)
    view, take = LedgerView(ledger), np.array([(1, 1), (1000, 1000), (100, 100), (1, 1)], dtype=float)
    for price, usd in ((None, 210e-6), ({"prompt": 5, "completion": 6}, 5600e-6)):
        model = LanguageModel("openai/gpt-4o-mini", ledger=ledger, price=price)
        (share,) = spending({model.model: take}, {model.model: model}, view).models
        assert share.usd is not None and share.usd.exact and share.usd.low == pytest.approx(usd)
    assert "litellm" not in sys.modules


def test_a_name_that_may_be_mistyped(tmp_path: Path) -> None:
    """The share of its model says so; that of a listed one says nothing."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    models = {name: LanguageModel(name, ledger=ledger) for name in ("openai/gpt-4o-mini", "openai/gpt-4o-mni")}
    take = np.ones((4, 2))
    shares = spending(dict.fromkeys(models, take), models, LedgerView(ledger)).models
    assert [share.usd is None for share in shares] == [False, True]
    assert shares[0].fault is None and "did you mean 'openai/gpt-4o-mini'" in str(shares[1].fault)


def test_a_recording_model_calls_nobody(tmp_path: Path) -> None:
    """It records the request, with the key that the reply will have, and writes nothing."""
    model = ScriptedLanguageModel(lambda request: "yes", ledger=Ledger(tmp_path / "ledger.sqlite"))
    view, request = LedgerView(model.ledger), Request(messages=(("user", "Is it?"),), grammar='root ::= "yes"')
    recorder = RecordingModel(model, view.capabilities(model))
    assert run_maybe_nested(recorder.complete(request)).text == ""
    assert list(tmp_path.iterdir()) == [] and not model.backend.calls  # type: ignore[attr-defined]
    (recorded,) = recorder.requests
    assert view.holds([recorded.key]) == 0
    assert run_maybe_nested(model.complete(request)).key == recorded.key
    assert view.holds([recorded.key, recorded.key, "other"]) == 1


def test_a_recording_model_charges_no_budget(tmp_path: Path) -> None:
    """Under a budget that allows no call at all, requests are recorded all the same, and nothing is spent."""
    model = ScriptedLanguageModel(lambda request: "yes", ledger=Ledger(tmp_path / "ledger.sqlite"))
    recorder = RecordingModel(model, model.capabilities)
    with Budget(calls=0, ledger=model.ledger).charging():
        for number in range(3):
            run_maybe_nested(recorder.complete(Request(messages=(("user", str(number)),))))
    assert [recorded.request.messages[0][1] for recorded in recorder.requests] == ["0", "1", "2"]
    assert LedgerView(model.ledger).spent("default") == {}
