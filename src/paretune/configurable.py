"""Objects that know what they were made with, so that two of them can be told apart."""

from __future__ import annotations

import inspect
from typing import Any, Self

__all__ = ["Configurable"]


class _ConstructorsSignature:
    """What inspect shows of a class: its ``__init__``, for which Python before 3.11.5 took an inherited ``__new__``."""

    def __get__(self, instance: object, cls: type) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class Configurable:
    """Base class that keeps the arguments of the constructor."""

    __signature__ = _ConstructorsSignature()
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._arguments = (args, kwargs)
        return made
