"""What other processes of paretune ask a gateway: whole requests, what is known of a model, and who asked for what."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from paretune.errors import ParetuneError, UsageError
from paretune.gateway.keys import Run
from paretune.gateway.protocol import Refusal, refusal_of
from paretune.lm.backends.gateway import ModelFacts
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.budget import current_budget
from paretune.lm.ledger.ledger import Ledger, Note
from paretune.lm.transport import error_values, reply_values, request_of
from paretune.lm.types import described

if TYPE_CHECKING:
    from paretune.gateway.server import Gateway

__all__ = ["RemoteCalls"]

_NOTE = (str, str, str, str, str, int, bool, bool, float)
Handler = Callable[[Run, dict[str, Any]], Awaitable[Mapping[str, Any]]]


class RemoteCalls:
    """The part of a gateway below ``/paretune/`` that ``lm.backends.gateway`` calls. Bodies are JSON objects, and
    errors go whole, so that they are the client's as if it had called the model itself."""

    def __init__(self, gateway: Gateway, ledger: Ledger) -> None:
        self._gateway, self._ledger = gateway, ledger

    def add_to(self, application: web.Application) -> None:
        """Serve them."""
        for name, handler in {
            "complete": self._complete,
            "model": self._model,
            "refused": self._refused,
            "lacks": self._lacks,
            "notes": self._notes,
        }.items():
            application.router.add_post(f"/paretune/{name}", self._answering(handler))

    def _answering(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            run = self._gateway.run_of(request)
            try:
                fields = json.loads(await request.read())
                if not isinstance(fields, dict):
                    raise ValueError("the body must be a JSON object")
                return web.json_response(await handler(run, fields))
            except ParetuneError as error:
                values, status = error_values(error), refusal_of(error).status
            except (KeyError, TypeError, ValueError) as error:
                raise Refusal(400, f"{type(error).__name__}: {error}") from None
            return web.json_response({"error": values}, status=status)

        return answer

    async def _complete(self, run: Run, fields: dict[str, Any]) -> dict[str, Any]:
        request = request_of(fields["request"])
        return reply_values(await self._gateway.replied(run, self._named(fields), request, noted=False))

    async def _model(self, run: Run, fields: dict[str, Any]) -> ModelFacts:
        model = self._named(fields)
        backend = model.backend
        longest = getattr(backend, "max_output_tokens", None)  # a backend need not know
        budget = run.context.run(current_budget)
        return {
            "budget": None if budget is None else budget.declared(),
            "own": backend.identity(),
            "identity": model.identity,
            "capabilities": model.capabilities,
            "reasons": model.reasons,
            "price": described(model.price()),
            "pricing": model.pricing,
            "fault": model.name_fault(),
            "unmeasured": dict(getattr(backend, "unmeasured", dict)()),
            "max_output_tokens": longest() if longest is not None else None,
        }

    async def _refused(self, run: Run, fields: dict[str, Any]) -> dict[str, Any]:
        return {"reason": self._named(fields).refused(**fields["options"])}

    async def _lacks(self, run: Run, fields: dict[str, Any]) -> dict[str, Any]:
        return {"reason": await self._named(fields).lacks(fields["form"])}

    async def _notes(self, run: Run, fields: dict[str, Any]) -> dict[str, Any]:
        notes: list[Note] = []
        for note in fields["notes"]:
            if len(note) != len(_NOTE) or not all(map(isinstance, note, _NOTE)):
                raise UsageError(f"no note of who asked: {note!r}")
            notes.append(tuple(note))
        self._ledger.take_notes(notes)
        return {}

    def _named(self, fields: dict[str, Any]) -> LanguageModel:
        return self._gateway.language_model(str(fields["model"]))
