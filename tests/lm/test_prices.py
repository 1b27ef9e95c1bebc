"""What a call costs: by litellm's list and by one's own prices, when it is paid for and when the ledger serves it."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import openai_server as fake
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_rows import stored
from openai_server import OpenAIServer

from paretune import run_maybe_nested
from paretune.errors import UsageError
from paretune.lm.backends import litellm_prices
from paretune.lm.backends.litellm_errors import load_litellm
from paretune.lm.backends.litellm_names import name_fault
from paretune.lm.backends.litellm_prices import listed_price
from paretune.lm.backends.scripted import ScriptedLanguageModel
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Answer, Price, Reply, Request

#: Tokens of prompts on both sides of each border between prices.
BORDERS = [n for border in (100, 128, 200, 256, 272, 512) for n in (border * 1000, border * 1000 + 1)]
ASK = Request((("user", "a b c"),))


@functools.cache
def priced() -> list[str]:
    """Every model for texts that litellm lists with prices per token, but for subscriptions, where it would log in."""
    modes = ("chat", "completion", "responses")
    listed = [name for name, entry in load_litellm().model_cost.items() if entry.get("mode") in modes]
    found = [name for name in listed if listed_price(name) is not None]
    assert len(found) > 2500
    return found


@st.composite
def usages(draw: st.DrawFn) -> dict[str, Any]:
    """Accounts of calls: cached, newly cached and audio tokens among those of the prompt, reasoning in the reply."""
    prompt = draw(st.one_of(st.integers(1, 10**6), st.sampled_from(BORDERS)))
    completion = draw(st.integers(0, 20_000))
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    usage["total_tokens"] = prompt + completion
    if draw(st.booleans()):
        cached = draw(st.integers(0, prompt))
        written = draw(st.integers(0, prompt - cached))
        audio = draw(st.integers(0, prompt - cached - written)) if draw(st.booleans()) else 0
        usage["prompt_tokens_details"] = {"cached_tokens": cached, "audio_tokens": audio}
        if draw(st.booleans()):
            usage |= {"cache_creation_input_tokens": written, "cache_read_input_tokens": cached}
    if draw(st.booleans()):
        usage["completion_tokens_details"] = {"reasoning_tokens": draw(st.integers(0, completion))}
    if draw(st.booleans()):
        usage["service_tier"] = draw(st.sampled_from(["flex", "priority", "default"]))
    return usage


def answer_of(usage: dict[str, Any]) -> Answer:
    """The answer of such a call."""
    return Answer("", usage["prompt_tokens"], usage["completion_tokens"], usage=usage)


@pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning")  # of litellm's own types
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), usages()), min_size=8, max_size=8))
def test_costs_are_those_of_litellm(calls: list[tuple[int, dict[str, Any]]]) -> None:
    """Whatever the model and the account, the cost is that of ``litellm.completion_cost``, and not above the most that
    so many tokens can cost (which knows of no audio, since only text is sent)."""
    litellm = load_litellm()
    for number, usage in calls:
        model = priced()[number % len(priced())]
        price, answer = listed_price(model), answer_of(usage)
        assert price is not None
        response = litellm.ModelResponse(model=model, usage=litellm.Usage(**usage))
        try:
            expected = litellm.completion_cost(response, model=model)
        except Exception:  # names that litellm lists and cannot call without a provider
            expected = (answer.prompt_tokens * price.prompt + answer.completion_tokens * price.completion) / 1e6
        assert price.cost(answer) == pytest.approx(expected, rel=1e-9, abs=1e-15), (model, usage)
        if not usage.get("prompt_tokens_details", {}).get("audio_tokens"):
            most = price.most(answer.prompt_tokens, answer.completion_tokens, usage.get("service_tier"))
            assert price.cost(answer) <= most * (1 + 1e-9), (model, usage)


def test_every_listed_model_has_its_price() -> None:
    """A small call of each costs what litellm says, also where that takes no litellm."""
    litellm, usage = load_litellm(), {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    for model in priced():
        price = listed_price(model)
        assert price is not None
        try:
            expected = litellm.completion_cost({"model": model, "usage": usage}, model=model)
        except Exception:
            continue
        assert price.cost(answer_of(usage)) == pytest.approx(expected, rel=1e-9, abs=1e-15), model


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens_details": "x"},
        {"prompt_tokens_details": {"cached_tokens": "many"}},
        {"completion_tokens_details": [1]},
        {"cost": float("nan"), "prompt_tokens_details": {"cached_tokens": -(10**9)}},
        {"service_tier": "never heard of"},
        {"prompt_tokens_details": functools.reduce(lambda inner, _: {"a": inner}, range(2000), {})},
    ],
)
def test_a_strange_account_has_a_cost(usage: dict[str, Any]) -> None:
    """What a server writes into its account makes no error, and no cost below zero."""
    answer = Answer("", 1000, 100, usage=usage)
    for price in (listed_price("gpt-4o"), Price(1, 2, 0.1)):
        assert price is not None and 0 <= price.cost(answer) < 1


def test_subscriptions_have_no_price_per_token() -> None:
    """Their price is unknown, and nobody logs in to learn it."""
    assert listed_price("github_copilot/gpt-4o") is None and listed_price("chatgpt/gpt-5.4") is None


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("GPT-4o", 2.5),
        ("ft:gpt-4o-mini-2024-07-18:org::x", 0.3),
        ("gemni/gemini-2.5-flash", None),
        ("vertex_ai/gemini-2.5-flash@001", None),
        ("groq/gpt-4o", None),
        ("ollama/of-my-own", None),
    ],
)
def test_names_around_listed_ones(name: str, prompt: float | None) -> None:
    """Where litellm's rules find an entry of its list, that is the price; none is made up, least of all one of zero."""
    price = listed_price(name)
    assert price is None if prompt is None else price is not None and price.prompt == prompt


