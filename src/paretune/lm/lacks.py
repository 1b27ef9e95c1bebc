"""What a model is known to lack before it is asked anything: a chat, or the continuation of a text."""

from __future__ import annotations

import weakref

from paretune.files import digest
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Backend

__all__ = ["find_lack"]

#: What was found out in this process, by whether a text is continued.
_found: weakref.WeakKeyDictionary[Backend, dict[bool, str | None]] = weakref.WeakKeyDictionary()


async def find_lack(backend: Backend, ledger: Ledger, form: str) -> str | None:
    """Why a model cannot be asked in a form (a ``structured_output``); None where it can, or nobody knows.

    What is found out is remembered in the ledger. Each process asks a server again for what it lacked; while that does
    not answer, what it said last holds.
    """
    lacks, continues = getattr(backend, "lacks", None), form == "completion"
    if lacks is None:  # a backend need not know
        return None
    found = _found.setdefault(backend, {})
    if continues not in found:
        identity = backend.identity()
        key = digest({"lacks": "text completion" if continues else "chat", "by": identity})
        reason: str | None = ledger.fact(key)
        if reason is None or (reason and identity["endpoint"]):
            answer = await lacks(text_completion=continues)
            reason = reason if answer is None else ledger.remember(key, answer, again=True)
        found[continues] = reason or None
    return found[continues]
