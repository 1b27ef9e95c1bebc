"""Python looks for cyclic garbage seldom while calls are in flight, and never less than a process's memory needs."""

from __future__ import annotations

import gc
import weakref

import pytest

from paretune import collecting
from paretune.collecting import collect_if_grown, seldom_collecting


class Node:
    """Something that may hold itself."""

    def __init__(self) -> None:
        self.own = self


def test_the_collector_rests_inside_the_outermost_block() -> None:
    """It is back after the last of several blocks, also where one raises; where it was off it stays off."""
    with seldom_collecting():
        with pytest.raises(ZeroDivisionError), seldom_collecting():
            raise ZeroDivisionError
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with seldom_collecting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_cycles_are_found_where_the_process_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 512 MiB more than at the start nothing is looked for, and above that once until it has grown so again."""
    size = 1_000.0
    monkeypatch.setattr(collecting, "_peak_mb", lambda: size)

    def is_found(grown: float) -> bool:
        nonlocal size
        size += grown
        garbage = weakref.ref(Node())
        collect_if_grown()
        return garbage() is None

    with seldom_collecting():
        assert [is_found(grown) for grown in (0, 400, 113, 0, 511, 2)] == [False, False, True, False, False, True]
