"""Protocols that are not OpenAI's, as litellm writes and reads them, over our own connections: see decision 009.

litellm writes one request of a kind of calls with marks in the place of the messages: they tell where these stand.
Replies are read by litellm's own transformation for the protocol. Both are compared with what litellm makes of a whole
call; where they differ in anything, it makes every call itself.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from paretune.eventloop import on_another_loop
from paretune.lm.backends.http import exchange
from paretune.lm.backends.litellm_watch import answered, lasting_headers, unsent
from paretune.lm.backends.protocol import prompt_of
from paretune.lm.types import Request

if TYPE_CHECKING:
    import httpx

__all__ = ["ByLitellm", "Protocol", "UnlikeError", "learn_protocol"]

#: A whole call of litellm's.
ByLitellm = Callable[[Request], Awaitable[Any]]
#: A place in a body: names and numbers, from the outside in.
_Place = tuple[str | int, ...]

#: What stands for a message: nothing of it may be trimmed, joined or written otherwise.
_MARK = " \n {}: mark of paretune \"'\\ <é😀\u2028> \t"
_READERS = ("transform_response", "_transform_response")
#: Headers of what was read and unpacked already.
_ON_THE_WAY = ("content-encoding", "content-length", "transfer-encoding")


class UnlikeError(Exception):
    """litellm reads a reply otherwise; ``whole`` is what it says."""

    def __init__(self, whole: Any) -> None:
        super().__init__("litellm reads this reply otherwise")
        self.whole = whole


class _Reading(NamedTuple):
    """A call of litellm's transformation of a reply: the function, and its arguments by name."""

    function: Callable[..., Any]
    arguments: dict[str, Any]


_reading: ContextVar[Callable[[_Reading], None] | None] = ContextVar("reading", default=None)


@dataclass
class Protocol:
    """Where a kind of calls goes, its headers (keys among them), its body with the place of each message, and how its
    replies are read; ``is_proven`` once one was read as litellm reads it."""

    url: str
    headers: dict[str, str]
    body: dict[str, Any]
    places: list[_Place]
    reading: _Reading
    is_proven: bool = False
    is_being_proven: bool = False

    def body_of(self, request: Request) -> dict[str, Any]:
        """The body for these messages."""
        body = copy.deepcopy(self.body)
        for (_, content), place in zip(request.messages, self.places, strict=True):
            inner: Any = body
            for step in place[:-1]:
                inner = inner[step]
            inner[place[-1]] = content
        return body

    async def exchange(self, request: Request, timeout_s: float, by_litellm: ByLitellm) -> Any:
        """The reply in OpenAI's words. Raises what litellm raises of it; and UnlikeError, once at most."""
        import httpx

        body = self.body_of(request)
        status, headers, content = await exchange(self.url, self.headers, body, timeout_s)
        kept = [(name, value) for name, value in headers.items() if name.lower() not in _ON_THE_WAY]
        response = functools.partial(httpx.Response, status, headers=kept, content=content)

        def answer(sent: httpx.Request) -> httpx.Response | None:  # a ticket that ran out is asked for as ever
            return response(request=sent) if str(sent.url) == self.url else None

        async def whole() -> Any:
            return await on_another_loop(lambda: answered(lambda: by_litellm(request), answer))

        found = None if status >= 400 else self._read(response(request=httpx.Request("POST", self.url)), request, body)
        if found is None:  # an error, mostly: litellm says which
            return await whole()
        while self.is_being_proven:
            await asyncio.sleep(0.01)
        return found if self.is_proven else await self._proven(found, whole)

    async def _proven(self, found: Any, whole: Callable[[], Awaitable[Any]]) -> Any:
        """A reply, compared with what litellm makes of it. Raises UnlikeError."""
        self.is_being_proven = True
        try:
            made = await whole()
        finally:
            self.is_being_proven = False
        if _lasting(found) != _lasting(made):
            raise UnlikeError(made)
        self.is_proven = True
        return made

    def _read(self, response: httpx.Response, request: Request, body: dict[str, Any]) -> Any:
        import litellm

        function, arguments = self.reading
        new = {
            "messages": prompt_of(request)["messages"],
            "model_response": litellm.ModelResponse(),
            "optional_params": copy.deepcopy(arguments.get("optional_params")),  # some are taken out
            **dict.fromkeys(("raw_response", "response"), response),
            **dict.fromkeys(("request_data", "data"), body),
        }
        try:
            return function(**{name: new.get(name, value) for name, value in arguments.items()}).model_dump()
        except Exception:  # litellm raises all kinds for what is no reply, and says it better in a whole call
            return None


