"""What every test gets: a state folder of its own, no keys, and no network but loopback."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from openai_server import OpenAIServer, openai_server

if TYPE_CHECKING:
    from paretune.lm.ledger.ledger import Ledger

settings.register_profile("paretune", deadline=None)  # a busy machine takes its time
settings.load_profile("paretune")


class NetworkForbidden(BaseException):
    """A test reached for the network. No ``except Exception`` can take it for an error of the network."""


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Ledger and search states in the test's own folder; no key of the person who runs the tests."""
    home = tmp_path / "paretune-home"
    monkeypatch.setenv("PARETUNE_HOME", str(home))
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")) or name.lower() in ("http_proxy", "https_proxy"):
            monkeypatch.delenv(name)
    yield home
    ledgers = sys.modules.get("paretune.lm.ledger.default")
    if ledgers is not None:
        monkeypatch.setenv("PARETUNE_HOME", str(home))
        ledgers.default_ledger().close()


@pytest.fixture(autouse=True)
def forbidden_addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Loopback only: any other address is an error where it is reached for, and again at the end of the test."""
    tried: list[str] = []

    def check(host: Any) -> None:
        if not _is_loopback(host):
            tried.append(str(host))
            raise NetworkForbidden(f"a test reached for {host!r}: only loopback is allowed")

    def guarded(name: str) -> None:
        genuine = getattr(socket.socket, name)

        def call(self: socket.socket, *arguments: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                check(arguments[-1][0])
            return genuine(self, *arguments)

        monkeypatch.setattr(socket.socket, name, call)

    for name in ("connect", "connect_ex", "sendto"):
        guarded(name)
    for name in ("getaddrinfo", "gethostbyname"):
        genuine = getattr(socket, name)
        monkeypatch.setattr(
            socket, name, lambda host, *rest, genuine=genuine, **options: check(host) or genuine(host, *rest, **options)
        )
    yield tried
    assert not tried, f"the test reached for {tried}: only loopback is allowed"


def _is_loopback(host: Any) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server of OpenAI's protocol on loopback; each test says what it answers."""
    with openai_server() as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger of the test's own."""
    from paretune.lm.ledger.ledger import Ledger

    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()
