"""Calls through litellm: any provider by name. It is loaded when a call is paid, not before."""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import warnings
from typing import Any

from paretune.errors import FatalError, TransientError
from paretune.lm.backends.http import connections, post
from paretune.lm.backends.litellm_errors import NO_KEY, load_litellm, named_error, without_advice
from paretune.lm.backends.litellm_names import is_known
from paretune.lm.backends.protocol import Completion, options, prompt_of, read_completion
from paretune.lm.masking import logins_of, place_of, public_address
from paretune.lm.types import Answer, Price, Request

__all__ = ["LitellmBackend", "refused_options"]


_OPENAI = "https://api.openai.com/v1"


class LitellmBackend:
    """One model by litellm's name for it.

    A model that litellm does not know, on a server that the user names, is called without litellm, which has nothing to
    say about it: see decision 009.
    """

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

    @functools.cached_property
    def is_unknown(self) -> bool:
        """Whether this is a model of which litellm knows nothing, on a server that the user names."""
        return self.api_base is not None and self.model.startswith("openai/") and not is_known(self.model)

    def capabilities(self) -> dict[str, Any]:
        if self.is_unknown:
            return {"structured_output": "native", "reasoning_effort": False, "grammar": False}
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
        return self.fixed_price if self.fixed_price is not None or self.is_unknown else _listed_price(self.model)

    def refused(self, **options: Any) -> str | None:
        """Why these options of a request cannot be sent to this model; None where they can, or nobody knows."""
        return None if self.is_unknown else refused_options(self.model, **options)

    def max_output_tokens(self) -> int | None:
        """The longest completion of a model that litellm lists; a server of one's own may allow any."""
        return None if self.api_base is not None else _listed_length(self.model)

    async def send(self, request: Request) -> Answer:
        try:
            reply = await (self._ask_server(request) if self._goes_direct(request) else self._ask_litellm(request))
        except Exception as error:
            # In a thread, since it may have to import litellm, for seconds: other calls go on.
            named = await asyncio.to_thread(named_error, error, self.label, secrets=self._secrets())
            if named is None:
                raise
            raise named from None
        try:
            said = read_completion(reply, request)
        except ValueError as error:
            raise TransientError(f"{self.label}: the server's reply is no completion ({error})") from None
        return self._answer(said, request)

    async def prepare(self) -> None:
        self._api_key()
        if self.is_unknown:
            connections()
        else:
            _warm_up()

    def close(self) -> None:
        """Nothing to release: connections are kept for the next call."""

    def _address(self) -> str | None:
        return self.api_base or _of_environment(self.model, "BASE_URL", "API_BASE")

    def _secrets(self) -> list[str]:
        """What this model's calls carry beside the request."""
        own = self._key if self._key else _of_environment(self.model, "API_KEY")
        return [*([own] if own and own != NO_KEY else []), *logins_of(self._address())]

    def _goes_direct(self, request: Request) -> bool:
        """Without litellm; a completion of OpenAI's too, for each of which it would make a client, and close none."""
        completes = request.structured_output == "completion" and self.model.startswith("openai/")
        return completes or self.is_unknown

    async def _ask_server(self, request: Request) -> Any:
        path = "/completions" if request.structured_output == "completion" else "/chat/completions"
        body = {"model": self.model.partition("/")[2], **prompt_of(request), **options(request), **self._extra(request)}
        key = self._api_key() or _of_environment(self.model, "API_KEY") or NO_KEY
        return await post(self._address() or _OPENAI, path, body, key, self.timeout_s)

    async def _ask_litellm(self, request: Request) -> Any:
        litellm = load_litellm()
        own = {"api_base": self.api_base, "api_key": self._api_key(), "extra_body": self._extra(request)}
        arguments: dict[str, Any] = {
            **{name: value for name, value in own.items() if value},
            "timeout": self.timeout_s,
            "max_retries": 0,  # the SDK's own; ours are in LanguageModel
            **prompt_of(request),
            **options(request),
        }
        if request.structured_output == "tool":
            arguments["_skip_mcp_handler"] = True  # else litellm wants a package that it does not depend on
        complete = litellm.atext_completion if request.structured_output == "completion" else litellm.acompletion
        response = await complete(model=self.model, **arguments)
        return response.model_dump()

    def _answer(self, said: Completion, request: Request) -> Answer:
        text = said.text
        for secret in self._secrets():  # no prompt holds one: this server writes its headers into its replies
            text = text.replace(secret, "***") if len(secret) >= 8 else text
        usage = said.usage or self._estimate(request, text)
        return Answer(text, usage["prompt_tokens"], usage["completion_tokens"], said.finish_reason, usage)

    def _extra(self, request: Request) -> dict[str, Any]:
        """Fields of the request that only some servers know."""
        return self.extra_body if request.grammar is None else {**self.extra_body, "grammar": request.grammar}

    def _estimate(self, request: Request, text: str) -> dict[str, Any]:
        """Tokens counted here, and marked as such: as zeros they would make this model the cheapest of all."""
        prompt = "\n".join(content for _, content in request.messages)
        told = {"prompt_tokens": self._count(prompt), "completion_tokens": self._count(text)}
        return {**told, "estimated": True}

    def _count(self, text: str) -> int:
        if self.is_unknown:  # so is its tokenizer: four bytes are about one token
            return max(bool(text), len(text.encode()) // 4)
        return int(load_litellm().token_counter(model=self.model, text=text))

    def _api_key(self) -> str | None:
        if self._key is None:
            self._key = self._find_key()
        return self._key or None

    def _find_key(self) -> str:
        if self.api_key_env is not None:
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
