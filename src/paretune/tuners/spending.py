"""What calls come to: tokens, dollars, time, and whether a budget suffices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from paretune.lm.budget import Budget
from paretune.lm.language_model import LanguageModel
from paretune.lm.rehearsal import LedgerView
from paretune.tuners.tally import Range, Take, Tally

__all__ = ["Limit", "ModelShare", "Spending", "limits", "spending"]


@dataclass(frozen=True)
class ModelShare:
    """What one language model would be asked. ``usd`` is None where its price is unknown, ``seconds`` where no earlier
    call tells how long one takes and no limit a minute holds them back; ``seen``: so many calls in the ledger tell."""

    model: str
    calls: Range
    prompt_tokens: Range
    completion_tokens: Range
    usd: Range | None
    seconds: Range | None
    seen: int


@dataclass(frozen=True)
class Limit:
    """A limit of the budget, what its account has spent, and whether the rest suffices (None: perhaps)."""

    name: str
    limit: float
    spent: float
    suffices: bool | None


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What some calls would take, over all language models and by model."""

    calls: Range
    models: tuple[ModelShare, ...]

    @property
    def usd(self) -> Range | None:
        """Dollars over all models; None where one's price is unknown."""
        return _summed([share.usd for share in self.models])

    @property
    def tokens(self) -> Range:
        """Tokens of prompts and replies over all models."""
        parts = [part for share in self.models for part in (share.prompt_tokens, share.completion_tokens)]
        return sum(parts, Range(0, 0))

    @property
    def seconds(self) -> Range | None:
        """Time over all models, one after the other; None where one's is unknown."""
        return _summed([share.seconds for share in self.models])

    def as_json(self) -> dict[str, Any]:
        """The numbers as JSON values; a range is ``{"low": …, "high": …}``."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.repr}
        numbers: dict[str, Any] = _plain({**own, "tokens": self.tokens, "usd": self.usd, "seconds": self.seconds})
        return numbers


def spending(tally: Tally, models: Mapping[str, LanguageModel], view: LedgerView) -> Spending:
    """What a tally comes to; the price of a model that is not asked is not looked up."""
    shares = tuple(_share(models[name], take, view) for name, take in sorted(tally.items()) if name)
    return Spending(calls=tally[""].calls if "" in tally else Range(0, 0), models=shares)


def limits(budget: Budget | None, taken: Spending, held: int) -> tuple[Limit, ...]:
    """What a budget says to the calls that the ledger does not hold."""
    if budget is None:
        return ()
    share = 1 - held / taken.calls.high if taken.calls.high else 0.0
    needs = {"calls": taken.calls + Range(-held, -held), "tokens": taken.tokens.times(share)}
    if taken.usd is not None:
        needs["usd"] = taken.usd.times(share)
    spent = LedgerView(budget.ledger.path).spent(budget.account)
    found = []
    for name, limit in budget.caps.items():
        if limit is not None:
            need = needs.get(name, Range(0, float("inf")))
            rest = limit - spent.get(name, 0)
            suffices = True if need.high <= rest else False if need.low > rest else None
            found.append(Limit(name, limit, spent.get(name, 0), suffices))
    return tuple(found)


def _share(model: LanguageModel, take: Take, view: LedgerView) -> ModelShare:
    price, tokens = model.price(), take.prompt_tokens + take.completion_tokens
    usd = None
    if price is not None:
        usd = take.prompt_tokens.times(price.prompt / 1e6) + take.completion_tokens.times(price.completion / 1e6)
    seen = view.experience(model.model).get("")
    times = [] if seen is None else [take.turns.times(seen.latency_s)]
    if model.requests_per_minute is not None:
        times.append(take.calls.times(60 / model.requests_per_minute))
    if model.tokens_per_minute is not None:
        times.append(tokens.times(60 / model.tokens_per_minute))
    return ModelShare(
        model=model.model,
        calls=take.calls,
        prompt_tokens=take.prompt_tokens,
        completion_tokens=take.completion_tokens,
        usd=usd,
        seconds=Range(max(one.low for one in times), max(one.high for one in times)) if times else None,
        seen=0 if seen is None else seen.calls,
    )


def _summed(parts: Sequence[Range | None]) -> Range | None:
    known = [part for part in parts if part is not None]
    return sum(known, Range(0, 0)) if len(known) == len(parts) else None


def _plain(value: Any) -> Any:
    """As JSON values: whole numbers where they are whole, six digits elsewhere."""
    if isinstance(value, Range | ModelShare | Limit):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(f"{value:.6g}")
    return value
