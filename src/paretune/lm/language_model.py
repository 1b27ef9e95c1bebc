"""The language model that programs call: ledger first, then a limited, retried call through a backend."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from paretune.errors import FatalError, RefusedInputError, TransientError
from paretune.files import canonical_json
from paretune.lm.backends.choose import backend_for
from paretune.lm.backends.gateway import GatewayBackend, gateway_ledger
from paretune.lm.backends.recorded import RecordedBackend, Recordings
from paretune.lm.known_model import KnownModel
from paretune.lm.ledger.default import default_ledger
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.none import NoLedger
from paretune.lm.sending import Retries, Sending
from paretune.lm.settings import Settings, settings_of
from paretune.lm.traffic import Traffic
from paretune.lm.types import Answer, Backend, Price, Reply, Request, described

__all__ = ["LanguageModel"]

#: After so many calls in a row without a reply, all attempts included, no more are made. Each reply that the ledger
#: serves allows for one call more: of what is asked again, those may be left that fail for reasons of their own.
GIVEN_UP = 20


class _KeyedRequest(NamedTuple):
    """A request as it is sent, with its key in the ledger and the JSON text of all that the key stands for."""

    key: str
    text: str
    request: Request


class LanguageModel(KnownModel):
    """A language model by name. What is None is as the project declares it for this name, where a builder of its own
    (``program.builder``) makes the model; elsewhere it is the default that is told here.

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
        How many calls may be in flight at once (16), over all trials, and over all models of a server that ``api_base``
        names: fewer for a while after the server said that it were too many (status 429).
    requests_per_minute, tokens_per_minute
        The most attempts, and the most tokens, in any minute; None: no limit. These limits hold in one process, for all
        models made alike together.
    timeout_s, max_attempts
        Seconds an attempt may take (120); how often a call is tried when it fails for a passing reason (5 times).
    total_timeout_s
        Seconds a call may take over all attempts and the pauses between them; ten times ``timeout_s`` when None.
        Waiting for one's turn within the limits does not count: that is no sign of a bad server.
    fallbacks
        Models (or names) that are asked, one after the other, when the last attempt failed for a passing reason; never
        where the input is refused or no call can succeed. Their replies are kept as their own, and asked for without
        a grammar or a reasoning effort where they take none.
    price
        ``{"prompt": …, "completion": …}`` in US dollars per million tokens, and ``"cached": …`` for those of the prompt
        that come from the provider's cache; litellm's own list when None.
    reasons
        Whether the model reasons before each reply without being told to (see ``ChainOfThought``); None: as litellm
        knows.
    ledger
        Where replies are kept; the project's ledger when None; False: nowhere, and no file is made.
    backend
        Another way to reach the model (the scripted one of the tests); chosen by the name when None.
    recordings
        Where the replies of a model ``recorded/NAME`` are: a ``paretune.Recording``.
    gateway
        The address of a ``paretune gateway`` (its key is in ``PARETUNE_GATEWAY_KEY``) that calls the model: then how it
        is reached, limits, retries, fallbacks and prices are those of the gateway, and what is given here is not used.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        api_key_env: str | None = None,
        concurrency: int | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        timeout_s: float | None = None,
        max_attempts: int | None = None,
        total_timeout_s: float | None = None,
        fallbacks: Sequence[LanguageModel | str] | None = None,
        price: Mapping[str, float] | Price | None = None,
        reasons: bool | None = None,
        ledger: Ledger | Literal[False] | None = None,
        backend: Backend | None = None,
        recordings: Recordings | None = None,
        gateway: str | None = None,
    ) -> None:
        given = {
            "api_base": api_base,
            "api_key_env": api_key_env,
            "concurrency": concurrency,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "timeout_s": timeout_s,
            "max_attempts": max_attempts,
            "total_timeout_s": total_timeout_s,
            "fallbacks": fallbacks,
            "price": price,
            "reasons": reasons,
            "recordings": recordings,
            "gateway": gateway,
        }
        settings = settings_of(model, given, by_name=backend is None)
        self._is_own = backend is not None
        if (gateway := settings.gateway) is not None:  # all else is the gateway's business
            backend = GatewayBackend(model, gateway)
            settings = replace(settings, fallbacks=(), reasons=None)
            ledger = gateway_ledger(gateway) if ledger is None else ledger
        self.model = model
        self.concurrency = settings.concurrency
        self.requests_per_minute = settings.requests_per_minute
        self.tokens_per_minute = settings.tokens_per_minute
        self.max_attempts = settings.max_attempts
        self.total_timeout_s = settings.total_timeout_s or 10 * settings.timeout_s
        self.ledger = NoLedger() if ledger is False else ledger if ledger is not None else default_ledger()
        self.fallbacks: list[LanguageModel] = [_fallback(other, settings, ledger) for other in settings.fallbacks]
        self.backend = backend or backend_for(model, settings)
        self._settings = settings
        self._reasons = settings.reasons
        self._given_up = 0
        self._traffic = Traffic(model, settings, shared=not self._is_own)
        #: Waits between attempts, given the seconds.
        self.pause: Callable[[float], Awaitable[object]] = asyncio.sleep

    def __repr__(self) -> str:
        return f"LanguageModel({self.model!r})"

    @property
    def arguments(self) -> dict[str, Any] | None:
        """What makes this model again (no key is among it); None where a backend is the caller's own."""
        others = [other.arguments for other in self.fallbacks]
        if self._is_own or self._settings.recordings is not None or None in others:
            return None
        given = {name: value for name, value in vars(self._settings).items() if name != "recordings"}
        return {"model": self.model, **given, "fallbacks": others, "price": described(self._settings.price)}

    async def complete(self, request: Request) -> Reply:
        """Answer a request: from the ledger when it holds the reply, else by a call that is stored before it is used.

        The ledger is asked for the reply of this model, then of each fallback, before anything is paid. Equal requests
        in flight are sent once. A caller that is cancelled leaves behind what it has sent: its reply is stored all the
        same (see ``paretune.lm.sending.drain``).

        Raises FatalError (BudgetError when a budget is spent), RefusedInputError, or TransientError after the last
        attempt; FatalError, too, where so many calls in a row got no reply that the server must be down.
        """
        keyed = self._keyed(request)
        reply = self._stored(keyed)
        if reply is None and self.fallbacks:  # where there are none, the claim will tell
            reply = await self._fetched(keyed)
        if reply is not None:
            self._given_up -= 1
            return reply
        try:
            reply = await self._call(keyed)
            self._given_up = 0
            return reply
        except TransientError as error:
            failed = error
        for other in self.fallbacks:
            try:
                reply = await other.complete(request.adapted(other.model, other.capabilities))
            except TransientError as error:
                failed = TransientError(f"{failed}; {error}", error.retry_after, error.rate_limited)
            else:
                return self._stored(keyed) or reply  # another process may have got this model's own meanwhile
        self._given_up += 1
        if self._given_up >= GIVEN_UP:
            raise FatalError(
                f"{GIVEN_UP} calls in a row were given up, so that no more are made; the last one: {failed}"
            ) from failed
        raise failed

    def as_sent(self, request: Request) -> tuple[Request, str]:
        """A request as the backend would get it, and the key that the ledger keeps the reply under."""
        keyed = self._keyed(request)
        return keyed.request, keyed.key

    def _keyed(self, request: Request) -> _KeyedRequest:
        if request.grammar is not None and not self.capabilities["grammar"]:
            request = replace(request, grammar=None)
        text = canonical_json({**self._own(), **request.stated()})
        try:
            return _KeyedRequest(hashlib.sha256(text.encode()).hexdigest(), text, request)
        except UnicodeEncodeError as error:  # half of a pair of surrogates: no server can be sent that
            raise RefusedInputError(f"{self.model}: the prompt is no valid Unicode text: {error}") from None

    def _stored(self, keyed: _KeyedRequest) -> Reply | None:
        if (reply := self.ledger.get(keyed.key)) is not None:
            return reply.at(self.price())
        for other in self.fallbacks:
            adapted = keyed.request.adapted(other.model, other.capabilities)
            if (reply := other._stored(other._keyed(adapted))) is not None:
                return reply
        return None

    async def _fetched(self, keyed: _KeyedRequest) -> Reply | None:
        """What others who share the ledger have stored, of this model or of a fallback."""
        if await self.ledger.fetch(keyed.key):
            return self._stored(keyed)
        for other in self.fallbacks:
            if reply := await other._fetched(other._keyed(keyed.request.adapted(other.model, other.capabilities))):
                return reply
        return None

    async def _call(self, keyed: _KeyedRequest) -> Reply:
        if isinstance(self.backend, RecordedBackend):  # nothing is sent: no limit, no retry, no budget
            answer, seconds = self.backend.read(keyed.request)
            return await self._store(keyed, answer, seconds, 1, served=True)
        if isinstance(self.backend, GatewayBackend):
            return await self._copied(keyed, await self.backend.complete(keyed.request))
        traffic = self._traffic.here(self.pause)
        sending = traffic.on_the_way.get(keyed.key)
        if sending is not None:
            reply = await sending.wait()
            self.ledger.session.served += 1
            return replace(reply, served=True)
        self.ledger.check_room()
        retries = Retries(self.max_attempts, self.total_timeout_s, self.pause)
        store = functools.partial(self._store, keyed)
        claim = functools.partial(self._claim, keyed)
        sending = Sending(self.model, self.backend, keyed.request, traffic.limiter, retries, claim, store)
        sending.list_in(traffic.on_the_way, keyed.key)
        return await sending.wait()

    @contextlib.asynccontextmanager
    async def _claim(self, keyed: _KeyedRequest) -> AsyncIterator[Reply | None]:
        """Nobody else who shares the ledger sends this meanwhile; the reply, where another one has got it."""
        reply = await self.ledger.claim(keyed.key)
        try:
            yield None if reply is None else reply.at(self.price())
        finally:
            self.ledger.release(keyed.key)

    async def _copied(self, keyed: _KeyedRequest, reply: Reply) -> Reply:
        """A gateway's reply, which the ledger here keeps too, unless it is a fallback's."""
        if reply.key == keyed.key:
            return (await self.ledger.store(keyed.key, self.model, keyed.text, reply)).at(self.price())
        self.ledger.session.add(reply)
        return reply

    async def _store(
        self, keyed: _KeyedRequest, answer: Answer, latency_s: float | None, attempts: int, served: bool = False
    ) -> Reply:
        accounts: dict[str, Any] = {"latency_s": latency_s, "attempts": attempts, "served": served}
        accounts |= {"key": keyed.key, "model": self.model}
        reply = Reply.of(answer, self.price(), **accounts)
        return (await self.ledger.store(keyed.key, self.model, keyed.text, reply)).at(self.price())


def _fallback(given: LanguageModel | str, settings: Settings, ledger: Ledger | Literal[False] | None) -> LanguageModel:
    """A fallback; one that is given by its name is tried as long as the model itself, and has none of its own."""
    if isinstance(given, LanguageModel):
        return given
    timeout_s, max_attempts = settings.timeout_s, settings.max_attempts
    return LanguageModel(given, timeout_s=timeout_s, max_attempts=max_attempts, fallbacks=(), ledger=ledger)
