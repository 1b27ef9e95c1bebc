"""Loading litellm quietly, and naming what goes wrong in it: fatal, passing, or about one input."""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from paretune.errors import FatalError, RefusedInputError, TransientError

__all__ = ["NO_KEY", "load_litellm", "named_error"]

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


def named_error(error: Exception, label: str, *, secret: str | None = None) -> Exception | None:
    """Our error for an exception of litellm's; None for anything that is a bug of ours."""
    kinds = load_litellm().exceptions
    if not type(error).__module__.startswith(("litellm", "openai", "httpx")):
        return None
    message = f"{label}: {_first_line(error, secret)}"
    said = f"{error} {getattr(error, 'body', '')}"
    status = getattr(error, "status_code", None)
    if isinstance(error, kinds.ContextWindowExceededError | kinds.ContentPolicyViolationError):
        return RefusedInputError(message)
    if status == 400 and any(word in said for word in _FILTERED):
        return RefusedInputError(message)
    if any(isinstance(cause, ImportError) for cause in _causes(error)):  # a package that this provider needs
        return FatalError(message)
    if status == 429 and any(word in said for word in _QUOTA):
        return FatalError(message)
    # The status decides, not litellm's class: it makes a BadRequestError of any answer that says invalid_request_error.
    if isinstance(status, int) and (status >= 500 or status in _PASSING):
        return TransientError(message, _retry_after(error))
    if isinstance(status, int) and status >= 400:
        return FatalError(message)
    if isinstance(error, kinds.APIError | kinds.APIConnectionError | kinds.Timeout):
        return TransientError(message)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _first_line(error: Exception, secret: str | None) -> str:
    kinds = r"(?:(?:litellm\.)?\w*(?:Error|Timeout)(?: Error)?(?:: | - ))*(?:\w+Exception - )?"
    lines = re.sub(f"^{kinds}", "", str(error)).strip().splitlines()
    line = lines[0] if lines else type(error).__name__
    for value in _secrets(secret):
        line = line.replace(value, "***")
    return line[:300]


def _secrets(secret: str | None) -> list[str]:
    """Everything that no message may show: the key in use and all that the environment calls a key, longest first."""
    marked = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")
    values = {value.strip() for name, value in os.environ.items() if marked.search(name.upper())}
    values = {value for value in values if len(value) >= 8}
    if secret and secret != NO_KEY:
        values.add(secret)
    return sorted(values, key=len, reverse=True)


def _retry_after(error: Exception) -> float | None:
    """The server's wish in seconds, at most a minute; it may be a number or a date (RFC 9110, 10.2.3)."""
    answered = getattr(getattr(error, "response", None), "headers", None)
    headers = getattr(error, "litellm_response_headers", None) or answered or {}
    wish = str(headers.get("retry-after") or "")
    try:
        seconds = float(wish)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(wish).timestamp() - time.time()
        except ValueError:
            return None
    return min(60.0, max(0.0, seconds))
