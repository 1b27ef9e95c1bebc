"""Requests with call options among their arguments."""

from __future__ import annotations

from typing import Any

from paretune.lm.options import CallOptions
from paretune.lm.types import Request

__all__ = ["request_with"]


def request_with(messages: tuple[tuple[str, str], ...], **given: Any) -> Request:
    """A request; ``given`` are its fields and its call options."""
    options = {name: given.pop(name) for name in CallOptions.model_fields if name in given}
    return Request(messages, options=CallOptions(**options), **given)
