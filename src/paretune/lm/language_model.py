"""The language model that programs call: ledger first, then a limited, retried call through a backend."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from paretune.errors import FatalError, RefusedInputError, TransientError, UsageError
from paretune.files import canonical_json, digest
from paretune.lm.address import address_fault
from paretune.lm.backends.choose import backend_for
from paretune.lm.ledger.ledger import Ledger, default_ledger
from paretune.lm.limiter import Limiter, shared_limiter, shared_places
from paretune.lm.masking import masked
from paretune.lm.sending import Retries, Sending
from paretune.lm.types import Answer, Backend, Price, Reply, Request

__all__ = ["LanguageModel"]

#: After so many calls in a row without a reply, all attempts included, no more are made. Each reply that the ledger
#: serves allows for one call more: of what is asked again, those may be left that fail for reasons of their own.
GIVEN_UP = 20


@dataclass
class _Traffic:
    """What happens on one event loop: who may call, and what is being asked, by key."""

    limiter: Limiter
    on_the_way: dict[str, Sending] = field(default_factory=dict)


class _KeyedRequest(NamedTuple):
    """A request as it is sent, with its key in the ledger and the JSON text of everything that the key stands for."""

    key: str
    text: str
    request: Request


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
        How many calls may be in flight at once, over all trials, and over all models of a server that ``api_base``
        names: fewer for a while after the server said that it were too many (status 429).
    requests_per_minute, tokens_per_minute
        The most attempts, and the most tokens, in any minute; None: no limit. These limits hold in one process, for all
        models made alike together.
    timeout_s, max_attempts
        Seconds an attempt may take; how often a call is tried when it fails for a passing reason.
    total_timeout_s
        Seconds a call may take over all attempts and the pauses between them; ten times ``timeout_s`` when None.
        Waiting for one's turn within the limits does not count: that is no sign of a bad server.
    fallbacks
        Models (or names) that are asked, one after the other, when the last attempt failed for a passing reason; never
        where the input is refused or no call can succeed. Their replies are kept as their own, and asked for without
        a grammar or a reasoning effort where they take none.
    price
        ``{"prompt": …, "completion": …}`` in US dollars per million tokens; litellm's own list when None.
    reasons
        Whether the model reasons before each reply without being told to (see ``ChainOfThought``); None: as litellm
        knows.
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
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        timeout_s: float = 120.0,
        max_attempts: int = 5,
        total_timeout_s: float | None = None,
        fallbacks: Sequence[LanguageModel | str] = (),
        price: Mapping[str, float] | Price | None = None,
        reasons: bool | None = None,
        ledger: Ledger | None = None,
        backend: Backend | None = None,
    ) -> None:
        if concurrency < 1 or max_attempts < 1:
            raise UsageError(f"concurrency and max_attempts must be at least 1 (got {concurrency}, {max_attempts})")
        limits = {"requests_per_minute": requests_per_minute, "tokens_per_minute": tokens_per_minute}
        times = {"timeout_s": timeout_s, "total_timeout_s": total_timeout_s}
        for name, value in {**limits, **times}.items():
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be above 0, or None (got {value})")
        if api_base is not None and (fault := address_fault(api_base)):
            raise UsageError(f"api_base {fault} (got {masked(api_base)!r})")
        if isinstance(fallbacks, str):
            raise UsageError(f"fallbacks must be a list of models (got {fallbacks!r})")
        self.model = model
        self.concurrency = concurrency
        self.requests_per_minute, self.tokens_per_minute = requests_per_minute, tokens_per_minute
        self.max_attempts = max_attempts
        self._given_up = 0
        self.reasons = reasons
        self.total_timeout_s = 10 * timeout_s if total_timeout_s is None else total_timeout_s
        self.ledger = ledger if ledger is not None else default_ledger()
        self.fallbacks = [
            LanguageModel(other, max_attempts=max_attempts, ledger=ledger, timeout_s=timeout_s)
            if isinstance(other, str)
            else other
            for other in fallbacks
        ]
        fixed = Price(**price) if isinstance(price, Mapping) else price
        #: What makes this model again (no key is among it); None where a backend is the caller's own.
        self.arguments: dict[str, Any] | None = None
        if backend is None and all(other.arguments is not None for other in self.fallbacks):
            self.arguments = {
                "model": model,
                "api_base": api_base,
                "api_key_env": api_key_env,
                "concurrency": concurrency,
                **limits,
                **times,
                "max_attempts": max_attempts,
                "fallbacks": [other.arguments for other in self.fallbacks],
                "price": None if fixed is None else asdict(fixed),
                "reasons": reasons,
            }
        self.backend = backend or backend_for(
            model,
            api_base=api_base,
            api_key_env=api_key_env,
            timeout_s=timeout_s,
            concurrency=concurrency,
            price=fixed,
        )
        made_of = [model, api_base, api_key_env, concurrency, requests_per_minute, tokens_per_minute]
        #: What models share a limiter by; None where the backend is the caller's own.
        self._alike = None if backend else canonical_json(made_of)
        self._server = None if backend or api_base is None else canonical_json([api_base.rstrip("/"), concurrency])
        self._own_identity: dict[str, Any] | None = None
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
            key = digest({"capabilities": self._own()})
            known = self.ledger.fact(key)
            if known is None:
                known = self.ledger.remember(key, self.backend.capabilities())
            self._capabilities = known
        return self._capabilities

    def refused(self, **options: Any) -> str | None:
        """Why no request with these options can be sent, as far as it is known before one is; else None.

        What is taken is remembered in the ledger, so that a later run does not load the client to ask again.
        """
        refused = getattr(self.backend, "refused", None)  # a backend need not know
        key = digest({"taken": options, "by": self._own()})
        if refused is None or self.ledger.fact(key):
            return None
        reason: str | None = refused(**options)
        if reason is None:
            self.ledger.remember(key, True)
        return reason

    @property
    def identity(self) -> dict[str, Any]:
        """The model as a search's results depend on it: what its replies are keyed by, and its fallbacks."""
        others = {"reasons": self.reasons, "fallbacks": [other.identity for other in self.fallbacks]}
        return {**self._own(), **{name: value for name, value in others.items() if value not in (None, [])}}

    def _own(self) -> dict[str, Any]:
        """The model's part of every ledger key."""
        if self._own_identity is None:
            self._own_identity = self.backend.identity()
        return self._own_identity

    def price(self) -> Price | None:
        """The price of calls; None when nobody knows it."""
        return self.backend.price()

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
        reply = self.ledger.get(keyed.key)
        for other in self.fallbacks:
            if reply is None:
                reply = other._stored(other._keyed(keyed.request.adapted(other.model, other.capabilities)))
        return reply

    async def _call(self, keyed: _KeyedRequest) -> Reply:
        traffic = self._traffic_here()
        sending = traffic.on_the_way.get(keyed.key)
        if sending is not None:
            reply = await sending.wait()
            self.ledger.session.served += 1
            return replace(reply, served=True)
        self.ledger.check_room()
        retries = Retries(self.max_attempts, self.total_timeout_s, self.pause)
        store = functools.partial(self._store, keyed)
        sending = Sending(self.model, self.backend, keyed.request, traffic.limiter, retries, store)
        sending.list_in(traffic.on_the_way, keyed.key)
        return await sending.wait()

    def _store(self, keyed: _KeyedRequest, answer: Answer, latency_s: float, attempts: int) -> Reply:
        price = self.backend.price()
        reply = Reply(
            text=answer.text,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            cost_usd=None if price is None else price.cost(answer),
            latency_s=latency_s,
            attempts=attempts,
            finish_reason=answer.finish_reason,
            key=keyed.key,
            model=self.model,
            reasoning=answer.reasoning,
        )
        listed = None if price is None else {"prompt": price.prompt, "completion": price.completion}
        return self.ledger.put(keyed.key, self.model, keyed.text, reply, usage=answer.usage, price=listed)

    def _traffic_here(self) -> _Traffic:
        loop = asyncio.get_running_loop()
        traffic = self._traffic.get(loop)
        if traffic is None:
            limits = (self.concurrency, self.requests_per_minute, self.tokens_per_minute)
            places = None if self._server is None else shared_places(self._server, self.concurrency)
            limiter = shared_limiter(self._alike, lambda: Limiter(*limits, pause=self.pause, places=places))
            traffic = self._traffic[loop] = _Traffic(limiter)
        return traffic
