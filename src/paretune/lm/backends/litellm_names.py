"""Which models litellm knows, and what they cost, from its list alone: importing litellm takes seconds."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from paretune.errors import FatalError
from paretune.lm.backends.litellm_errors import load_litellm

__all__ = ["check_extra", "contains_listed", "entry_of", "is_known", "name_fault"]

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


def entry_of(model: str) -> Mapping[str, Any] | None:
    """The provider (``litellm_provider``) and the prices that the list has of a model; None where it lists none."""
    registered = getattr(sys.modules.get("litellm"), "model_cost", {}).get(model)
    if registered is not None:
        return _prices_in(registered)
    if model in _list():
        return _list()[model]
    provider, _, name = model.partition("/")
    listed = _list().get(name, {})
    return listed if re.match(rf"{re.escape(provider)}\b|{re.escape(provider)}_", _provider(listed)) else None


def contains_listed(model: str) -> bool:
    """Whether a listed name is part of this one."""
    return any(name.rpartition("/")[2] in model.lower() for name in _names())


def name_fault(model: str) -> str | None:
    """What is odd about a name that litellm does not list: no such provider, or another name is very like it."""
    provider, slash, name = model.partition("/")
    ruled = provider in ("openai", "azure") and _RULED.search(name.lower())
    if entry_of(model) is not None or model.lower() in _names() or ruled:
        return None
    near = difflib.get_close_matches(model, _full_names() if slash else list(_names()), n=2, cutoff=0.75)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    if not slash:
        return f"litellm lists no model {model!r}, and calls none without a provider{hint or ' (openai/…)'}"
    if not _is_provider(provider):
        return f"litellm knows no provider {provider!r} (of {model!r}){hint}"
    return f"litellm lists no model {model!r}{hint}" if near else None


@functools.cache
def _names() -> frozenset[str]:
    return frozenset(map(str.lower, _list()))  # litellm compares without case


@functools.cache
def _full_names() -> list[str]:
    """Each listed model as it is called, with its provider."""
    names = {name if "/" in name else f"{_provider(entry)}/{name}" for name, entry in _list().items()}
    return sorted(names)


def _is_provider(name: str) -> bool:
    if any(name in (_provider(entry), model.partition("/")[0]) for model, entry in _list().items()):
        return True
    load_litellm()  # an import of its own would fetch a list of prices
    from litellm.types.utils import LlmProviders

    return name in {provider.value for provider in LlmProviders}


def _provider(entry: Mapping[str, Any]) -> str:
    return entry.get("litellm_provider") or ""


@functools.cache
def _list() -> dict[str, dict[str, Any]]:
    package = importlib.util.find_spec("litellm")  # finds it without importing it
    assert package is not None and package.origin is not None, "litellm is a dependency"
    listed = json.loads((Path(package.origin).parent / _FILE).read_bytes())
    return {name: _prices_in(entry) for name, entry in listed.items()}


def _prices_in(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in entry.items()
        if value is not None and ("cost" in name or "pric" in name or name == "litellm_provider")
    }