def test_own_prices_of_a_cached_prompt() -> None:
    """800 of 1,000 prompt tokens at $0.10 a million, 200 at $1, 100 of the completion at $2: 480 millionths. Each
    provider writes the 800 in its own way; without a price of their own they cost as the others do."""
    accounts: list[dict[str, Any]] = [
        {"prompt_tokens_details": {"cached_tokens": 800}},
        {"prompt_tokens_details": None, "cache_read_input_tokens": 800},
        {"prompt_cache_hit_tokens": 800, "prompt_cache_miss_tokens": 200},
        {"cached_tokens": 800.0},
    ]
    for usage in accounts:
        answer = Answer("", 1000, 100, usage=usage)
        assert Price(1, 2, cached=0.1).cost(answer) == pytest.approx(480e-6)
        assert Price(1, 2).cost(answer) == pytest.approx(1200e-6)
    everything = Answer("", 10, 0, usage={"cached_tokens": 10**9})
    assert Price(1, 2, cached=0.0).cost(everything) == 0


def test_reasoning_beside_the_completion_is_paid_for() -> None:
    """10 + 20 tokens and 70 of reasoning: on top where the total is 100 (xAI), among the 20 where it is 30."""
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 70}}
    assert Price(0, 1e6).cost(Answer("", 10, 20, usage={**usage, "total_tokens": 100})) == pytest.approx(90)
    assert Price(0, 1e6).cost(Answer("", 10, 20, usage={**usage, "total_tokens": 30})) == pytest.approx(20)


@given(usages(), st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1e4))
def test_no_own_cost_is_above_the_most(usage: dict[str, Any], prompt: float, completion: float, cached: float) -> None:
    """However many of the tokens were cached, the cost lies between nothing and the reserve of a budget."""
    price, answer = Price(prompt, completion, cached), answer_of(usage)
    assert 0 <= price.cost(answer) <= price.most(answer.prompt_tokens, answer.completion_tokens) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("price", "rule"),
    [
        ({"prompt": 1}, "must be {prompt"),
        ({"prompt": 1, "completion": 2, "cache": 3}, "must be {prompt"),
        ({"prompt": -1, "completion": 2}, "prompt must be dollars"),
        ({"prompt": 1, "completion": float("nan")}, "completion must be dollars"),
        ({"prompt": 1, "completion": 2, "cached": "3"}, "cached must be dollars"),
    ],
)
def test_what_is_no_price_is_refused(price: dict[str, Any], rule: str) -> None:
    """With the rule, before anything is called."""
    with pytest.raises(UsageError, match=rule):
        LanguageModel("openai/gpt-4o", price=price)


def test_the_cost_of_a_call_through_litellm(server: OpenAIServer) -> None:
    """gpt-4o at $2.50, $1.25 cached, $10: 200, 800 and 100 tokens cost 0.0025; as priority (1.7 times) 0.00425."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 800}}
    model = LanguageModel("openai/gpt-4o", api_base=server.api_base)
    answer = fake.chat("hi", usage={**usage, "total_tokens": 1100})
    server.answer = answer
    assert run_maybe_nested(model.complete(ASK)).cost_usd == pytest.approx(0.0025)
    server.answer = replace(answer, body={**answer.body, "service_tier": "priority"})
    paid = run_maybe_nested(model.complete(replace(ASK, replicate=1)))
    assert paid.cost_usd == pytest.approx(0.00425)
    assert model.ledger.session.spent_usd == pytest.approx(0.00675)


def test_a_hit_at_the_same_price_needs_no_litellm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was charged stands while the list is the same; else it is computed from the tokens."""
    ledger, usage = Ledger(tmp_path / "ledger.sqlite"), {"prompt_tokens_details": {"cached_tokens": 800}}
    monkeypatch.setattr(litellm_prices, "load_litellm", lambda: pytest.fail("litellm is loaded"))
    model = LanguageModel("openai/gpt-4o", api_base="http://127.0.0.1:9/v1", ledger=ledger)
    reply = Reply("hi", 1000, 100, 7.0, 1.0, 1, usage=usage, price=model.pricing)
    ledger.put(model.as_sent(ASK)[1], model.model, {}, reply)
    assert run_maybe_nested(model.complete(ASK)).cost_usd == 7.0
    monkeypatch.undo()
    ledger.put(model.as_sent(replace(ASK, replicate=1))[1], model.model, {}, replace(reply, price={"prompt": 1}))
    assert run_maybe_nested(model.complete(replace(ASK, replicate=1))).cost_usd == pytest.approx(0.0025)
    ledger.close()


