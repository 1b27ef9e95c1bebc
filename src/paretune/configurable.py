"""Objects that know what they were made with, so that two of them can be told apart."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["Configurable"]


class Configurable:
    """Base class that keeps the arguments of the constructor."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._arguments = (args, kwargs)
        return made
