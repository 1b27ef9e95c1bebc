"""A gateway in a test's own process, and a client of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp

from paretune import LanguageModel
from paretune.gateway.keys import Key, Run
from paretune.gateway.server import Gateway

CHAT = "/chat/completions"


class Response(NamedTuple):
    """What the gateway response: status, body and headers."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def content(self) -> str:
        """What the first choice of a chat says."""
        text: str = self.json["choices"][0]["message"]["content"]
        return text


@dataclass
class Client:
    """Asks with ``key``; ``begin`` makes the next questions those of another run."""

    gateway: Gateway
    key: Key
    session: aiohttp.ClientSession

    def begin(self, run: Run | None = None) -> Run:
        self.key.run = run or Run()
        return self.key.run

    async def ask(self, path: str = CHAT, body: Any = None, **headers: str) -> Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.key.text}", **headers}
        async with self.session.post(self.gateway.address + path, data=content, headers=sent) as response:
            return Response(response.status, await response.text(), dict(response.headers))


@asynccontextmanager
async def client_of(*models: LanguageModel) -> AsyncIterator[Client]:
    """A client of a gateway to these models, by their names."""
    by_name = {model.model: model for model in models}
    gateway = Gateway(lambda name: by_name.get(name) or LanguageModel(name), list(by_name))
    await gateway.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(gateway, gateway.keys.issue(Run()), session)
    finally:
        await gateway.close()


def question(text: str, **more: Any) -> dict[str, Any]:
    """The body of a chat's request."""
    return {"messages": [{"role": "user", "content": text}], **more}
