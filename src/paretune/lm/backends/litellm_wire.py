"""What litellm sends for a call, learnt from one call and sent again with other messages: see decision 009."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from paretune.eventloop import on_another_loop, take_turn
from paretune.files import digest
from paretune.lm.backends.http import post_to
from paretune.lm.backends.litellm_protocols import ByLitellm, Protocol, UnlikeError, learn_protocol
from paretune.lm.backends.litellm_watch import lasting_headers, unsent
from paretune.lm.backends.protocol import options, prompt_of
from paretune.lm.types import Request

if TYPE_CHECKING:
    import httpx

__all__ = ["Wires", "has_plain_messages"]

#: How long what was learnt holds, in seconds: some providers' keys are tickets that litellm renews.
_HOLDS_S = 300.0
#: After these statuses it is learnt anew: the key may be another one by now.
_REFUSED = (401, 403)
#: So many kinds of calls are known at a time: a client's may have a field of their own each.
_KINDS = 1_000


class Wire(NamedTuple):
    """OpenAI's protocol: where a kind of calls goes, with what headers (keys among them), and all of its body but the
    messages."""

    url: str
    headers: dict[str, str]
    fields: dict[str, Any]

    async def exchange(self, request: Request, timeout_s: float, by_litellm: ByLitellm) -> Any:
        """The parsed reply, as litellm gives it."""
        reply, _ = await post_to(self.url, self.headers, {**self.fields, **prompt_of(request)}, timeout_s)
        return _converted(reply)


class Wires:
    """The calls of one model that go without litellm.

    Calls are of one kind when they differ in what their messages say, and in nothing else. litellm composes one of a
    kind; where the messages stand in what it would send as they are, all are sent without it.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._learnt: dict[str, tuple[float, Wire | Protocol | None]] = {}
        self._learning: dict[tuple[int, str], asyncio.Event] = {}
        #: Kinds of requests that a client composed, which are learnt when they come again.
        self._seen: set[str] = set()

    async def exchange(self, request: Request, place: Any, timeout_s: float, by_litellm: ByLitellm) -> Any:
        """The parsed reply to a request; ``place`` is what else decides where and with what key a call goes."""
        kind = _kind(request, place)
        if request.body is not None and kind not in self._seen:
            if len(self._seen) == _KINDS:
                self._seen.clear()
            self._seen.add(kind)
            return await by_litellm(request)
        wire = await self._wire(kind, request, by_litellm)
        if wire is None:
            return await by_litellm(request)
        try:
            return await wire.exchange(request, timeout_s, by_litellm)
        except UnlikeError as unlike:
            self._learnt[kind] = time.monotonic(), None
            return unlike.whole
        except Exception as error:
            if getattr(error, "status_code", None) in _REFUSED:
                self._learnt.pop(kind, None)
            raise

    async def _wire(self, kind: str, request: Request, by_litellm: ByLitellm) -> Wire | Protocol | None:
        """What is known of a kind of calls; whoever comes while it is learnt waits for that."""
        here = id(asyncio.get_running_loop()), kind
        while (learning := self._learning.get(here)) is not None:
            await learning.wait()
            await take_turn()
        learnt_at, wire = self._learnt.get(kind, (-_HOLDS_S, None))
        if time.monotonic() < learnt_at + _HOLDS_S:
            return wire
        learnt = self._learning[here] = asyncio.Event()
        try:
            wire = await on_another_loop(lambda: _learnt(self._model, request, by_litellm))
            if len(self._learnt) == _KINDS:
                self._learnt.clear()
            self._learnt[kind] = time.monotonic(), wire
            return wire
        finally:
            del self._learning[here]
            learnt.set()


async def _learnt(model: str, request: Request, by_litellm: ByLitellm) -> Wire | Protocol | None:
    found = _read(await unsent(lambda: by_litellm(request)), request)
    return found or await learn_protocol(model, request, by_litellm)


def has_plain_messages(request: Request) -> bool:
    """Whether the messages of a request that a client composed are texts with a role, and nothing else."""
    return request.body is not None and bool(request.body.get("messages") == prompt_of(request)["messages"])


def _kind(request: Request, place: Any) -> str:
    messages = [(role, not content.strip()) for role, content in request.messages]
    if request.body is None:
        rest: Any = [request.structured_output, request.grammar, options(request)]
    else:
        rest = {name: value for name, value in request.body.items() if name != "messages"}
    return digest([place, messages, rest])


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
    # litellm makes a tool of a schema that a provider does not take
    tool = request.structured_output == "tool" if request.body is None else "tools" in request.body
    if not plain or messages != prompt_of(request).get("messages") or ("tools" in fields) != tool:
        return None
    return Wire(str(found.url), lasting_headers(found), fields)
