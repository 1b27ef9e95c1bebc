"""Many calls in flight are many open connections: the process is allowed them, or says that it is not."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

import paretune
from paretune.errors import ConfigError


@pytest.fixture
def low() -> Iterator[None]:
    """A process that may open 256 files until it asks for more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def model(concurrency: int) -> paretune.LanguageModel:
    """A model on a server of one's own."""
    return paretune.LanguageModel("openai/echo", api_base="http://127.0.0.1:1/v1", concurrency=concurrency)


def test_the_limit_is_raised_where_it_is_low(low: None) -> None:
    """A model that takes a thousand calls at once may have a thousand connections."""
    model(16)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 256
    model(1_000)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1_200


def test_what_the_system_does_not_allow_is_said(low: None) -> None:
    """More than the hard limit is an error that names both numbers, before any call."""
    with pytest.raises(ConfigError, match=r"concurrency=100000 needs 100200 open files at once.*may have \d+: lower"):
        model(100_000)