async def learn_protocol(model: str, request: Request, by_litellm: ByLitellm) -> Protocol | None:
    """How calls like this one are made; None where their messages do not stand in what litellm sends as they are, or
    where what it sends depends on more than them. Nothing is sent."""
    import httpx

    marks = [_MARK.format(number) for number in range(len(request.messages))]
    marked = _with_texts(request, marks)
    sent: list[httpx.Request] = []
    readings: list[_Reading] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={}, request=request)

    _show_readings(model)
    token = _reading.set(readings.append)
    try:
        await answered(lambda: by_litellm(marked), answer)
    except Exception:  # it is no reply
        pass
    finally:
        _reading.reset(token)
    if len(sent) != 1 or len(readings) != 1:
        return None
    try:
        body = json.loads(sent[0].content)
        places = [_place_of(mark, body) for mark in marks]
    except ValueError:
        return None
    found = Protocol(str(sent[0].url), lasting_headers(sent[0]), body, places, readings[0])
    other = await unsent(lambda: by_litellm(request))
    same = (str(other.url), lasting_headers(other)) == (found.url, found.headers)
    return found if same and json.loads(other.content) == found.body_of(request) else None


def _with_texts(request: Request, texts: Sequence[str]) -> Request:
    """A request with other texts in its messages."""
    messages = tuple((role, text) for (role, _), text in zip(request.messages, texts, strict=True))
    changed = replace(request, messages=messages)
    return changed if request.body is None else replace(changed, body={**request.body, **prompt_of(changed)})


def _show_readings(model: str) -> None:
    """Have litellm's transformation of replies for a model show its arguments to whoever learns from a call."""
    import litellm
    from litellm.utils import ProviderConfigManager

    try:
        name, provider, *_ = litellm.get_llm_provider(model)
        config = ProviderConfigManager.get_provider_chat_config(model=name, provider=litellm.LlmProviders(provider))
    except Exception:  # litellm raises all kinds for names that it cannot place
        return
    for kind in type(config).__mro__:
        for reader in set(_READERS) & vars(kind).keys():
            function = vars(kind)[reader]
            if inspect.isfunction(function) and not hasattr(function, "shows"):
                setattr(kind, reader, _shown(function))


def _shown(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def shown(config: Any, *args: Any, **keywords: Any) -> Any:
        show = _reading.get()
        if show is not None:
            arguments = inspect.signature(function).bind(config, *args, **keywords).arguments
            logging = arguments.get("logging_obj")
            if logging is not None:
                logging.post_call = lambda *_, **__: None  # nobody reads it
            show(_Reading(function, arguments))
        return function(config, *args, **keywords)

    shown.shows = True  # type: ignore[attr-defined]
    return shown


def _place_of(mark: str, body: Any) -> _Place:
    """Where a mark stands as a whole text. Raises ValueError where it does not, or stands in several places."""
    (place,) = (place for place, text in _texts(body, ()) if mark.strip() in text)
    inner: Any = body
    for step in place:
        inner = inner[step]
    if inner != mark:
        raise ValueError("it was changed")
    return place


def _texts(part: Any, place: _Place) -> Iterator[tuple[_Place, str]]:
    """All texts in JSON values, with their places."""
    if isinstance(part, str):
        yield place, part
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for step, value in inner:
        yield from _texts(value, (*place, step))


def _lasting(reply: Any) -> Any:
    """A reply without what differs each time that it is read."""
    if isinstance(reply, dict):
        return {name: _lasting(value) for name, value in reply.items() if name not in ("id", "created")}
    return [_lasting(value) for value in reply] if isinstance(reply, list) else reply
