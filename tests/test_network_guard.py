"""The fixtures of conftest.py themselves."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from paretune.files import state_root


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "2001:db8::1"])
def test_the_network_is_out_of_reach(host: str, forbidden_addresses: list[str]) -> None:
    """Names and addresses elsewhere are refused, and remembered even where the error is swallowed."""
    with pytest.raises(BaseException, match="only loopback"):
        socket.create_connection((host, 80), timeout=0.1)
    with pytest.raises(BaseException, match="only loopback"):
        asyncio.run(asyncio.open_connection(host, 80))
    assert forbidden_addresses == [host, host]
    forbidden_addresses.clear()


def test_loopback_is_allowed() -> None:
    """A server of the test's own can be reached."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()[:2], timeout=1).close()


def test_each_test_has_its_own_state(tmp_path: Path) -> None:
    """Nothing that a test does reaches the ledger of a project."""
    assert tmp_path in state_root().parents
