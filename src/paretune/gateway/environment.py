"""What a program finds in its environment: where its language models are and the key for that, and no other's keys."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

__all__ = ["client_environment"]

_LOOPBACK = "127.0.0.1,localhost"
#: How variables are called that hold what providers are paid by.
_KEY = re.compile(
    r"(_API_KEY|_API_TOKEN|_ACCESS_TOKEN|_ACCESS_KEY|_ACCESS_KEY_ID|_SESSION_TOKEN|_GATEWAY_KEY|^HF_TOKEN|^PGPASSWORD|^PARETUNE_LEDGER)$"
)


def client_environment(
    address: str, key: str, *, secrets: Collection[str] = (), kept: Collection[str] = ()
) -> dict[str, str]:
    """This process's environment for one that calls the gateway at ``address`` with ``key``.

    It lacks the variables that are called like keys of providers (NAME_API_KEY and the like), and those named in
    ``secrets``, but for those ``kept``.
    """
    hidden = {name for name in os.environ if _KEY.search(name)} | set(secrets)
    own = {name: value for name, value in os.environ.items() if name not in hidden - set(kept)}
    direct = {name: ",".join(filter(None, (own.get(name), _LOOPBACK))) for name in ("NO_PROXY", "no_proxy")}
    return {**own, **direct, "OPENAI_BASE_URL": address, "OPENAI_API_BASE": address, "OPENAI_API_KEY": key}
