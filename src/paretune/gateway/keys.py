"""Who calls: the keys that programs are given, and the run of an example on whose behalf each one calls just now."""

from __future__ import annotations

import contextvars
import hashlib
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paretune.errors import BudgetError, ConfigError, ParetuneError
from paretune.files import canonical_json
from paretune.lm.passing import passed
from paretune.lm.types import Reply, Request
from paretune.prompting.trace import current_sample

__all__ = ["Key", "Keys", "Run"]


@dataclass
class Run:
    """One run of a program on an example, or (with ``draws`` false) a client that is not told from its next start.

    Calls are made in ``context``: it says who asks, which replicate and epoch, and under which budget. ``replies`` are
    those of its calls; ``error`` is that of the last call where that failed, and one that holds for all calls stays.
    """

    module: str = "gateway"
    draws: bool = True
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    replies: list[Reply] = field(default_factory=list)
    error: ParetuneError | None = None
    _counts: Counter[str] = field(default_factory=Counter)

    def request(self, path: str, model: str, fields: Mapping[str, Any], retried: bool = False) -> Request:
        """The request of a body.

        The n-th equal one of a run is a sample of its own where the model draws, so that a vote of five asks five
        times; at temperature 0, with a seed, and for embeddings it is the same question. One that the client
        ``retried`` is no further one.
        """
        sample = self.context.run(current_sample)
        draw = 0
        if self.draws and path != "/embeddings" and fields.get("temperature") != 0 and fields.get("seed") is None:
            same = hashlib.sha256(canonical_json([path, model, passed(path, fields).body]).encode()).hexdigest()
            self._counts[same] += 0 if retried and self._counts[same] else 1
            draw = self._counts[same] - 1
        return passed(path, fields, replicate=sample.replicate, epoch=sample.epoch, draw=draw)

    def succeeded(self, reply: Reply) -> None:
        """Note the reply of a call."""
        if self.draws:  # else it never ends
            self.replies.append(reply)
        if self.error is not None and not _holds_for_all(self.error):
            self.error = None

    def failed(self, error: ParetuneError) -> None:
        """Note the error of a call."""
        if self.error is None or not _holds_for_all(self.error):
            self.error = error

    @property
    def must_fail(self) -> bool:
        """Whether no answer may count: no more calls can be made, or none that was made succeeded."""
        return self.error is not None and (not self.replies or _holds_for_all(self.error))


def _holds_for_all(error: ParetuneError) -> bool:
    return isinstance(error, BudgetError | ConfigError)


@dataclass
class Key:
    """A random text that a client is known by; ``run`` is None while it may not call."""

    text: str
    run: Run | None = None


class Keys:
    """The keys that are known. Nothing else lets anyone in."""

    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}

    def issue(self, run: Run | None = None, text: str | None = None) -> Key:
        """A new key; ``text`` where it was chosen elsewhere."""
        key = Key(text or f"sk-paretune-{secrets.token_hex(24)}", run)
        self._keys[key.text] = key
        return key

    def revoke(self, key: Key) -> None:
        """Forget a key: its next call is refused."""
        self._keys.pop(key.text, None)

    def run_of(self, header: str) -> Run | None:
        """The run that the header Authorization stands for; None where there is none."""
        kind, _, text = header.partition(" ")
        key = self._keys.get(text.strip()) if kind.lower() == "bearer" else None
        return None if key is None else key.run
