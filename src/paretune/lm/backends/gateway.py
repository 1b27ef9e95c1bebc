"""A language model behind a ``paretune gateway``: ledger, budget, limits, retries, prices and keys are that process's.

What determines a reply is keyed there as it would be here, so that a run may move between the two and pays nothing.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypedDict

from paretune.errors import ConfigError, FatalError, ParetuneError
from paretune.eventloop import run_maybe_nested
from paretune.files import state_root
from paretune.lm.backends.http import NoReplyError, ServerError, post
from paretune.lm.ledger.ledger import Ledger, Note
from paretune.lm.transport import error_of, reply_of, request_values
from paretune.lm.types import Answer, Price, Pricing, Reply, Request

__all__ = ["KEY", "GatewayBackend", "GatewayLedger", "ModelFacts", "gateway_ledger"]

#: The environment variable with the key of the gateway.
KEY = "PARETUNE_GATEWAY_KEY"
#: How long a request waits before it is sent again: the gateway goes on with what it was asked, and the next request
#: joins it. So a gateway whose machine is gone is noticed.
_WAIT_S = 60.0
#: How long a gateway may be away (it is being started again) before that is an error, in seconds.
_AWAY_S = 30.0
#: The same where only notes are to be handed over: a search that ends because the gateway is gone shall end.
_AWAY_WITH_NOTES_S = 3.0


class ModelFacts(TypedDict):
    """What a gateway tells of a model: ``identity`` and ``pricing`` are those of the model with its fallbacks, ``own``
    and ``price`` its own; ``reasons`` is as it is declared, ``budget`` what it is called under (see
    ``Budget.declared``)."""

    own: dict[str, Any]
    identity: dict[str, Any]
    capabilities: dict[str, Any]
    reasons: bool | None
    price: dict[str, Any] | None
    pricing: dict[str, Any] | None
    fault: str | None
    unmeasured: dict[str, str]
    max_output_tokens: int | None
    budget: dict[str, Any] | None


class GatewayBackend:
    """A model by its name, at a gateway. Raises ConfigError where the environment has no key for that."""

    def __init__(self, model: str, address: str) -> None:
        self.model, self.address = model, address

    @functools.cached_property
    def facts(self) -> ModelFacts:
        """What the gateway tells of the model, asked once."""
        facts: ModelFacts = self._ask("model", {})  # type: ignore[assignment]
        return facts

    def identity(self) -> dict[str, Any]:
        return self.facts["own"]

    def capabilities(self) -> dict[str, Any]:
        return self.facts["capabilities"]

    def price(self) -> Pricing | None:
        known = self.facts["price"]
        return None if known is None else GatewayPrice(known)

    def name_fault(self) -> str | None:
        return self.facts["fault"]

    def unmeasured(self) -> dict[str, str]:
        return self.facts["unmeasured"]

    def max_output_tokens(self) -> int | None:
        return self.facts["max_output_tokens"]

    def refused(self, **options: Any) -> str | None:
        reason: str | None = self._ask("refused", {"options": options})["reason"]
        return reason

    async def lacks(self, *, text_completion: bool) -> str | None:
        form = "completion" if text_completion else "native"
        found: str | None = (await self._post("lacks", {"form": form}))["reason"]
        return found or ""

    async def prepare(self) -> None:
        """Nothing to get ready."""

    def close(self) -> None:
        """Nothing to release."""

    async def complete(self, request: Request) -> Reply:
        """The gateway's reply. Raises what ``LanguageModel.complete`` raised there."""
        return reply_of(await self._post("complete", {"request": request_values(request)}))

    async def send(self, request: Request) -> Answer:
        reply = await self.complete(request)
        return Answer(**{each.name: getattr(reply, each.name) for each in fields(Answer)})

    def _ask(self, what: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return run_maybe_nested(self._post(what, values))

    async def _post(self, what: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return await _posted(self.address, what, {"model": self.model, **values})


class GatewayPrice:
    """The price of now of a model behind a gateway. It computes costs where it is so many dollars a token; by other
    prices the gateway alone does."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = dict(known)
        self._rates = Price(**{name: known[name] for name in ("prompt", "completion", "cached") if name in known})
        self._is_plain = known.keys() <= {"prompt", "completion", "cached"}

    def describe(self) -> dict[str, Any]:
        return self._known

    def cost(self, answer: Answer | Reply) -> float:
        return self._rates.cost(answer) if self._is_plain else math.nan

    def most(self, prompt_tokens: int, completion_tokens: int, service_tier: Any = None) -> float:
        return self._rates.most(prompt_tokens, completion_tokens, service_tier)


class GatewayLedger(Ledger):
    """The ledger of a gateway's client: it keeps what it was replied, so that a rerun asks for nothing, and notes who
    asked, here and in the gateway's ledger."""

    def __init__(self, path: Any, forward: Callable[[Sequence[Note]], object]) -> None:
        super().__init__(path)
        self._forward = forward

    def flush(self) -> None:
        """Write the notes that wait, and hand them to the gateway; where that fails they are dropped there."""
        notes = self._notes[:]
        super().flush()
        if notes:
            self._forward(notes)


@functools.cache
def _ledger_at(path: Any, address: str) -> GatewayLedger:
    def forward(notes: Sequence[Note]) -> None:
        try:
            run_maybe_nested(_posted(address, "notes", {"notes": [list(note) for note in notes]}, _AWAY_WITH_NOTES_S))
        except ParetuneError:  # they are worth less than what runs
            return

    return GatewayLedger(path, forward)


def gateway_ledger(address: str) -> GatewayLedger:
    """The ledger of the project as the client of a gateway has it, one object a file."""
    return _ledger_at((state_root() / "ledger.sqlite").absolute(), address)


async def _posted(
    address: str, what: str, fields: Mapping[str, Any], patience_s: float | None = None
) -> dict[str, Any]:
    """The gateway's answer to one question, also when it is away for a while. Raises its errors."""
    key = os.environ.get(KEY)
    if not key:
        raise ConfigError(f"lm.gateway: {KEY} is not set: give it the key of the gateway at {address}")
    import aiohttp

    place, away_since, pause_s = address.rstrip("/").removesuffix("/v1"), None, 0.1
    while True:
        try:
            answer, _ = await post(place, f"/paretune/{what}", fields, key, _WAIT_S)
        except ServerError as error:
            raise _error_in(error, address) from None
        except NoReplyError:  # it was reached
            away_since, pause_s = None, 0.1
        except (aiohttp.ClientError, OSError) as error:
            now = time.monotonic()
            away_since = away_since or now
            if now - away_since > (_AWAY_S if patience_s is None else patience_s):
                raise FatalError(f"lm.gateway: none answers at {address} ({error}): start it, and run again") from None
            await asyncio.sleep(pause_s)
            pause_s = min(2.0, 2 * pause_s)
        else:
            if not isinstance(answer, dict):
                raise FatalError(f"lm.gateway: {address} is no gateway of paretune")
            return answer


def _error_in(error: ServerError, address: str) -> ParetuneError:
    body = error.body if isinstance(error.body, Mapping) else {}
    if "kind" in body:
        return error_of(body)
    if error.status_code == 401:
        return ConfigError(f"lm.gateway: the key in {KEY} is not that of the gateway at {address}")
    return FatalError(f"lm.gateway: {address} answers {error}: is it a `paretune gateway` of this version?")
