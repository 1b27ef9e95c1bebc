"""Which models litellm knows, from its list alone: importing litellm takes seconds."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from collections.abc import Iterable
from pathlib import Path

from paretune.errors import FatalError

__all__ = ["check_extra", "is_known"]

_FILE = "model_prices_and_context_window_backup.json"
#: Names for which litellm has rules, listed or not: OpenAI's models that reason, whose parameters have other names.
_RULED = re.compile(r"gpt-[5-9]|(^|/)o\d")


def is_known(model: str) -> bool:
    """Whether litellm lists a model, with its provider or without, or has rules for its name."""
    _, _, name = model.partition("/")
    return not _names().isdisjoint((model.lower(), name.lower())) or _RULED.search(name.lower()) is not None


def check_extra(names: Iterable[str]) -> None:
    """Raise FatalError for a parameter of a provider that has the name of a setting of litellm, loaded by now: litellm
    would not pass it on, but do as it says."""
    from litellm.types.utils import all_litellm_params, is_litellm_owned_kwarg

    for name in names:
        listed = name in all_litellm_params or is_litellm_owned_kwarg(name)
        if listed or name.startswith("mock_") or name.endswith("drop_params"):
            raise FatalError(f"extra: {name!r} is a setting of litellm, and no parameter of a model: leave it out")


@functools.cache
def _names() -> frozenset[str]:
    package = importlib.util.find_spec("litellm")  # finds it without importing it
    assert package is not None and package.origin is not None, "litellm is a dependency"
    listed = json.loads((Path(package.origin).parent / _FILE).read_bytes())
    return frozenset(map(str.lower, listed))  # litellm compares without case
