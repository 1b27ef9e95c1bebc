"""An estimate as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paretune.tuners.tally import Range

if TYPE_CHECKING:
    from paretune.tuners.estimate import Estimate
    from paretune.tuners.spending import Limit, ModelShare

__all__ = ["calls_text", "lines_of", "spending_text", "usd_text"]

_WIDTH = 13


def lines_of(estimate: Estimate) -> list[str]:
    """One line a subject: what it is about, then what is said of it."""
    lines = [_line("trials", _trials(estimate))]
    if not estimate.calls.high:
        return [*lines, _line("calls", "none are left")]
    lines.append(_line("calls", calls_text(estimate.calls)))
    if estimate.held:
        lines.append(_line("in the ledger", f"at least {estimate.held:,} of these calls, which cost nothing"))
    for share in estimate.models:
        whose = f"{share.model}, {_whole(share.calls)} calls: " if len(estimate.models) > 1 else ""
        lines.append(_line("tokens", whose + _tokens(share)))
    lines.append(_line("dollars", "; ".join(_dollars(estimate)) + (" without the ledger" if estimate.held else "")))
    lines.append(_line("time", _time(estimate)))
    lines += [_line("budget", _budget(limit)) for limit in estimate.budget if limit.suffices is not True]
    return lines


def _line(subject: str, text: str) -> str:
    return f"{subject:<{_WIDTH}}  {text}"


def _trials(estimate: Estimate) -> str:
    space = "" if estimate.space is None else f" in a space of {estimate.space:,} configurations"
    before = f", {estimate.finished:,} of them finished" if estimate.finished else ""
    epochs = _whole(estimate.epochs)
    times = f" x {estimate.replicates} replicates" if estimate.replicates > 1 else ""
    return f"{estimate.trials:,}{space}{before}; {epochs} epoch{'' if epochs == '1' else 's'} each{times}"


def calls_text(calls: Range) -> str:
    """How many calls, and whether that is exact."""
    return f"{_whole(calls)}{'' if calls.exact else ' (results decide)'}"


def _tokens(share: ModelShare) -> str:
    told = f"as {share.seen:,} earlier calls took" if share.seen else "judged from the prompts' characters"
    prompt, completion = share.prompt_tokens, share.completion_tokens
    return f"{_about(prompt)} in prompts, {_about(completion)} in replies ({told})"


def _dollars(estimate: Estimate) -> list[str]:
    known = [share.usd for share in estimate.models if share.usd is not None]
    parts = [usd_text(sum(known, Range(0, 0)))] if known else []
    return parts + [f"price unknown: {share.model}" for share in estimate.models if share.usd is None]


def usd_text(usd: Range) -> str:
    """An amount of dollars."""
    low, high = (_amount(usd.low), _amount(usd.high))
    return low if low == high else f"{low} – {high}"


def _amount(usd: float) -> str:
    return "$0" if not usd else f"${usd:.4f}" if usd < 1 else f"${usd:,.2f}"


def spending_text(calls: Range, usd: Range | None) -> str:
    """Calls and dollars in one line."""
    return f"{calls_text(calls)} calls" + ("" if usd is None else f", {usd_text(usd)}")


def _time(estimate: Estimate) -> str:
    if estimate.seconds is None:
        slow = ", ".join(share.model for share in estimate.models if share.seconds is None)
        return f"unknown: the ledger has no call of {slow} yet"
    low, high = _duration(estimate.seconds.low), _duration(estimate.seconds.high)
    return f"about {low}" if low == high else f"{low} – {high}"


def _budget(limit: Limit) -> str:
    verdict = "cannot cover this: the search will stop" if limit.suffices is False else "may not cover this"
    spent = f", of which {limit.spent:g} are spent," if limit.spent else ""
    return f"{limit.name}={limit.limit:g}{spent} {verdict}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _whole(value: Range) -> str:
    low, high = f"{value.low:,.0f}", f"{value.high:,.0f}"
    return low if low == high else f"{low} – {high}"


def _about(tokens: Range) -> str:
    low, high = _short(tokens.low), _short(tokens.high)
    return f"about {low}" if low == high else f"{low} – {high}"


def _short(count: float) -> str:
    if count < 1000:
        return f"{count:.0f}"
    return f"{count / 1000:.3g} k" if count < 999_500 else f"{count / 1e6:.3g} M"
