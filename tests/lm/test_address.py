"""Addresses of servers: a slip is told before anything is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import ConfigError, UsageError
from paretune.lm.address import address_fault, has_login
from paretune.lm.language_model import LanguageModel
from paretune.pipeline.sections.base import section
from paretune.pipeline.sections.lm import LmParams, logins

WRONG = [
    ("http://[::1/v1", "must be an address such as http://localhost:8000/v1: Invalid IPv6 URL"),
    ("localhost:8000/v1", "must begin with http:// or https://, for example http://localhost:8000/v1"),
    ("//host/v1", "for example http://host/v1"),
    ("ftp://host/v1", "must begin with http:// or https://, not ftp://"),
    ("http://", "must name a server"),
    ("http:///v1", "must name a server"),
    ("http://host:99999/v1", "Port out of range"),
    ("http://host:x/v1", "Port could not be cast"),
    ("http://host/v1/chat/completions", "the address before /chat/completions, which is added to it: drop that"),
    ("http://host/v1/chat/completions/", "the address before /chat/completions"),
    ("http://host/v1/completions", "the address before /completions"),
    ("http://ho st/v1", "must be an address without spaces"),
    (" http://host/v1", "must be an address without spaces"),
    ("http://host/v1\n", "must be an address without spaces"),
    ("", "must begin with http"),
    ("http://" + "h" * 5000, "of at most 2,000 characters"),
]


@pytest.mark.parametrize(("address", "rule"), WRONG)
def test_a_wrong_address_is_told_by_the_pipeline_and_by_the_library(address: str, rule: str) -> None:
    """The same rule in both; the pipeline names the place, also inside of lm.models."""
    with pytest.raises(UsageError) as usage:
        LanguageModel("openai/m", api_base=address)
    assert rule in str(usage.value)
    lm = {"model": "openai/m", "api_base": address, "models": {"openai/m": {"api_base": address}}}
    with pytest.raises(ConfigError) as config:
        section({"lm": lm}, "lm", LmParams)
    _, first, second = str(config.value).splitlines()
    assert first.startswith("  lm.api_base: ") and second.startswith("  lm.models.openai/m.api_base: ")
    assert rule in first


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:8000/v1",
        "https://host/v1/",
        "http://[::1]:8000/v1",
        "HTTP://host",
        "https://h/p?api-version=1",
    ],
)
def test_a_right_address_passes(address: str) -> None:
    """Ports, IPv6, a slash at the end, a query."""
    assert address_fault(address) is None


def test_a_password_is_noticed_and_never_shown() -> None:
    """It works, but Git would keep it; an error about something else does not print it."""
    assert address_fault("https://user:secret@host/v1") is None
    assert has_login("https://user:secret@host/v1") and not has_login("https://host/v1") and not has_login(None)
    models = {"a": {"api_base": "http://u@h/v1"}, "b": {}}
    assert logins(LmParams(model="a", api_base="http://h/v1", models=models)) == ["lm.models.a.api_base"]
    address = "https://user:secret@host/v1/chat/completions"
    for call in (
        lambda: LanguageModel("openai/m", api_base=address),
        lambda: section({"lm": {"model": "a", "api_base": address}}, "lm", LmParams),
    ):
        with pytest.raises((UsageError, ConfigError)) as caught:
            call()
        assert "secret" not in str(caught.value)


@given(st.text(max_size=30) | st.text(max_size=30).map("http://".__add__))
def test_any_text_is_an_address_or_breaks_a_rule(text: str) -> None:
    """No exception, whatever is written."""
    fault = address_fault(text)
    assert fault is None or fault.startswith("must ")
    if fault is None:
        assert text.lower().startswith(("http://", "https://"))
