"""What litellm sends for a call, learnt from one call and sent again with other messages: see decision 009."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from paretune.eventloop import take_turn
from paretune.files import canonical_json
from paretune.lm.backends.http import post_to
from paretune.lm.backends.protocol import options, prompt_of
from paretune.lm.types import Request

if TYPE_CHECKING:
    import httpx

__all__ = ["Wires", "lasting_headers", "unsent", "watch"]

#: How long what was learnt holds, in seconds: some providers' keys are tickets that litellm renews.
_HOLDS_S = 300.0
#: Headers that belong to one connection or one body.
_OF_ONE_CALL = ("accept-encoding", "connection", "content-length", "host", "transfer-encoding")

_watching: ContextVar[Callable[[httpx.Request], None] | None] = ContextVar("watching", default=None)


def watch(request: httpx.Request) -> None:
    """Show a request that litellm sends to whoever learns from this call."""
    watching = _watching.get()
    if watching is not None:
        watching(request)


class _NotSentError(Exception):
    """Ends a call of litellm's before anything is sent."""


async def unsent(by_litellm: Callable[[], Awaitable[Any]]) -> httpx.Request:
    """The request that a call of litellm's would send, which is not sent. Raises what litellm raises before that."""
    found: list[httpx.Request] = []

    def stop(request: httpx.Request) -> None:
        found.append(request)
        raise _NotSentError

    token = _watching.set(stop)
    try:
        await by_litellm()
    except Exception:
        if not found:
            raise
    finally:
        _watching.reset(token)
    return found[0]


def lasting_headers(request: httpx.Request) -> dict[str, str]:
    """The headers that do not belong to one connection or one body."""
    return {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_CALL}


class Wire(NamedTuple):
    """Where a kind of call goes, with what headers (keys among them), and all of its body but the messages."""

    url: str
    headers: dict[str, str]
    fields: dict[str, Any]


class Wires:
    """The calls of one model that go without litellm: those for which it sends plain OpenAI protocol.

    Calls are of one kind when they differ in what their messages say, and in nothing else. litellm makes the first one
    of a kind; where the messages stand in what it sends as they are, the others send the same without it.
    """

    def __init__(self) -> None:
        self._learnt: dict[str, tuple[float, Wire | None]] = {}
        self._learning: dict[tuple[int, str], asyncio.Event] = {}

    async def exchange(
        self, request: Request, place: Any, timeout_s: float, by_litellm: Callable[[], Awaitable[Any]]
    ) -> Any:
        """The parsed reply to a request; ``place`` is what else decides where and with what key a call goes."""
        kind = _kind(request, place)
        learning = self._learning.get((id(asyncio.get_running_loop()), kind))
        if learning is not None:
            await learning.wait()
            await take_turn()
        learnt_at, wire = self._learnt.get(kind, (0.0, None))
        known = kind in self._learnt and time.monotonic() < learnt_at + _HOLDS_S
        if known and wire is None:
            return await by_litellm()
        if wire is None or not known:
            with self._learn(kind, request):
                return await by_litellm()
        try:
            reply, _ = await post_to(wire.url, wire.headers, {**wire.fields, **prompt_of(request)}, timeout_s)
        except Exception:
            self._learnt.pop(kind, None)  # the key may be another one by now
            raise
        return _converted(reply)

    @contextlib.contextmanager
    def _learn(self, kind: str, request: Request) -> Iterator[None]:
        """Learn from what is sent in the block; calls of this kind wait for that, not for the reply."""
        place, sent = (id(asyncio.get_running_loop()), kind), asyncio.Event()

        def learn(found: httpx.Request) -> None:
            self._learnt[kind] = time.monotonic(), _read(found, request)
            sent.set()

        self._learning[place] = sent
        token = _watching.set(learn)
        try:
            yield
        finally:
            _watching.reset(token)
            self._learning.pop(place, None)
            sent.set()


def _kind(request: Request, place: Any) -> str:
    messages = [(role, not content.strip()) for role, content in request.messages]
    return canonical_json([place, messages, request.structured_output, request.grammar, options(request)])


def _converted(reply: Any) -> Any:
    """A reply as litellm gives it, with its names for why replies end and for kinds of tokens."""
    import litellm
    from litellm.litellm_core_utils.llm_response_utils.convert_dict_to_response import convert_to_model_response_object

    try:
        response: Any = convert_to_model_response_object(
            response_object=copy.deepcopy(reply), model_response_object=litellm.ModelResponse()
        )
        return response.model_dump()
    except Exception:  # litellm raises all kinds for what is no reply
        return reply


def _read(found: httpx.Request, request: Request) -> Wire | None:
    """What is sent, where that is plain OpenAI protocol: the messages and the form of the reply are those composed."""
    try:
        fields = json.loads(found.content)
        messages = fields.pop("messages")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    plain = found.url.path.endswith("/chat/completions") and found.method == "POST" and not fields.get("stream")
    tool = request.structured_output == "tool"  # litellm makes a tool of a schema that a provider does not take
    if not plain or messages != prompt_of(request).get("messages") or ("tools" in fields) != tool:
        return None
    return Wire(str(found.url), lasting_headers(found), fields)
