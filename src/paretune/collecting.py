"""When Python looks for cyclic garbage: seldom while many calls are in flight."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Iterator

__all__ = ["collect_if_grown", "seldom_collecting"]

_GROWTH_MB = 512.0
_lock = threading.Lock()
#: How many blocks are open, whether Python looks for cycles outside of them, and at how many MiB inside.
_blocks, _was_enabled, _most = 0, True, 0.0


@contextlib.contextmanager
def seldom_collecting() -> Iterator[None]:
    """Python does not look for cycles inside the block, but for where the process grows (see ``collect_if_grown``).

    With a thousand calls in flight there are half a million objects. To look through them takes a third of a second,
    each time, and finds nothing: what a call leaves behind has no cycles.
    """
    global _blocks, _was_enabled, _most
    with _lock:
        if not _blocks:
            _was_enabled, _most = gc.isenabled(), _peak_mb() + _GROWTH_MB
            gc.disable()
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks and _was_enabled:
                gc.enable()


def collect_if_grown() -> None:
    """Look for cycles inside a block of ``seldom_collecting`` where the process has grown by 512 MiB: code of the
    user's own may leave some."""
    global _most
    if _was_enabled and _peak_mb() > _most:
        gc.collect()
        _most = _peak_mb() + _GROWTH_MB


def _peak_mb() -> float:
    """The most memory that this process has had, in MiB; where the system does not tell, what objects take now."""
    if sys.platform == "win32":
        return sys.getallocatedblocks() * 80 / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
