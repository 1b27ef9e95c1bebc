"""The language model that programs call: ledger first, then a limited, retried call through a backend."""

from __future__ import annotations

import asyncio
import random
import re
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from paretune.errors import RefusedInputError, TransientError, UsageError
from paretune.files import digest
from paretune.lm.ledger import Ledger, default_ledger
from paretune.lm.types import Answer, Backend, Price, Reply, Request

__all__ = ["LanguageModel"]

LOCAL_PREFIX = "local/"

_SURROGATES = re.compile("[\ud800-\udfff]")
#: Its own source of chance, so that the programs' seeds are left alone.
_jitter = random.Random()


@dataclass
class _Traffic:
    """What happens on one event loop: whoever may call at once, and what is being asked, by key.

    A future gets the reply or the error; None when the caller that was sending it went away.
    """

    limit: asyncio.Semaphore
    in_flight: dict[str, asyncio.Future[Reply | None]] = field(default_factory=dict)


class LanguageModel:
    """A language model by name.

    Parameters
    ----------
    model
        Any name that litellm knows (``gemini/gemini-2.5-flash``, ``openai/…`` with ``api_base`` for any
        OpenAI-compatible server), or ``local/smollm2-135m-instruct``, or ``local/<path of a .gguf file>``.
    api_base
        The address of an OpenAI-compatible server. No provider's key is sent there unless ``api_key_env`` names one.
    api_key_env
        Name of the environment variable that holds the key; the provider's usual variable when None.
    concurrency
        How many calls may be in flight at once, over all trials.
    timeout_s, max_attempts
        Seconds a call may take; how often it is tried when it fails for a passing reason.
    price
        ``{"prompt": …, "completion": …}`` in US dollars per million tokens; litellm's own list when None.
    ledger
        Where replies are kept; the project's ledger when None.
    backend
        Another way to reach the model (the scripted one of the tests); chosen by the name when None.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        api_key_env: str | None = None,
        concurrency: int = 16,
        timeout_s: float = 120.0,
        max_attempts: int = 5,
        price: Mapping[str, float] | Price | None = None,
        ledger: Ledger | None = None,
        backend: Backend | None = None,
    ) -> None:
        if concurrency < 1 or max_attempts < 1:
            raise UsageError(f"concurrency and max_attempts must be at least 1 (got {concurrency}, {max_attempts})")
        self.model = model
        self.concurrency = concurrency
        self.max_attempts = max_attempts
        self.ledger = ledger if ledger is not None else default_ledger()
        fixed = Price(**price) if isinstance(price, Mapping) else price
        #: What makes this model again (no key is among it); None where the backend is the caller's own.
        self.arguments: dict[str, Any] | None = None
        if backend is None:
            self.arguments = {
                "model": model,
                "api_base": api_base,
                "api_key_env": api_key_env,
                "concurrency": concurrency,
                "timeout_s": timeout_s,
                "max_attempts": max_attempts,
                "price": None if fixed is None else asdict(fixed),
            }
        self.backend = backend or _backend(model, api_base, api_key_env, timeout_s, concurrency, fixed)
        self._identity: dict[str, Any] | None = None
        self._capabilities: dict[str, Any] | None = None
        self._traffic: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Traffic] = weakref.WeakKeyDictionary()
        #: Waits between attempts, given the seconds.
        self.pause: Callable[[float], Awaitable[object]] = asyncio.sleep

    def __repr__(self) -> str:
        return f"LanguageModel({self.model!r})"

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the model takes, asked once a ledger: a later run gets the same answer without loading the client."""
        if self._capabilities is None:
            key = digest({"capabilities": self.identity})
            known = self.ledger.fact(key)
            if known is None:
                known = self.ledger.remember(key, self.backend.capabilities())
            self._capabilities = known
        return self._capabilities

    @property
    def identity(self) -> dict[str, Any]:
        """The model's part of every ledger key."""
        if self._identity is None:
            self._identity = self.backend.identity()
        return self._identity

    def price(self) -> Price | None:
        """The price of calls; None when nobody knows it."""
        return self.backend.price()

    async def complete(self, request: Request) -> Reply:
        """Answer a request: from the ledger when it holds the reply, else by a call that is stored before it is used.

        Equal requests in flight are sent once. Raises FatalError, RefusedInputError, or TransientError after the last
        attempt.
        """
        if request.grammar is not None and not self.capabilities["grammar"]:
            request = replace(request, grammar=None)
        stated = {**self.identity, **_stated(request)}
        try:
            key = digest(stated)
        except UnicodeEncodeError as error:  # half of a pair of surrogates: no server can be sent that
            raise RefusedInputError(f"{self.model}: the prompt is no valid Unicode text: {error}") from None
        traffic = self._traffic_here()
        while True:
            reply = self.ledger.get(key)
            if reply is not None:
                return reply
            waiting = traffic.in_flight.get(key)
            if waiting is None:
                return await self._pay(key, stated, request, traffic)
            reply = await asyncio.shield(waiting)
            if reply is not None:
                self.ledger.session.served += 1
                return replace(reply, served=True)

    async def _pay(self, key: str, stated: dict[str, Any], request: Request, traffic: _Traffic) -> Reply:
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        traffic.in_flight[key] = future
        try:
            async with traffic.limit:
                await self.backend.prepare()
                answer, latency, attempts = await self._send(request)
            price = self.backend.price()
            reply = Reply(
                text=_SURROGATES.sub("\ufffd", answer.text),
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
                cost_usd=None if price is None else price.cost(answer),
                latency_s=latency,
                attempts=attempts,
                finish_reason=answer.finish_reason,
            )
            reply = self.ledger.put(
                key, self.model, stated, reply, usage=answer.usage, price=None if price is None else asdict(price)
            )
            future.set_result(reply)
            return reply
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # retrieved here: nobody else need be waiting
            raise
        finally:
            del traffic.in_flight[key]

    async def _send(self, request: Request) -> tuple[Answer, float, int]:
        """Call until it succeeds, with capped exponential backoff and full jitter between attempts."""
        for attempt in range(1, self.max_attempts + 1):
            started = time.perf_counter()
            try:
                answer = await self.backend.send(request)
            except TransientError as error:
                if attempt == self.max_attempts:
                    raise TransientError(f"{self.model}: gave up after {attempt} attempts: {error}") from error
                ceiling = min(30.0, 0.5 * 2.0 ** (attempt - 1))
                await self.pause(max(_jitter.uniform(0, ceiling), error.retry_after or 0.0))
            else:
                return answer, round(time.perf_counter() - started, 4), attempt
        raise AssertionError("unreachable")

    def _traffic_here(self) -> _Traffic:
        loop = asyncio.get_running_loop()
        if loop not in self._traffic:
            self._traffic[loop] = _Traffic(asyncio.Semaphore(self.concurrency))
        return self._traffic[loop]


def _stated(request: Request) -> dict[str, Any]:
    """A request as it is keyed and stored: what is not set is left out, so that new options keep old keys."""
    empty = Request(messages=())
    if request.temperature is not None:  # 0 and 0.0 are one temperature, and one key
        request = replace(request, temperature=float(request.temperature))
    return {
        name: value for name, value in asdict(request).items() if name == "messages" or value != getattr(empty, name)
    }


def _backend(
    model: str,
    api_base: str | None,
    api_key_env: str | None,
    timeout_s: float,
    concurrency: int,
    price: Price | None,
) -> Backend:
    if model.startswith(LOCAL_PREFIX):
        from paretune.lm.local_server import LocalBackend

        if api_base is not None:
            raise UsageError(f"{model!r} is served by paretune itself: leave api_base empty (got {api_base!r})")
        return LocalBackend(model, timeout_s=timeout_s, slots=concurrency, fixed_price=price)
    from paretune.lm.litellm_client import LitellmBackend

    return LitellmBackend(model, api_base=api_base, api_key_env=api_key_env, timeout_s=timeout_s, fixed_price=price)
