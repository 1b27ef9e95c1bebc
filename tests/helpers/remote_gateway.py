"""A gateway on an event loop of its own, for clients that call their language models there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from paretune import Budget, LanguageModel, Ledger
from paretune.gateway.keys import Run
from paretune.gateway.server import Gateway
from paretune.lm.backends.gateway import KEY

SECRET = "sk-of-the-tests-gateway"


@contextmanager
def remote_gateway(
    monkeypatch: pytest.MonkeyPatch, *models: LanguageModel, ledger: Ledger, budget: Budget | None = None, port: int = 0
) -> Iterator[str]:
    """The address of a gateway to these models; its key is in the environment."""
    monkeypatch.setenv(KEY, SECRET)
    by_name = {model.model: model for model in models}
    started, ended = threading.Event(), asyncio.Event()
    address = ""
    loop: asyncio.AbstractEventLoop | None = None

    async def serve() -> None:
        nonlocal address, loop
        loop = asyncio.get_running_loop()
        gateway = Gateway(by_name.__getitem__, list(by_name))
        with nullcontext() if budget is None else budget.charging():
            gateway.keys.issue(Run(draws=False), SECRET)
        address = await gateway.start(port, ledger=ledger)
        started.set()
        await ended.wait()
        await gateway.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(10) and loop is not None
        yield address
    finally:
        if loop is not None:
            loop.call_soon_threadsafe(ended.set)
        thread.join()
