"""Calls through litellm: any provider by name. It is loaded when a call is paid, not before."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import importlib
import json
import warnings
from typing import Any

from paretune.errors import FatalError
from paretune.eventloop import once_in_thread
from paretune.lm.backends.endpoint import Endpoint
from paretune.lm.backends.litellm_errors import NO_KEY, load_litellm, without_advice
from paretune.lm.backends.litellm_names import check_extra, name_fault
from paretune.lm.backends.litellm_prices import listed_price
from paretune.lm.backends.litellm_watch import lasting_headers, unsent
from paretune.lm.backends.litellm_wire import Wires, has_plain_messages
from paretune.lm.backends.protocol import options, prompt_of
from paretune.lm.masking import without_login
from paretune.lm.types import HTTPRequest, Pricing, Request

__all__ = ["LitellmBackend", "refused_options"]

#: The parameters of OpenAI's protocol for texts that are continued, and for embeddings.
_OF_TEXTS = (
    *("prompt", "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "n"),
    *("presence_penalty", "stop", "suffix", "temperature", "top_p", "user", "seed"),
)
_OF_EMBEDDINGS = ("input", "dimensions", "encoding_format", "user")
#: What litellm lists among a chat's parameters, and is how it reaches the model.
_SETTINGS = {"api_base", "api_version", "api_key", "base_url", "deployment_id", "organization", "default_headers"}
_SETTINGS |= {"extra_headers", "request_timeout", "timeout", "max_retries", "stream", "stream_options"}


class LitellmBackend(Endpoint):
    """One model by litellm's name for it: litellm composes a call; the next ones like it go without it where it can."""

    def __init__(self, model: str, **options: Any) -> None:
        super().__init__(model, **options)
        self._wires = Wires(model)

    def capabilities(self) -> dict[str, Any]:
        litellm = load_litellm()
        base_unknown = self._address() is not None and self.model not in litellm.model_cost
        if base_unknown or _knows(litellm.supports_response_schema, self.model):
            mode = "native"
        else:
            mode = "tool" if _knows(litellm.supports_function_calling, self.model) else "prompt"
        return {
            "structured_output": mode,
            "reasoning_effort": _knows(litellm.supports_reasoning, self.model),
            "reasons": _knows(_reasons_unasked, self.model),
            "grammar": False,
        }

    def price(self) -> Pricing | None:
        return self.fixed_price if self.fixed_price is not None else listed_price(self.model)

    def name_fault(self) -> str | None:
        """What is odd about the model's name, as far as that is known before a call; a server of one's own knows."""
        return None if self.api_base is not None else name_fault(self.model)

    def refused(self, **options: Any) -> str | None:
        """Why these options of a request cannot be sent to this model; None where they can, or nobody knows."""
        return refused_options(self.model, **options)

    def max_output_tokens(self) -> int | None:
        """The longest completion of a model that litellm lists; a server of one's own may allow any."""
        return None if self.api_base is not None else _listed_length(self.model)

    async def lacks(self, *, text_completion: bool) -> str | None:
        """As of any server; without an address by litellm's list, where a chat would be held in the place of a text."""
        if self._address() or not text_completion:
            return await super().lacks(text_completion=text_completion)
        chats = await asyncio.to_thread(_only_chats, self.model)
        return f"{self.model} continues no text (litellm only holds chats with it)" if chats else ""

    async def prepare(self) -> None:
        if not _warm_up.cache_info().currsize:
            await once_in_thread(_warm_up)
        self._api_key()

    async def _exchange(self, request: Request) -> Any:
        completes = request.structured_output == "completion"
        if completes and self.model.startswith("openai/"):  # litellm would make a client for each, and close none
            return await self._post(request)
        _warm_up()
        check_extra(request.options.extra)
        if completes:
            return await self._by_litellm(request)
        place = [self._address(), self._api_key(), self._secrets()]
        return await self._wires.exchange(request, place, self.timeout_s, self._by_litellm)

    async def _composed(self, request: Request) -> HTTPRequest:
        if request.structured_output == "completion" and self.model.startswith("openai/"):
            return await super()._composed(request)
        _warm_up()
        check_extra(request.options.extra)
        found = await unsent(lambda: self._by_litellm(request))
        return HTTPRequest(str(found.url), lasting_headers(found), json.loads(found.content), None)

    async def _by_litellm(self, request: Request) -> Any:
        litellm = load_litellm()
        asked = copy.deepcopy({**prompt_of(request), **options(request)})  # it changes schemas in place
        arguments = {**self._reached(self._extra(request)), **asked}
        if request.structured_output == "tool":
            arguments["_skip_mcp_handler"] = True  # else litellm wants a package that it does not depend on
        completes = request.structured_output == "completion"
        complete = litellm.atext_completion if completes else litellm.acompletion
        response = await complete(model=self.model, **arguments)
        return response.model_dump()

    async def _pass_on(self, request: Request) -> str:
        if request.path == "/completions" and self.model.startswith("openai/"):
            return await super()._pass_on(request)
        if request.path == "/chat/completions" and has_plain_messages(request):
            _warm_up()
            place = [self._address(), self._api_key(), self._secrets()]
            reply = await self._wires.exchange(request, place, self.timeout_s, self._passed_by_litellm)
        else:
            reply = await self._passed_by_litellm(request)
        return json.dumps(reply, ensure_ascii=False)

    async def _passed_by_litellm(self, request: Request) -> Any:
        litellm, body = load_litellm(), request.body or {}
        call, known = {
            "/chat/completions": (litellm.acompletion, ("messages", *litellm.OPENAI_CHAT_COMPLETION_PARAMS)),
            "/completions": (litellm.atext_completion, _OF_TEXTS),
            "/embeddings": (litellm.aembedding, _OF_EMBEDDINGS),
        }[request.path]
        taken = set(known) - _SETTINGS  # what is no parameter of the protocol goes on as it is, and steers no litellm
        rest = {name: value for name, value in body.items() if name not in taken}
        fields = copy.deepcopy({name: value for name, value in body.items() if name in taken})
        if "tools" in fields and request.path == "/chat/completions":
            fields["_skip_mcp_handler"] = True  # else litellm wants a package that it does not depend on
        response = await call(model=self.model, **self._reached({**self.extra_body, **rest}), **fields)
        return response.model_dump(mode="json")

    def _reached(self, extra: dict[str, Any]) -> dict[str, Any]:
        """How litellm is to reach the model, and what goes into the body beside what it knows."""
        address, login = without_login(self._address() or "")
        own: dict[str, Any] = {"api_base": self.api_base, "api_key": self._api_key(), "extra_body": extra}
        if login is not None:  # aiohttp refuses an address with a login beside a key
            own.update(api_base=address, extra_headers={"Authorization": login})
        # the SDK's own retries are off; ours are in LanguageModel
        return {**{name: value for name, value in own.items() if value}, "timeout": self.timeout_s, "max_retries": 0}

    def _count_tokens(self, text: str) -> int:
        return int(load_litellm().token_counter(model=self.model, text=text))

    def _providers_key(self) -> str:
        missing = load_litellm().validate_environment(self.model)["missing_keys"]
        missing = [name for name in missing if name.endswith("_API_KEY")]  # the others have other sources
        if missing:
            raise FatalError(
                f"{self.model}: no API key in the environment (looked for {', '.join(missing)}); "
                "set it, or name another variable in api_key_env"
            )
        return ""


