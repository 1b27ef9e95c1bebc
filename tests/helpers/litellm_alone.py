"""Calls that litellm makes whole, to compare with."""

from __future__ import annotations

from typing import Any

from paretune.lm.backends.litellm import LitellmBackend
from paretune.lm.types import Request

__all__ = ["by_litellm_alone"]


def by_litellm_alone(backend: LitellmBackend) -> LitellmBackend:
    """A backend that learns nothing from litellm, and has it make every call."""

    async def exchange(request: Request, place: Any, timeout_s: float, by_litellm: Any) -> Any:
        return await by_litellm(request)

    backend._wires.exchange = exchange  # type: ignore[method-assign]
    return backend
