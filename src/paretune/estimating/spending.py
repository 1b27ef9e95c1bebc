"""What calls come to: tokens, dollars, time, and whether a budget suffices; what is not known is a range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paretune.estimating.earlier_calls import LedgerView
from paretune.lm.backends.recorded import RecordedBackend
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.budget import Budget
from paretune.lm.types import Answer, Pricing

__all__ = ["Limit", "ModelShare", "Range", "Spending", "Tally", "added", "chosen", "limits", "spending"]

#: What is taken of each language model, by name; under "" that of all together. Each is an array of 4 x 2, from the
#: least to the most: calls, tokens of prompts, tokens of replies, and turns (how often a call's latency passes, with
#: others at the same time).
Tally = Mapping[str, NDArray[np.float64]]

_NOTHING = np.zeros((4, 2))


def added(tallies: Iterable[Tally]) -> dict[str, NDArray[np.float64]]:
    """The sum of some tallies."""
    total: dict[str, NDArray[np.float64]] = {}
    for tally in tallies:
        for name, take in tally.items():
            total[name] = total.get(name, _NOTHING) + take
    return total


def chosen(tallies: Iterable[Tally], count: int = 1) -> dict[str, NDArray[np.float64]]:
    """What is taken when ``count`` of the tallies come true, nobody knows which; where there are not so many, some come
    true again."""
    listed = list(tallies)
    total = {}
    for name in {name for tally in listed for name in tally}:
        takes = np.sort([tally.get(name, _NOTHING) for tally in listed], axis=0)
        lows, highs = takes[..., 0], takes[::-1, :, 1]
        if count > len(listed):
            lows, highs = lows[:1] * count, highs[:1] * count
        total[name] = np.stack([lows[:count].sum(axis=0), highs[:count].sum(axis=0)], axis=1)
    return total


@dataclass(frozen=True)
class Range:
    """A number that is known to lie between two."""

    low: float
    high: float

    @classmethod
    def of(cls, pair: ArrayLike) -> Range:
        """From the least and the most; whole numbers are ints."""
        low, high = (int(value) if value.is_integer() else value for value in np.asarray(pair, float).tolist())
        return cls(low, high)

    @property
    def exact(self) -> bool:
        """Whether the number is known."""
        return self.low == self.high


@dataclass(frozen=True)
class ModelShare:
    """What one language model would be asked. ``usd`` is None where its price is unknown, ``seconds`` where no earlier
    call tells how long one takes and no limit a minute holds them back; ``seen``: so many calls in the ledger tell.
    ``fault`` says what is odd about the name: it may be mistyped."""

    model: str
    calls: Range
    prompt_tokens: Range
    completion_tokens: Range
    usd: Range | None
    seconds: Range | None
    seen: int
    fault: str | None = None


@dataclass(frozen=True)
class Limit:
    """A limit of the budget, what its account has spent, and whether the rest suffices (None: perhaps)."""

    name: str
    limit: float
    spent: float
    suffices: bool | None


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What some calls would take, over all language models (one after the other) and by model; None is unknown.
    ``recorded``: so many replies are looked up instead, which takes nothing."""

    calls: Range
    tokens: Range
    usd: Range | None
    seconds: Range | None
    models: tuple[ModelShare, ...]
    recorded: Range

    def as_json(self) -> dict[str, Any]:
        """The numbers as JSON values; a range is ``{"low": …, "high": …}``."""
        return asdict(self)


def spending(tally: Tally, models: Mapping[str, LanguageModel], view: LedgerView) -> Spending:
    """What a tally comes to; the price of a model that is not asked is not looked up."""
    asked = {
        name: take
        for name, take in sorted(tally.items())
        if name and not isinstance(models[name].backend, RecordedBackend)
    }
    shares = tuple(_share(models[name], take, view) for name, take in asked.items())
    whole = tally.get("", _NOTHING)
    looked_up = sum((take for name, take in tally.items() if name and name not in asked), _NOTHING)
    looked_up = np.minimum(looked_up, whole[:, 1:]) if asked else whole  # which of the models it is may be open
    calls, prompts, completions, _ = np.maximum(whole - looked_up[:, ::-1], 0) if asked else _NOTHING
    return Spending(
        calls=Range.of(calls),
        tokens=Range.of(prompts + completions),
        usd=_sum([share.usd for share in shares]),
        seconds=_sum([share.seconds for share in shares]),
        models=shares,
        recorded=Range.of(looked_up[0]),
    )


def limits(budget: Budget | None, taken: Spending, held: int) -> tuple[Limit, ...]:
    """What a budget says to the calls that the ledger does not hold; nothing where nobody knows what it has spent."""
    spent = None if budget is None else LedgerView(budget.ledger).spent(budget.account)
    if budget is None or spent is None:
        return ()
    share = 1 - held / taken.calls.high if taken.calls.high else 0.0
    usd = Range(0, float("inf")) if taken.usd is None else taken.usd
    needs = {
        "calls": (taken.calls.low - held, taken.calls.high - held),
        "tokens": (taken.tokens.low * share, taken.tokens.high * share),
        "usd": (usd.low * share, usd.high * share),
    }
    found = []
    for name, limit in budget.caps.items():
        if limit is not None:
            (low, high), used = needs[name], spent.get(name, 0)
            suffices = True if high <= limit - used else False if low > limit - used else None
            found.append(Limit(name, limit, used, suffices))
    return tuple(found)


def _share(model: LanguageModel, take: NDArray[np.float64], view: LedgerView) -> ModelShare:
    calls, prompts, completions, turns = take
    price, seen = model.price(), view.experience(model.model).get("")
    times = [] if seen is None else [turns * seen.latency_s]
    if model.requests_per_minute is not None:
        times.append(calls * 60 / model.requests_per_minute)
    if model.tokens_per_minute is not None:
        times.append((prompts + completions) * 60 / model.tokens_per_minute)
    return ModelShare(
        model=model.model,
        calls=Range.of(calls),
        prompt_tokens=Range.of(prompts),
        completion_tokens=Range.of(completions),
        usd=None if price is None else Range.of([_dollars(price, *end) for end in take.T[:, :3]]),
        fault=model.name_fault(),
        seconds=Range.of(np.max(times, axis=0)) if times else None,
        seen=0 if seen is None else seen.calls,
    )


def _dollars(price: Pricing, calls: float, prompt_tokens: float, completion_tokens: float) -> float:
    """What so many calls of the same length cost, none of them with a cached prompt."""
    if not calls:
        return 0.0
    mean: tuple[Any, Any] = (prompt_tokens / calls, completion_tokens / calls)  # no whole numbers
    return calls * price.cost(Answer("", *mean))


def _sum(parts: list[Range | None]) -> Range | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Range(sum(part.low for part in known), sum(part.high for part in known))
