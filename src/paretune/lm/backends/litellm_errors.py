"""Loading litellm quietly, and naming what goes wrong in it: fatal, passing, or about one input."""

from __future__ import annotations

import functools
import gc
import json
import os
import re
import sys
import time
from collections.abc import Coroutine, Iterable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from paretune.collecting import seldom_collecting
from paretune.errors import FatalError, RefusedInputError, TransientError
from paretune.lm.backends.http import NoReplyError, ServerError
from paretune.lm.backends.sessions import open_session
from paretune.lm.masking import masked

__all__ = ["NO_KEY", "load_litellm", "named_error", "without_advice"]

#: Sent where a server of the user's own wants no key; litellm refuses to call without any.
NO_KEY = "none"

#: Statuses below 500 that may pass: request time-out, conflict, too early, too many requests.
_PASSING = (408, 409, 425, 429)
_QUOTA = ("insufficient_quota", "exceeded your current quota")
_FILTERED = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")


@functools.cache
def load_litellm() -> Any:
    """Import litellm (3 s) with everything off that would touch the network, the environment or the logs."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    for name in ("AIOHTTP_CONNECTOR_LIMIT", "AIOHTTP_CONNECTOR_LIMIT_PER_HOST"):
        os.environ.setdefault(name, "1000000")  # how many calls are in flight is decided elsewhere
    with seldom_collecting():  # the search would stop whatever else runs, again and again
        import litellm

        from paretune.lm.backends.litellm_transport import limit_replies

    gc.freeze()  # half a million objects that live as long as the process
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.redact_messages_in_exceptions = True
    litellm.drop_params = False
    litellm.num_retries = 0
    litellm.telemetry = False
    _leave_out_logging()
    _close_sessions()
    limit_replies()
    return litellm


def _leave_out_logging() -> None:
    """Close what litellm would log of each call, instead of queueing it.

    Nobody listens, and its worker belongs to one event loop: when calls come from another one it is dropped while it
    runs, with a warning each time.
    """
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

    def close(async_coroutine: Coroutine[Any, Any, None]) -> None:
        async_coroutine.close()

    GLOBAL_LOGGING_WORKER.ensure_initialized_and_enqueue = close


def _close_sessions() -> None:
    """Have litellm's sessions closed like our own: it would do so from another event loop than theirs, or never."""
    import litellm
    from litellm.llms.custom_httpx import http_handler

    http_handler.ClientSession = open_session
    litellm._async_client_cleanup_registered = True


def named_error(error: Exception, label: str, *, secrets: Iterable[str] = ()) -> Exception | None:
    """Our error for an exception of litellm's or of a call without it, without ``secrets``; None for a bug of ours."""
    if not type(error).__module__.startswith(("litellm", "openai", "httpx", "aiohttp", ServerError.__module__)):
        return None
    message = f"{label}: {masked(_reason(error), *secrets)[:300]}"
    words = f"{error} {getattr(error, 'body', '')}"
    status = getattr(error, "status_code", None)
    too_long, filtered = _is_refused(error)
    filtered |= status == 400 and any(word in words for word in _FILTERED)
    if too_long or filtered:
        return RefusedInputError(message, filtered)
    if any(isinstance(cause, ImportError) for cause in _causes(error)):  # a package that this provider needs
        return FatalError(message)
    if status == 429 and any(word in words for word in _QUOTA):
        return FatalError(message)
    # The status decides, not litellm's class: it makes a BadRequestError of any answer that says invalid_request_error.
    if isinstance(status, int) and (status >= 500 or status in _PASSING):
        return TransientError(message, _retry_after(error), rate_limited=status == 429)
    if isinstance(status, int) and status >= 400:
        return FatalError(message)
    if _is_any(error, "aiohttp.InvalidURL", "httpx.InvalidURL"):
        return FatalError(message)
    passing = isinstance(error, NoReplyError) or _is_any(
        error, "aiohttp.ClientError", "httpx.HTTPError", "openai.APIError"
    )
    return TransientError(message) if passing else None


def _is_any(error: BaseException, *names: str) -> bool:
    """Whether an error is one of these classes of libraries, which need not be loaded."""
    for name in names:
        module, _, kind = name.partition(".")
        if module in sys.modules and isinstance(error, getattr(sys.modules[module], kind)):
            return True
    return False


def _is_refused(error: Exception) -> tuple[bool, bool]:
    """Whether this one input is too long, and whether it is filtered: litellm knows by what words servers say so."""
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or status in _PASSING or status > 500:
        return False, False
    litellm = load_litellm()
    try:
        litellm.exception_type(model="", original_exception=error, custom_llm_provider="openai")
    except Exception as classified:
        error = classified
    kinds = litellm.exceptions
    return isinstance(error, kinds.ContextWindowExceededError), isinstance(error, kinds.ContentPolicyViolationError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _reason(error: Exception) -> str:
    """What happened, in one line."""
    causes = list(_causes(error))
    unreadable = [cause for cause in causes if isinstance(cause, json.JSONDecodeError | AttributeError)]
    if unreadable and not any(type(cause).__name__ == "HTTPStatusError" for cause in causes):
        return f"the server's reply is no completion ({_first_line(unreadable[0])})"
    words = getattr(error, "body", None)
    words = words.get("message") if isinstance(words, dict) else words
    kinds = r"(?:(?:litellm\.)?\w*(?:Error|Timeout)(?: Error)?(?:: | - ))*(?:\w+Exception - )?"
    line = without_advice(_first_line(words or re.sub(f"^{kinds}", "", str(error)))) or type(error).__name__
    if _is_any(error, "aiohttp.ClientError", "httpx.HTTPError"):
        line = "the call timed out" if _is_any(error, "httpx.TimeoutException") else "Connection error."
    texts = (_first_line(getattr(cause, "message", None) or cause) for cause in reversed(causes))
    beneath = next(filter(None, texts), "")
    return f"{line.rstrip('.')}: {beneath}" if line == "Connection error." else line


def without_advice(words: str) -> str:
    """Litellm's words without its own name and without the settings of litellm that it names as the cure."""
    return re.sub(
        r"\s*To drop (?:unsupported|these)\b.*", "", words.removeprefix("litellm.UnsupportedParamsError: "), flags=re.S
    )


def _first_line(words: object) -> str:
    return next(iter(str(words).strip().splitlines()), "")


def _retry_after(error: Exception) -> float | None:
    """The server's wish in seconds, at most a minute; it may be a number or a date (RFC 9110, 10.2.3)."""
    answered = getattr(error, "response", error)
    headers = getattr(error, "litellm_response_headers", None) or getattr(answered, "headers", None) or {}
    wish = str(headers.get("retry-after") or "")
    try:
        seconds = float(wish)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(wish).timestamp() - time.time()
        except ValueError:
            return None
    return min(60.0, max(0.0, seconds))
