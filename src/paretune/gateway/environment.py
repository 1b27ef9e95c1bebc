"""What a program finds in its environment: where its language models are and the key for that, and no other's keys."""

from __future__ import annotations

import os
from collections.abc import Collection

__all__ = ["client_environment"]

_LOOPBACK = "127.0.0.1,localhost"


def client_environment(
    address: str, key: str, *, secrets: Collection[str] = (), kept: Collection[str] = ()
) -> dict[str, str]:
    """This process's environment for one that calls the gateway at ``address`` with ``key``.

    It lacks the variables that end with _API_KEY and those named in ``secrets``, but for those ``kept``.
    """
    hidden = {name for name in os.environ if name.endswith("_API_KEY")} | set(secrets)
    own = {name: value for name, value in os.environ.items() if name not in hidden - set(kept)}
    direct = {name: ",".join(filter(None, (own.get(name), _LOOPBACK))) for name in ("NO_PROXY", "no_proxy")}
    return {**own, **direct, "OPENAI_BASE_URL": address, "OPENAI_API_BASE": address, "OPENAI_API_KEY": key}
