"""How many connections this process may have open: systems allow 256 or 1,024 files at first, and more when asked."""

from __future__ import annotations

import sys

from paretune.errors import ConfigError

__all__ = ["allow_connections"]

#: No process here needs more, and asking for the largest number of all fails on some systems.
_MOST = 65_536
#: Files that are no connections: the ledger's, libraries, data.
_OTHERS = 200


def allow_connections(count: int) -> None:
    """Have this process allowed so many connections at once, where its first limit is not well above that.

    Raises ConfigError where they are too many.
    """
    if sys.platform == "win32":  # has no such limit
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < allowed and soft < 2 * (count + _OTHERS):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if count + _OTHERS > max(soft, allowed):
        raise ConfigError(
            f"concurrency={count} needs {count + _OTHERS} open files at once, and this process may have {allowed}: "
            "lower the concurrency, or raise the limit (ulimit -Hn) and run again"
        )