@functools.cache
def _warm_up() -> None:
    """Let litellm and the SDK under it import what they put off to the first call, half a second that is no latency."""
    importlib.import_module("openai.resources")
    nowhere = {"api_base": "http://127.0.0.1:0/v1", "api_key": NO_KEY, "max_retries": 0}
    litellm = load_litellm()
    with warnings.catch_warnings():  # pydantic warns of a class of litellm's; its own filter may have been undone
        warnings.simplefilter("ignore")
        litellm.completion("openai/none", [{"role": "user", "content": "x"}], mock_response="x", **nowhere)
    gc.freeze()  # as in load_litellm


def _knows(question: Any, model: str) -> bool:
    try:
        return bool(question(model=model))
    except Exception:  # litellm raises all kinds for models that it does not list
        return False


def _reasons_unasked(model: str) -> bool:
    """Most models that can reason do so unless they are asked not to; the list names others, of which Claude's reason
    only when asked."""
    litellm = load_litellm()
    listed = litellm.model_cost[litellm.get_model_info(model)["key"]]
    asked_only = "claude" in model.lower() or listed.get("default_reasoning_effort") == "none"
    return bool(listed.get("supports_reasoning")) and (bool(listed.get("thinking_always_on")) or not asked_only)


def refused_options(model: str, **options: Any) -> str | None:
    """What litellm says of options that it will not send to a model (a temperature, a reasoning effort); else None."""
    litellm = load_litellm()
    given = {name: value for name, value in options.items() if value is not None}
    try:
        name, provider, *_ = litellm.get_llm_provider(model)
        litellm.utils.get_optional_params(model=name, custom_llm_provider=provider, **given)
    except litellm.UnsupportedParamsError as error:
        return without_advice(str(error.message))
    except Exception:  # litellm raises all kinds for models that it does not list: the call will tell
        return None
    return None


def _only_chats(model: str) -> bool:
    """Whether litellm would send a text to continue as a message of a chat. A model that it does not list is taken to
    be like its provider's others, where these are all alike."""
    litellm = load_litellm()
    try:
        _, provider, *_ = litellm.get_llm_provider(model)
    except Exception:  # litellm raises all kinds for models that it does not list
        return False
    try:
        modes = {litellm.get_model_info(model)["mode"]}
    except Exception:
        modes = {
            info["mode"]
            for info in litellm.model_cost.values()
            if "mode" in info and info.get("litellm_provider", "").startswith(provider)
        }
    chats = "completion" not in modes and not modes.isdisjoint(("chat", "responses"))
    return chats and provider not in litellm.openai_text_completion_compatible_providers


@functools.cache
def _listed_length(model: str) -> int | None:
    try:
        length: int | None = load_litellm().get_model_info(model).get("max_output_tokens")
    except Exception:  # litellm raises all kinds for models that it does not list
        return None
    return length
