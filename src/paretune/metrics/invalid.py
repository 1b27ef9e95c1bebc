"""Invalid outputs in words: how many there are of each kind, and what can be done about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from paretune.metrics.outcome import InvalidKind, Outcome

__all__ = ["invalid_kinds", "invalid_line", "invalid_shares", "invalid_warning"]

_LOOK = "read them with `paretune calls --invalid`"
#: What helps against each kind, in the order in which kinds are listed.
_CURES: dict[InvalidKind, str] = {
    "cut_off": "replies ended at the limit of tokens: raise max_tokens, or lower reasoning_effort",
    "refused": f"the model, or its provider, refused: {_LOOK}, and change the instructions or the model",
    "filtered": "the provider's filter held replies back: change its settings, or the model",
    "empty": f"replies had no text: {_LOOK}, and try another structured_output or model",
    "malformed": f"replies did not have the form that was asked for: {_LOOK}, and try another structured_output",
}


def invalid_kinds(outcomes: Sequence[Outcome]) -> list[InvalidKind]:
    """The kinds that occur among some outcomes."""
    found = {outcome.kind for outcome in outcomes}
    return [kind for kind in _CURES if kind in found]


def invalid_shares(outcomes: Sequence[Outcome]) -> dict[InvalidKind, float]:
    """The share of each kind that occurs, of all outcomes that are no failures, as in ``invalid_rate``."""
    answered = sum(outcome.status != "failed" for outcome in outcomes)
    counts = Counter(outcome.kind for outcome in outcomes)
    return {kind: counts[kind] / answered for kind in invalid_kinds(outcomes)}


def invalid_line(outcomes: Sequence[Outcome]) -> str:
    """``invalid: 80% cut off, 5% malformed``; an empty text where every output is valid."""
    listed = [f"{share:.0%} {kind.replace('_', ' ')}" for kind, share in invalid_shares(outcomes).items()]
    return f"invalid: {', '.join(listed)}" if listed else ""


def invalid_warning(outcomes: Sequence[Outcome], examples: str) -> str | None:
    """What to say of a winner without a valid output for half of its ``examples`` (``"test examples"``) or more; else
    None."""
    shares = invalid_shares(outcomes)
    if sum(shares.values()) < 0.5:
        return None
    count = sum(outcome.status == "invalid" for outcome in outcomes)
    lines = [
        f"WARNING: the winner gave no valid answer for {count} of {len(outcomes)} {examples}: its scores say little"
    ]
    lines += [f"  {share:.0%} {kind.replace('_', ' ')}: {_CURES[kind]}" for kind, share in shares.items()]
    return "\n".join(lines)
