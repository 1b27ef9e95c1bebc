"""Calls through litellm: any provider by name. It is loaded when a call is paid, not before."""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import warnings
import weakref
from typing import Any

from paretune.errors import FatalError, TransientError
from paretune.lm.litellm_errors import NO_KEY, load_litellm, named_error
from paretune.lm.masking import logins_of, place_of, public_address
from paretune.lm.types import Answer, Price, Request

__all__ = ["LitellmBackend"]

#: For completions: clients by event loop and by what they were made with, kept as long as litellm keeps its own.
_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Any, Any]] = weakref.WeakKeyDictionary()


class LitellmBackend:
    """One model behind litellm."""

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

    def capabilities(self) -> dict[str, Any]:
        litellm = load_litellm()
        base_unknown = self.api_base is not None and self.model not in litellm.model_cost
        if base_unknown or _knows(litellm.supports_response_schema, self.model):
            mode = "native"
        else:
            mode = "tool" if _knows(litellm.supports_function_calling, self.model) else "prompt"
        return {
            "structured_output": mode,
            "reasoning_effort": _knows(litellm.supports_reasoning, self.model),
            "grammar": False,
        }

    def price(self) -> Price | None:
        return self.fixed_price if self.fixed_price is not None else _listed_price(self.model)

    def max_output_tokens(self) -> int | None:
        """The longest completion of a model that litellm lists; a server of one's own may allow any."""
        return None if self.api_base is not None else _listed_length(self.model)

    async def send(self, request: Request) -> Answer:
        litellm = load_litellm()
        try:
            arguments = self._arguments(request)
            if request.structured_output == "completion":
                client = self._completion_client()
                response = await litellm.atext_completion(prompt=request.messages[0][1], client=client, **arguments)
            else:
                messages = [{"role": role, "content": content} for role, content in request.messages]
                response = await litellm.acompletion(messages=messages, **arguments)
        except Exception as error:
            named = named_error(error, self.label, secrets=self._secrets())
            if named is None:
                raise
            raise named from None
        if not response.choices or getattr(response.choices[0], "text", "") is None:
            raise TransientError(f"{self.label}: the server's reply holds no choices")
        return self._answer(response, request)

    async def prepare(self) -> None:
        _warm_up()
        self._api_key()

    def close(self) -> None:
        """Nothing to release: litellm keeps its own connections."""

    def _address(self) -> str | None:
        return self.api_base or _of_environment(self.model, "BASE_URL", "API_BASE")

    def _secrets(self) -> list[str]:
        """What this model's calls carry beside the request."""
        own = self._key if self._key else _of_environment(self.model, "API_KEY")
        return [*([own] if own and own != NO_KEY else []), *logins_of(self._address())]

    def _answer(self, response: Any, request: Request) -> Answer:
        choice = response.choices[0]
        if request.structured_output == "completion":
            text = choice.text
        else:
            calls = getattr(choice.message, "tool_calls", None)
            text = (calls[0].function.arguments if calls else choice.message.content) or ""
        for secret in self._secrets():  # no prompt holds one: this server writes its headers into its replies
            text = text.replace(secret, "***") if len(secret) >= 8 else text
        usage = {} if response.usage is None else response.usage.model_dump(exclude_none=True)
        if not usage.get("prompt_tokens"):  # no prompt is empty: the server reports no usage
            usage = self._estimate(request, text)
        return Answer(
            text=text,
            prompt_tokens=int(usage["prompt_tokens"]),
            completion_tokens=int(usage.get("completion_tokens", 0)),
            finish_reason=getattr(choice, "finish_reason", None),
            usage=usage,
        )

    def _estimate(self, request: Request, text: str) -> dict[str, Any]:
        """Tokens counted here, and marked as such: as zeros they would make this model the cheapest of all."""
        count = load_litellm().token_counter
        prompt = "\n".join(content for _, content in request.messages)
        counted = {"prompt_tokens": count(model=self.model, text=prompt)}
        return {**counted, "completion_tokens": count(model=self.model, text=text), "estimated": True}

    def _arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": self._route(request),
            "api_base": self.api_base,
            "api_key": self._api_key(),
            "timeout": self.timeout_s,
            "max_retries": 0,  # the SDK's own; ours are in LanguageModel
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "reasoning_effort": request.reasoning_effort,
            "stop": list(request.stop) or None,
        }
        schema = {"name": request.schema_name, "schema": request.schema}
        if request.structured_output == "native":
            arguments["response_format"] = {"type": "json_schema", "json_schema": {**schema, "strict": True}}
        elif request.structured_output == "tool":
            function = {"name": request.schema_name, "parameters": request.schema}
            arguments["tools"] = [{"type": "function", "function": function}]
            arguments["tool_choice"] = {"type": "function", "function": {"name": request.schema_name}}
            arguments["_skip_mcp_handler"] = True  # else litellm wants a package that it does not depend on
        extra = dict(self.extra_body)
        if request.grammar is not None:
            extra["grammar"] = request.grammar
        return {name: value for name, value in arguments.items() if value is not None} | (
            {"extra_body": extra} if extra else {}
        )

    def _route(self, request: Request) -> str:
        """litellm reaches a server's completion endpoint under another provider name than its chat endpoint."""
        provider, _, name = self.model.partition("/")
        if request.structured_output == "completion" and provider == "openai":
            return f"text-completion-openai/{name}"
        return self.model

    def _completion_client(self) -> Any:
        """One client a server and loop: litellm would make one for every completion, and close none."""
        if not self.model.startswith("openai/"):
            return None
        clients = _clients.setdefault(asyncio.get_running_loop(), {})
        options: dict[str, Any] = {"base_url": self.api_base, "api_key": self._api_key(), "timeout": self.timeout_s}
        key = tuple(options.values())
        if key not in clients:
            from openai import AsyncOpenAI  # comes with litellm

            clients[key] = AsyncOpenAI(**options, max_retries=0)
        return clients[key]

    def _api_key(self) -> str | None:
        if self._key is None:
            self._key = self._find_key()
        return self._key or None

    def _find_key(self) -> str:
        if self.api_key_env is not None:
            key = os.environ.get(self.api_key_env, "").strip()
            if not key:
                raise FatalError(
                    f"{self.label}: the environment variable {self.api_key_env!r} (api_key_env) is not set; "
                    f"set it, for example: export {self.api_key_env}=…"
                )
            return key
        if self.api_base is not None:  # a provider's key never goes to a server that the user names
            return NO_KEY
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


def _of_environment(model: str, *kinds: str) -> str | None:
    """What the environment names for the model's provider, as litellm looks for it: an address, or the key."""
    provider = model.partition("/")[0].upper() if "/" in model else "OPENAI"
    found = (os.environ.get(f"{provider}_{kind}", "").strip() for kind in kinds)
    return next((value for value in found if value), None)


def _knows(question: Any, model: str) -> bool:
    try:
        return bool(question(model=model))
    except Exception:  # litellm raises all kinds for models that it does not list
        return False


@functools.cache
def _listed_price(model: str) -> Price | None:
    litellm = load_litellm()
    try:
        info = litellm.get_model_info(model)
    except Exception:  # litellm raises all kinds for models that it does not list
        return None
    prompt, completion = info.get("input_cost_per_token"), info.get("output_cost_per_token")
    return None if prompt is None or completion is None else Price(prompt * 1e6, completion * 1e6)


@functools.cache
def _listed_length(model: str) -> int | None:
    try:
        length: int | None = load_litellm().get_model_info(model).get("max_output_tokens")
    except Exception:  # litellm raises all kinds for models that it does not list
        return None
    return length