def test_a_hit_costs_its_tokens_at_the_price_of_now(tmp_path: Path) -> None:
    """Paid for while the price was unknown; then 3 + 2 tokens at $1 and $2 a million cost 7 millionths, a hundred
    times as much at 100 times the price, and nobody knows it again without one. The file keeps what was charged."""
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def model(price: Price | None) -> LanguageModel:
        return ScriptedLanguageModel(lambda _: "one two", price=price, ledger=ledger)

    costs = [
        run_maybe_nested(model(price).complete(ASK)).cost_usd
        for price in (None, Price(1, 2), Price(100, 200), Price(1, 2, cached=0.5), None)
    ]
    assert costs == [None, pytest.approx(7e-6), pytest.approx(7e-4), pytest.approx(7e-6), None]
    assert (ledger.session.paid, ledger.session.spent_usd) == (1, 0)
    ledger.close()
    (call,) = stored(ledger.path).values()
    assert (call["cost_usd"], call["price"]) == (None, None)


def test_the_reply_of_a_fallback_has_its_price() -> None:
    """When the ledger serves it as well: 2 tokens of the fallback's reply at $5 each, not at the other's price."""
    spare = ScriptedLanguageModel(lambda _: "one two", name="spare", price=Price(0, 1e6))
    run_maybe_nested(spare.complete(ASK))
    spare = ScriptedLanguageModel(lambda _: "never", name="spare", price=Price(0, 5e6))
    model = ScriptedLanguageModel(lambda _: "never", name="main", price=Price(0, 9e6), fallbacks=[spare])
    assert run_maybe_nested(model.complete(ASK)).cost_usd == pytest.approx(10)
    assert model.pricing == {
        "own": {"prompt": 0, "completion": 9e6},
        "fallbacks": {"scripted/spare": {"prompt": 0, "completion": 5e6}},
    }


def test_what_a_price_says_of_itself() -> None:
    """Own prices as they are set, nothing where none is known; a listed one changes with any of its rates."""
    assert LanguageModel("openai/none", api_base="http://127.0.0.1:9/v1").pricing is None
    own = LanguageModel("openai/gpt-4o", price={"prompt": 1, "completion": 2, "cached": 0.5})
    assert own.pricing == {"prompt": 1, "completion": 2, "cached": 0.5}
    listed = LanguageModel("openai/gpt-4o").pricing
    assert listed is not None and (listed["prompt"], listed["completion"]) == (2.5, 10.0)
    rates = {"input_cost_per_token": 2.5e-6, "output_cost_per_token": 1e-5}
    two = [
        litellm_prices.ListedPrice("m", {**rates, "cache_read_input_token_cost": rate}, 2.5e-6, 1e-5)
        for rate in (1e-6, 1.25e-6)
    ]
    assert two[0].describe()["listed"] != two[1].describe()["listed"] != listed["listed"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("gemini/gemini-2.5-flsh", "lists no model .* did you mean 'gemini/gemini-2.5-flash'"),
        ("gemni/gemini-2.5-flash", "knows no provider 'gemni' .* did you mean 'gemini/gemini-2.5-flash'"),
        ("gpt-4o-mni", "without a provider; did you mean .*'gpt-4o-mini'"),
        ("groq/gpt-4o", None),
        ("openai/gpt-4o", None),
        ("gpt-4o", None),
        ("openai/gpt-9-tiny", None),
        ("ollama/of-my-own", None),
        ("azure/my-deployment", None),
    ],
)
def test_names_that_may_be_mistyped(name: str, fault: str | None) -> None:
    """No such provider, or a listed name that is very like it; a new name of a known provider may well exist."""
    found = name_fault(name)
    assert found is None if fault is None else found is not None and re.search(fault, found)
    assert LanguageModel(name).name_fault() == found == LanguageModel("gpt-4o", fallbacks=[name]).name_fault()


def test_an_unknown_provider_fetches_nothing() -> None:
    """In a fresh process that imports litellm for the names of providers: its list of prices is the local one."""
    ask = "from paretune import LanguageModel; print(LanguageModel('nosuch/m').name_fault())"
    tell = "import os; print(os.environ['LITELLM_LOCAL_MODEL_COST_MAP'])"
    environment = {name: value for name, value in os.environ.items() if name != "LITELLM_LOCAL_MODEL_COST_MAP"}
    done = subprocess.run([sys.executable, "-c", f"{ask}; {tell}"], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["litellm knows no provider 'nosuch' (of 'nosuch/m')", "True"], done.stderr
