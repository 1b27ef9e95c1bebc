"""What all ways to a model that speaks OpenAI's protocol share: place, key, how calls fail, how replies are read."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from paretune.errors import FatalError, TransientError
from paretune.lm.backends.http import head, post, status_of
from paretune.lm.backends.litellm_errors import NO_KEY, named_error
from paretune.lm.backends.protocol import Completion, options, prompt_of, read_completion, read_passed
from paretune.lm.masking import logins_of, masked, place_of, public_address, without_secrets
from paretune.lm.types import CHAT_FORMS, Answer, HTTPRequest, Price, Request

__all__ = ["Endpoint"]

_OPENAI = "https://api.openai.com/v1"
_CHAT, _TEXT = "/chat/completions", "/completions"
#: Statuses that say that there is no such path: not found, method not allowed, not implemented.
_ABSENT = (404, 405, 501)
#: Seconds that a server may take to say so, and that one which said nothing is not asked again.
_PROBE_S, _SILENT_S = 5.0, 60.0
#: Until when servers that did not answer are left alone, by address.
_silent: dict[str, float] = {}


class Endpoint:
    """One model by litellm's name for it. Subclasses say how a request is exchanged for a reply."""

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        api_key_env: str | None = None,
        timeout_s: float = 120.0,
        fixed_price: Price | None = None,
        extra_body: dict[str, Any] | None = None,
        api_key: str | None = None,
        label: str | None = None,
    ) -> None:
        self.model = model
        self.label = label or (model if api_base is None else f"{model} at {public_address(api_base)}")
        self.api_base = api_base
        self.api_key_env = api_key_env
        self.timeout_s = timeout_s
        self.fixed_price = fixed_price
        self.extra_body = extra_body or {}
        self._key = api_key

    def identity(self) -> dict[str, Any]:
        return {"model": self.model, "endpoint": place_of(self._address())}

    async def send(self, request: Request) -> Answer:
        exchange, read = (self._exchange, read_completion) if request.body is None else (self._pass_on, read_passed)
        try:
            reply = await exchange(request)
        except Exception as error:
            # In a thread, since it may have to import litellm, for seconds: other calls go on.
            named = await asyncio.to_thread(named_error, error, self.label, secrets=self._secrets())
            if named is None:
                raise
            if isinstance(named, FatalError) and getattr(error, "status_code", None) in _ABSENT:
                named = FatalError(f"{named}{self._cure(request, error)}")
            raise named from None
        try:
            completion = read(reply, request)
        except ValueError as error:
            reason = " ".join(masked(str(error), *self._secrets()).split())[:300]
            raise TransientError(f"{self.label}: the server's reply is no completion ({reason})") from None
        return self._answer(completion, request)

    async def lacks(self, *, text_completion: bool) -> str | None:
        """Why the model cannot continue a text (or chat): the server has no path for that, but has the other one. Empty
        where it can, None where nobody knows. Nothing is asked of the model."""
        address, (wanted, other) = self._address() or "", (_TEXT, _CHAT) if text_completion else (_CHAT, _TEXT)
        if not address or time.monotonic() < _silent.get(address, 0.0):
            return None
        status = await self._status(address, wanted)
        if status is None or status not in _ABSENT:
            return None if status is None else ""
        if (await self._status(address, other) or 404) in _ABSENT:
            return None  # it looks for the model's name before the path, or the address is wrong
        what = "continues no text" if text_completion else "has no chat"
        return f"{self.label} {what} (status {status} of {public_address(address)}{wanted})"

    async def _status(self, address: str, path: str) -> int | None:
        """What the server says of a path; None where it says nothing, or there is no key to ask with."""
        try:
            return await status_of(address, path, self._sent_key(), min(_PROBE_S, self.timeout_s))
        except FatalError:
            return None
        except Exception as error:
            if named_error(error, self.label) is None:
                raise
            _silent[address] = time.monotonic() + _SILENT_S
            return None

    def _cure(self, request: Request, error: Exception) -> str:
        """What to do where a server has no such path."""
        address = public_address(self._address())
        if request.structured_output == "completion":
            return f"; a model that continues no text has the other forms: set structured_output to {CHAT_FORMS}"
        if address is None or "model" in str(error).lower():
            return ""
        return f"; nothing is at {address}{_CHAT}: api_base is what stands before that, mostly with /v1 at its end"

    def close(self) -> None:
        """Nothing to release: connections are kept for the next call."""

    async def _exchange(self, request: Request) -> Any:
        """The parsed reply to a request."""
        raise NotImplementedError

    def _count_tokens(self, text: str) -> int:
        """The tokens of a text, where the server gives no account of them."""
        raise NotImplementedError

    async def _post(self, request: Request) -> Any:
        """Exchange a request as it was composed."""
        address, path = self._address() or _OPENAI, self._path(request)
        reply, _ = await post(address, path, self._body(request), self._sent_key(), self.timeout_s)
        return reply

    def _path(self, request: Request) -> str:
        return _TEXT if request.structured_output == "completion" else _CHAT

    def _body(self, request: Request) -> dict[str, Any]:
        name = self.model.partition("/")[2]
        return {"model": name, **prompt_of(request), **options(request), **self._extra(request)}

    async def _pass_on(self, request: Request) -> str:
        """Exchange a request that a program composed; the reply as it came."""
        body = {**self.extra_body, **(request.body or {}), "model": self.model.partition("/")[2]}
        _, text = await post(self._address() or _OPENAI, request.path, body, self._sent_key(), self.timeout_s)
        return text

    async def composed(self, request: Request) -> HTTPRequest:
        """The request as it would be sent, without a key or a login; nothing is sent, and no key is read.

        Raises FatalError where that cannot be told.
        """
        named = self.api_key_env or (_variable(self.model) if self.api_base is None else None)
        key = NO_KEY if named is None else f"${named}"
        keyless = type(self)(
            self.model, api_base=public_address(self._address()), api_key=key, timeout_s=self.timeout_s
        )
        try:
            return (await keyless._composed(request))._replace(key_env=named)
        except Exception as error:
            if (refused := named_error(error, self.label)) is None:
                raise
            raise FatalError(f"{refused}") from None

    async def _composed(self, request: Request) -> HTTPRequest:
        url, headers = head(self._address() or _OPENAI, self._path(request), self._sent_key())
        return HTTPRequest(str(url), headers, self._body(request), None)

    def _sent_key(self) -> str:
        return self._api_key() or _of_environment(self.model, "API_KEY") or NO_KEY

    def _answer(self, completion: Completion, request: Request) -> Answer:
        """The answer, without the secrets that the call carried: some servers write their headers into replies."""
        secrets = self._secrets()
        given = [completion.text, completion.finish_reason, completion.reasoning]
        text, reason, reasoning = without_secrets(given, secrets)
        try:
            usage = without_secrets(completion.usage, secrets)
        except RecursionError:  # deeper than any account
            usage = {}
        usage = usage or self._estimate(request, text)
        return Answer(text, usage["prompt_tokens"], usage["completion_tokens"], reason, usage, reasoning)

    def _extra(self, request: Request) -> dict[str, Any]:
        """Fields of the request that only some servers know."""
        return self.extra_body if request.grammar is None else {**self.extra_body, "grammar": request.grammar}

    def _estimate(self, request: Request, text: str) -> dict[str, Any]:
        """Tokens counted here, and marked as such: as zeros they would make this model the cheapest of all."""
        prompt = "\n".join(content for _, content in request.messages)
        counts = {"prompt_tokens": self._count_tokens(prompt), "completion_tokens": self._count_tokens(text)}
        return {**counts, "estimated": True}

    def _address(self) -> str | None:
        return self.api_base or _of_environment(self.model, "BASE_URL", "API_BASE")

    def _secrets(self) -> list[str]:
        """What this model's calls carry beside the request."""
        own = self._key if self._key else _of_environment(self.model, "API_KEY")
        return [*([own] if own and own != NO_KEY else []), *logins_of(self._address())]

    def _api_key(self) -> str | None:
        if self._key is None:
            self._key = self._find_key()
        return self._key or None

    def _find_key(self) -> str:
        if self.api_key_env is None:  # a provider's key never goes to a server that the user names
            return NO_KEY if self.api_base is not None else self._providers_key()
        key = os.environ.get(self.api_key_env, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise FatalError(
                f"{self.label}: the key in {self.api_key_env!r} (api_key_env) is none: it has odd characters"
            )
        if not key:
            raise FatalError(
                f"{self.label}: the environment variable {self.api_key_env!r} (api_key_env) is not set; "
                f"set it, for example: export {self.api_key_env}=…"
            )
        return key

    def _providers_key(self) -> str:
        """The key of a provider without an ``api_base``; empty where it is found elsewhere."""
        return ""


def _of_environment(model: str, *kinds: str) -> str | None:
    """What the environment names for the model's provider, as litellm looks for it: an address, or the key."""
    found = (os.environ.get(_variable(model, kind), "").strip() for kind in kinds)
    return next((value for value in found if value), None)


def _variable(model: str, kind: str = "API_KEY") -> str:
    provider = model.partition("/")[0].upper() if "/" in model else "OPENAI"
    return f"{provider}_{kind}"
