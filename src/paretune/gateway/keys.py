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
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.attribution import Caller, attributed_to
from paretune.lm.passing import passed
from paretune.lm.types import Reply, Request
from paretune.prompting.trace import Sample, current_sample, tracing

__all__ = ["Key", "Keys", "Run"]


@dataclass
class Run:
    """One run of a program on an example, or (with ``draws`` false) a client that is not told from its next start.

    Calls are made in ``context``: it says who asks, which replicate and epoch, and under which budget. ``answered``
    counts those that succeeded, ``replies`` are those of a run that is ``judged``; ``error`` is that of the last call
    where that failed, and one that holds for all calls stays.
    """

    module: str = "gateway"
    draws: bool = True
    #: Whether somebody will tell by ``end`` what came of it.
    judged: bool = False
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    replies: list[tuple[LanguageModel, Reply]] = field(default_factory=list)
    answered: int = 0
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

    def succeeded(self, model: LanguageModel, reply: Reply) -> None:
        """Take the reply of a call. Where nobody waits to judge what came of it, the ledger notes at once who asked."""
        self.answered += 1
        if self.judged:
            self.replies.append((model, reply))
        else:
            self._note(model, reply, valid=True)
        if self.error is not None and not _holds_for_all(self.error):
            self.error = None

    def end(self, valid: bool) -> None:
        """Note who asked, and whether the program's answer was a valid record."""
        self.judged = False
        for model, reply in self.replies:
            self._note(model, reply, valid)

    def _note(self, model: LanguageModel, reply: Reply, valid: bool) -> None:
        replicate = self.context.run(current_sample).replicate
        self.context.run(model.ledger.note, reply, self.module, valid=valid, replicate=replicate)

    def failed(self, error: ParetuneError) -> None:
        """Note the error of a call."""
        if self.error is None or not _holds_for_all(self.error):
            self.error = error

    @property
    def must_fail(self) -> bool:
        """Whether no answer may count: no more calls can be made, or none that was made succeeded."""
        return self.error is not None and (not self.answered or _holds_for_all(self.error))


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

    def issue_for(self, run: Run, who: Mapping[str, Any]) -> Key:
        """A new key for another run in the name of a client: ``who`` has ``search``, ``trial`` and ``example`` (texts),
        ``replicate`` and ``epoch`` (whole numbers); what is left out is as in ``run``. Raises ValueError for others."""
        if unknown := set(who) - {*Caller._fields, "replicate", "epoch"}:
            raise ValueError(f"no {min(unknown)!r} is known of a run")
        names = {name: str(who[name]) for name in Caller._fields if name in who}
        before = run.context.run(current_sample)
        numbers = {name: who.get(name, getattr(before, name)) for name in ("replicate", "epoch")}
        if not all(type(number) is int and 0 <= number < 2**31 for number in numbers.values()):
            raise ValueError("replicate and epoch must be whole numbers of at least 0")

        def issue() -> Key:
            with attributed_to(**names), tracing(Sample(**numbers)):
                return self.issue(Run(run.module))

        return run.context.copy().run(issue)

    def revoke(self, key: Key) -> None:
        """Forget a key: its next call is refused."""
        self._keys.pop(key.text, None)

    def find(self, header: str) -> Key | None:
        """The key in a header Authorization; None for one that is not known, or stands for no run."""
        kind, _, text = header.partition(" ")
        key = self._keys.get(text.strip()) if kind.lower() == "bearer" else None
        return key if key is not None and key.run is not None else None
