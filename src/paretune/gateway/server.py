"""The gateway: language models behind OpenAI's protocol on loopback, for programs that know nothing of paretune.

Ledger, budget, limits, retries and prices are those of this process. A call is a task of the gateway and not of the
connection that asked for it: a client that goes away loses nothing that was sent.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from paretune.errors import FatalError, ParetuneError
from paretune.gateway.keys import Keys, Run
from paretune.gateway.protocol import Refusal, events, fields_of, refusal_of
from paretune.gateway.remote import RemoteCalls
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.passing import PATHS
from paretune.lm.types import Reply, Request

__all__ = ["Gateway"]

#: The longest body of a request.
_MAX_BYTES = 32 << 20
#: How long the end waits for calls in flight, in seconds: they are paid for.
_DRAIN_S = 50.0
#: OpenAI's own client heeds it: what could be repeated was repeated here.
_NO_RETRY = {"x-should-retry": "false"}


class Gateway:
    """One server. ``language_model`` gives the model of a name (and raises ParetuneError for none), ``names`` lists
    those that there are, the first of which answers requests that name none."""

    def __init__(self, language_model: Callable[[str], LanguageModel], names: Sequence[str]) -> None:
        self.keys = Keys()
        self.language_model = language_model
        self._names = names
        self._tasks: set[asyncio.Task[Reply]] = set()
        self._runner: web.AppRunner | None = None
        self._began = int(time.time())
        #: Where it is reached, once it has started: what clients call the base URL.
        self.address = ""

    async def start(self, port: int = 0, host: str = "127.0.0.1", ledger: Ledger | None = None) -> str:
        """Listen on loopback or another ``host`` (on a free port for 0); the address. With a ``ledger`` other
        processes of paretune may call their models here too. Raises OSError where the port is taken."""
        application = web.Application(client_max_size=_MAX_BYTES, middlewares=[_errors_in_form])
        for path in PATHS:
            application.router.add_post(f"/v1{path}", self._complete)
        application.router.add_get("/v1/models", self._models)
        application.router.add_post("/paretune/keys", self._issue)
        application.router.add_delete("/paretune/keys", self._revoke)
        application.router.add_get("/health", self._health)
        if ledger is not None:
            RemoteCalls(self, ledger).add_to(application)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=1024)
        await site.start()
        self.address = f"http://{_named(host)}:{self._runner.addresses[0][1]}/v1"
        return self.address

    async def close(self) -> None:
        """Stop listening, once what is in flight is answered and stored."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_DRAIN_S)
        if self._runner is not None:
            await self._runner.cleanup()

    def run_of(self, request: web.Request) -> Run:
        """The run on whose behalf a client calls. Raises Refusal for one that is not known."""
        key = self.keys.find(request.headers.get("Authorization", ""))
        if key is None or key.run is None:
            raise Refusal(401, "this key is not known here: use the one in OPENAI_API_KEY", code="invalid_api_key")
        return key.run

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "in_flight": len(self._tasks)})

    async def _models(self, request: web.Request) -> web.Response:
        self.run_of(request)
        owned = {"object": "model", "created": self._began, "owned_by": "paretune"}
        return web.json_response({"object": "list", "data": [{"id": name, **owned} for name in self._names]})

    async def _issue(self, request: web.Request) -> web.Response:
        """A key for one run, for whoever has the key of a client: so that other processes tell their runs apart."""
        run = self.run_of(request)
        if run.draws:
            raise Refusal(403, "the key of a run issues no others")
        try:
            who = await request.json()
            key = self.keys.issue_for(run, who if isinstance(who, dict) else {"that": who})
        except ValueError as error:
            raise Refusal(400, str(error)) from None
        return web.json_response({"key": key.text})

    async def _revoke(self, request: web.Request) -> web.Response:
        """The end of a run: its key is forgotten."""
        if not self.run_of(request).draws:
            raise Refusal(403, "only the key of a run ends with it")
        key = self.keys.find(request.headers["Authorization"])
        assert key is not None
        self.keys.revoke(key)
        return web.json_response({})

    async def _complete(self, request: web.Request) -> web.Response:
        run, path = self.run_of(request), request.path.removeprefix("/v1")
        fields = fields_of(path, await request.read())
        model = self.model_of(run, fields.get("model") or "")
        retried = request.headers.get("x-stainless-retry-count", "0") != "0"
        reply = await self.replied(run, model, run.request(path, model.model, fields, retried))
        if fields.get("stream") and path != "/embeddings":  # all of it is there already: its events are one body
            body, kind = b"".join(events(path, reply.text, fields)), "text/event-stream"
        else:
            body, kind = reply.text.encode(), "application/json"
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=_accounts(reply))

    def model_of(self, run: Run, name: str) -> LanguageModel:
        """The model that a client names. Raises Refusal where there is none."""
        try:
            model = self.language_model(_named_like(name, self._names))
            if fault := model.name_fault():
                raise FatalError(fault)
        except ParetuneError as error:
            run.failed(error)
            known = ", ".join(self._names)
            raise Refusal(404, f"{error}; there are: {known}", code="model_not_found") from None
        return model

    async def replied(self, run: Run, model: LanguageModel, request: Request, *, noted: bool = True) -> Reply:
        """The reply, by a task that outlives the connection; ``noted``: the ledger notes who asked."""

        async def call() -> Reply:
            try:
                reply = await model.complete(request)
            except ParetuneError as error:
                run.failed(error)
                raise
            if noted:
                run.succeeded(model, reply)
            return reply

        task = asyncio.create_task(call(), context=run.context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # the client may be gone by then
        return await asyncio.shield(task)


def _named_like(name: str, names: Sequence[str]) -> str:
    """The model that a client means: one of ``names``, also without its provider (as frameworks send it), the first one
    for none, and else what it says."""
    if not name:
        return names[0]
    alike = [each for each in names if each.partition("/")[2] == name]
    return name if name in names or len(alike) != 1 else alike[0]


def _named(host: str) -> str:
    """A host as an address names it; this machine's name for all of its addresses."""
    if host in ("0.0.0.0", "::"):
        return socket.getfqdn()
    return f"[{host}]" if ":" in host else host


@web.middleware
async def _errors_in_form(request: web.Request, handler: Any) -> web.StreamResponse:
    """Errors in OpenAI's form, whatever they are."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except Refusal as refusal:
        answer = refusal
    except ParetuneError as error:
        answer = refusal_of(error)
    except web.HTTPException as error:
        answer = Refusal(error.status, f"{error.reason}: {request.method} {request.path}")
    return web.json_response(answer.body, status=answer.status, headers=_NO_RETRY)


def _accounts(reply: Reply) -> dict[str, str]:
    """What a reply took, for whoever looks."""
    cost = {} if reply.cost_usd is None else {"x-paretune-cost-usd": f"{reply.cost_usd:.9g}"}
    return {"x-paretune-key": reply.key, "x-paretune-served": str(reply.served).lower(), **cost}
