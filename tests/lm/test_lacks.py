"""What a model lacks (a chat, the continuation of a text) is found out before it is asked anything, at no cost."""

from __future__ import annotations

from typing import Any

import openai_server as fake
import pytest
from call_options import request_with
from odd_numbers import Number, Parity
from openai_server import OpenAIServer, openai_server

from paretune import ChainOfThought, Generator, Input, LanguageModel, ScriptedLanguageModel
from paretune.errors import FatalError, UsageError
from paretune.eventloop import run_maybe_nested
from paretune.lm.ledger.ledger import Ledger

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


def lack(api_base: str | None, ledger: Ledger, form: str, model: str = "openai/m", **options: Any) -> str | None:
    """What a new object finds out."""
    model_of = LanguageModel(model, api_base=api_base, ledger=ledger, **options)
    return run_maybe_nested(model_of.lacks(form))


@pytest.mark.parametrize("model", ["openai/m", "openai/gpt-4o"])
@pytest.mark.parametrize(
    ("absent", "lacking"),
    [((), ()), ((TEXT,), ("completion",)), ((CHAT,), ("native", "text")), ((CHAT, TEXT), ())],
)
def test_a_path_that_is_not_there(
    server: OpenAIServer, ledger: Ledger, model: str, absent: tuple[str, ...], lacking: tuple[str, ...]
) -> None:
    """A form is lacking where its path is not there and that of the other forms is; no question was sent."""
    server.absent = absent
    for form in ("native", "text", "completion"):
        reason = lack(server.api_base, ledger, form, model)
        assert bool(reason) == (form in lacking), form
        if reason:
            assert reason.endswith(f"(status 404 of {server.address}{absent[0]})")
    assert server.asked == [] and set(server.probed) <= {CHAT, TEXT}


def test_a_server_is_asked_once(server: OpenAIServer, ledger: Ledger) -> None:
    """What it has is remembered in the ledger; what it lacked is asked for again by the next process, and holds while
    the server is down."""
    assert lack(server.api_base, ledger, "completion") is None
    server.absent = (TEXT,)
    assert lack(server.api_base, ledger, "completion") is None and server.probed == [TEXT]
    other = server.api_base.replace("127.0.0.1", "localhost")
    assert "continues no text" in str(lack(other, ledger, "completion"))
    model = LanguageModel("openai/m", api_base=other, ledger=ledger)
    for _ in range(2):
        assert run_maybe_nested(model.lacks("completion"))
    assert server.probed == [TEXT] + 2 * [TEXT, CHAT]
    server.absent = ()
    assert lack(other, ledger, "completion") is None


def test_a_server_that_is_down(ledger: Ledger) -> None:
    """Nothing is known of it, or what it said last."""
    with openai_server() as server:
        server.absent = (TEXT,)
        assert lack(server.api_base, ledger, "completion")
    assert lack(server.api_base, ledger, "completion")
    assert lack(server.api_base, ledger, "native") is None


def test_a_missing_key_is_told_by_the_first_call(server: OpenAIServer, ledger: Ledger) -> None:
    """Without it nothing is sent."""
    assert lack(server.api_base, ledger, "completion", api_key_env="NO_SUCH_KEY") is None
    assert server.probed == []


def test_a_login_stands_in_no_reason(server: OpenAIServer, ledger: Ledger) -> None:
    """The server is named without it."""
    server.absent = (TEXT,)
    reason = lack(server.api_base.replace("//", "//user:secret-word@"), ledger, "completion")
    assert reason and "secret-word" not in reason and "user" not in reason


@pytest.mark.parametrize(
    ("model", "lacks"),
    [
        ("gemini/gemini-2.5-flash", True),
        ("openai/gpt-4o", True),
        ("gpt-3.5-turbo-instruct", False),
        ("together_ai/Qwen/Qwen2.5-7B-Instruct-Turbo", False),
        ("gemini/of-next-year", True),
        ("groq/of-next-year", True),
        ("openai/of-next-year", True),
        ("nobody/knows", False),
    ],
)
def test_models_of_providers(ledger: Ledger, model: str, lacks: bool) -> None:
    """By litellm's list, without a call: it would hold a chat in the place of the text. A model that is not listed is
    like its provider's others where these are all alike."""
    assert bool(lack(None, ledger, "completion", model)) == lacks
    assert lack(None, ledger, "native", model) is None


def test_fallbacks_count(server: OpenAIServer, ledger: Ledger) -> None:
    """A fallback would be asked in the same form."""
    server.absent = (TEXT,)
    fallback = LanguageModel("openai/m", api_base=server.api_base, ledger=ledger)
    model = ScriptedLanguageModel(lambda request: "joy", ledger=ledger, fallbacks=[fallback])
    assert "openai/m" in str(run_maybe_nested(model.lacks("completion")))
    assert run_maybe_nested(model.lacks("native")) is None


@pytest.mark.parametrize("module", [Generator, ChainOfThought])
def test_a_program_that_cannot_work_is_not_built(server: OpenAIServer, ledger: Ledger, module: Any) -> None:
    """It is refused with the cure before a call is made."""
    server.absent = (TEXT,)
    model = LanguageModel("openai/m", api_base=server.api_base, ledger=ledger)
    generator = module(Parity, model, structured_output="completion")
    with pytest.raises(UsageError, match=r"continues no text .*; set structured_output to native, prompt or text"):
        run_maybe_nested(generator(Input(Number)))
    run_maybe_nested(module(Parity, model, structured_output="text")(Input(Number)))
    assert server.asked == []


@pytest.mark.parametrize("model", ["openai/m", "openai/gpt-4o"])
@pytest.mark.parametrize(
    ("form", "cure"), [("completion", "set structured_output to native, prompt or text"), ("text", "mostly with /v1")]
)
def test_a_call_to_a_path_that_is_not_there(
    server: OpenAIServer, ledger: Ledger, model: str, form: Any, cure: str
) -> None:
    """The error of the call names the cure as well."""
    server.absent = (TEXT, CHAT)
    asked = LanguageModel(model, api_base=server.api_base, ledger=ledger)
    messages = (("prompt", "a"),) if form == "completion" else (("user", "a"),)
    with pytest.raises(FatalError, match=cure):
        run_maybe_nested(asked.complete(request_with(messages=messages, structured_output=form)))


def test_a_model_that_is_not_there(server: OpenAIServer, ledger: Ledger) -> None:
    """A server's own word for it stays alone."""
    server.answer = fake.failure(404, "The model `m` does not exist.")
    with pytest.raises(FatalError, match=r"does not exist\.$"):
        run_maybe_nested(
            LanguageModel("openai/m", api_base=server.api_base, ledger=ledger).complete(
                request_with(messages=(("user", "a"),), structured_output="text")
            )
        )
