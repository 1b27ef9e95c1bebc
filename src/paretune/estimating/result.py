"""An estimate: its numbers, and the lines in which people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from paretune.estimating.spending import Limit, ModelShare, Range, Spending

__all__ = ["Estimate", "spending_text"]

#: A line is a subject of so many characters, and what is said of it.
_WIDTH = 15


@dataclass(frozen=True, kw_only=True)
class Estimate(Spending):
    """What a search would still take.

    ``trials`` in a space of so many configurations (None: no finite number), ``finished`` of them before; ``epochs``
    and ``replicates`` of each. Calls, tokens, dollars and seconds are those of the trials that are left, if every reply
    is valid and the ledger held none; it holds at least ``held`` of them. ``budget`` tells of each declared limit
    whether it suffices.
    """

    trials: int
    finished: int
    space: int | None
    epochs: Range
    replicates: int
    held: int
    budget: tuple[Limit, ...] = ()

    def __str__(self) -> str:
        """One line a subject: what it is about, then what is said of it."""
        return "\n".join(f"{subject:<{_WIDTH}}{text}" for subject, text in _lines(self))


def _lines(estimate: Estimate) -> Iterator[tuple[str, str]]:
    yield "trials", _trials(estimate)
    if estimate.recorded.high:
        yield "recorded", _recorded(estimate)
    if not estimate.calls.high:
        if not estimate.recorded.high:
            yield "calls", "none are left"
        return
    yield "calls", _calls(estimate.calls)
    if estimate.held:
        yield "in the ledger", f"at least {estimate.held:,} of these calls, which cost nothing"
    for share in estimate.models:
        if len(estimate.models) > 1:
            yield "", f"{_span(share.calls, _whole)} calls of {share.model}"
        yield "tokens", _tokens(share)
    yield from (("model", share.fault) for share in estimate.models if share.fault)
    yield "dollars", _dollars(estimate) + (" without the ledger" if estimate.held else "")
    if estimate.seconds is not None:
        yield "time", _about(estimate.seconds, _duration)
    else:
        slow = ", ".join(share.model for share in estimate.models if share.seconds is None)
        yield "time", f"unknown: no earlier call of {slow}"
    for limit in estimate.budget:
        if limit.suffices is not True:
            yield "budget", _budget(limit)


def spending_text(taken: Spending) -> str:
    """Calls and dollars in one line."""
    if taken.recorded.high and not taken.calls.high:
        return _recorded(taken)
    return f"{_calls(taken.calls)} calls, {_dollars(taken)}"


def _recorded(taken: Spending) -> str:
    return f"{_span(taken.recorded, _whole)} replies, which are looked up: nothing is sent"


def _trials(estimate: Estimate) -> str:
    space = (
        ""
        if estimate.space is None
        else f" in a space of {estimate.space:,} configuration{'s' * (estimate.space != 1)}"
    )
    before = f", {estimate.finished:,} of them finished" if estimate.finished else ""
    epochs = _span(estimate.epochs, _whole)
    times = f" x {estimate.replicates} replicates" if estimate.replicates > 1 else ""
    return f"{estimate.trials:,}{space}{before}; {epochs} epoch{'' if epochs == '1' else 's'} each{times}"


def _calls(calls: Range) -> str:
    return _span(calls, _whole) + ("" if calls.exact else " (results decide)")


def _tokens(share: ModelShare) -> str:
    told = f"from {share.seen:,} calls" if share.seen else "guessed"
    prompts, replies = (_about(tokens, _short) for tokens in (share.prompt_tokens, share.completion_tokens))
    return f"prompts {prompts}, replies {replies} ({told})"


def _dollars(taken: Spending) -> str:
    known = [share.usd for share in taken.models if share.usd is not None]
    low, high = sum(usd.low for usd in known), sum(usd.high for usd in known)
    parts = [_span(Range(low, high), _amount)] if known else []
    return "; ".join(parts + [f"price unknown: {share.model}" for share in taken.models if share.usd is None])


def _budget(limit: Limit) -> str:
    sure = "does not cover this: the search would stop there, unless the ledger holds more"
    verdict = sure if limit.suffices is False else "may not cover this"
    spent = f", of which {limit.spent:g} are spent," if limit.spent else ""
    return f"{limit.name}={limit.limit:g}{spent} {verdict}"


def _span(value: Range, text: Callable[[float], str]) -> str:
    low, high = text(value.low), text(value.high)
    return low if low == high else f"{low} – {high}"


def _about(value: Range, text: Callable[[float], str]) -> str:
    span = _span(value, text)
    return span if "–" in span else f"about {span}"


def _whole(count: float) -> str:
    return f"{count:,.0f}"


def _short(count: float) -> str:
    if count < 1000:
        return f"{count:.0f}"
    return f"{count / 1000:.3g} k" if count < 999_500 else f"{count / 1e6:.3g} M"


def _amount(usd: float) -> str:
    return "$0" if not usd else f"${usd:.4f}" if usd < 1 else f"${usd:,.2f}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
