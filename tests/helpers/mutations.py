"""Random changes of a tree of mappings and lists."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

__all__ = ["Changes", "Place", "at", "changed", "changes_of", "places"]

Place = tuple[Any, ...]
Changes = Sequence[tuple[str, Place, Any]]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Each place in a tree of mappings and lists, the root aside."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*place, key)
        yield from places(item, (*place, key))


def at(value: Any, place: Place) -> Any:
    """What stands at a place."""
    for key in place:
        value = value[key]
    return value


def changes_of(known: Sequence[Place], values: st.SearchStrategy[Any], *, least: int = 1) -> st.SearchStrategy[Changes]:
    """At most three changes: a value is replaced (mostly), removed, or added."""
    how = st.sampled_from(["set", "set", "set", "remove", "add"])
    return st.lists(st.tuples(how, st.sampled_from(known), values), min_size=least, max_size=3)


def changed(tree: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """A copy with the changes; one whose place an earlier one took away is passed over."""
    tree = copy.deepcopy(tree)
    for how, place, value in changes:
        try:
            parent = at(tree, place[:-1])
            if how == "set":
                parent[place[-1]] = copy.deepcopy(value)
            elif how == "remove":
                del parent[place[-1]]
            else:
                parent[place[-1]][str(value)[:10] or "nosuch"] = copy.deepcopy(value)
        except (LookupError, TypeError):
            continue
    return tree
