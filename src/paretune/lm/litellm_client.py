"""Calls through litellm: any provider by name. The only module that imports litellm, and only when a call is paid."""

from __future__ import annotations

import functools
import os
import re
from typing import Any

from paretune.errors import FatalError, RefusedInputError, TransientError
from paretune.lm.types import Answer, Price, Request

__all__ = ["LitellmBackend"]

#: Sent where a server of the user's own wants no key; litellm refuses to call without any.
_NO_KEY = "none"


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
    ) -> None:
        self.model = model
        self.api_base = api_base
        self.api_key_env = api_key_env
        self.timeout_s = timeout_s
        self.fixed_price = fixed_price
        self.extra_body = extra_body or {}
        self._key = api_key

    def identity(self) -> dict[str, Any]:
        return {"model": self.model, "endpoint": self.api_base}

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

    async def send(self, request: Request) -> Answer:
        litellm = load_litellm()
        try:
            arguments = self._arguments(request)
            if request.structured_output == "completion":
                response = await litellm.atext_completion(prompt=request.messages[0][1], **arguments)
            else:
                messages = [{"role": role, "content": content} for role, content in request.messages]
                response = await litellm.acompletion(messages=messages, **arguments)
        except Exception as error:
            named = named_error(error, self.model, secret=self._key)
            if named is None:
                raise
            raise named from None
        return _answer(response, request)

    async def prepare(self) -> None:
        load_litellm()
        self._api_key()

    def close(self) -> None:
        """Nothing to release: litellm keeps its own connections."""

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

    def _api_key(self) -> str | None:
        if self._key is None:
            self._key = self._find_key()
        return self._key or None

    def _find_key(self) -> str:
        if self.api_key_env is not None:
            key = os.environ.get(self.api_key_env, "")
            if not key:
                raise FatalError(
                    f"{self.model}: the environment variable {self.api_key_env!r} (api_key_env) is not set; "
                    f"set it, for example: export {self.api_key_env}=…"
                )
            return key
        if self.api_base is not None:  # a provider's key never goes to a server that the user names
            return _NO_KEY
        missing = load_litellm().validate_environment(self.model)["missing_keys"]
        if missing:
            raise FatalError(
                f"{self.model}: no API key: set {' and '.join(missing)} in the environment, "
                "or name another variable in api_key_env"
            )
        return ""


@functools.cache
def load_litellm() -> Any:
    """Import litellm (3 s) with everything off that would touch the network, the environment or the logs."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    import litellm

    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.redact_messages_in_exceptions = True
    litellm.drop_params = False
    litellm.num_retries = 0
    litellm.telemetry = False
    litellm.disable_aiohttp_transport = True  # its sessions are never closed
    return litellm


def named_error(error: Exception, model: str, *, secret: str | None = None) -> Exception | None:
    """Our error for an exception of litellm's; None for anything that is a bug of ours."""
    kinds = load_litellm().exceptions
    message = f"{model}: {_first_line(error, secret)}"
    if isinstance(error, kinds.ContextWindowExceededError | kinds.ContentPolicyViolationError):
        return RefusedInputError(message)
    if isinstance(
        error,
        kinds.AuthenticationError
        | kinds.PermissionDeniedError
        | kinds.NotFoundError
        | kinds.BadRequestError
        | kinds.UnprocessableEntityError,
    ):
        return FatalError(message)
    status = getattr(error, "status_code", None)
    if isinstance(error, kinds.APIError | kinds.APIConnectionError | kinds.Timeout | kinds.RateLimitError) or (
        type(error).__module__.startswith(("litellm", "openai", "httpx")) and isinstance(status, int)
    ):
        if isinstance(status, int) and 400 <= status < 500 and status not in (408, 409, 425, 429):
            return FatalError(message)
        return TransientError(message, _retry_after(error))
    return None


def _first_line(error: Exception, secret: str | None) -> str:
    text = re.sub(r"^(litellm\.)?\w+(Error|Timeout)?: ", "", str(error)).strip().splitlines()
    line = text[0][:300] if text else type(error).__name__
    return line.replace(secret, "***") if secret and secret != _NO_KEY else line


def _retry_after(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return min(60.0, max(0.0, float(headers.get("retry-after") or "")))
    except (TypeError, ValueError):
        return None


def _answer(response: Any, request: Request) -> Answer:
    choice = response.choices[0]
    if request.structured_output == "completion":
        text = choice.text or ""
    else:
        calls = getattr(choice.message, "tool_calls", None)
        text = (calls[0].function.arguments if calls else choice.message.content) or ""
    usage = response.usage.model_dump(exclude_none=True) if response.usage is not None else {}
    return Answer(
        text=text,
        prompt_tokens=int(usage.get("prompt_tokens", 0)),
        completion_tokens=int(usage.get("completion_tokens", 0)),
        finish_reason=getattr(choice, "finish_reason", None),
        usage=usage,
    )


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
