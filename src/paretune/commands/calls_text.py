"""How calls in the ledger look to people: a table, its totals, and one call in full."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from paretune.lm.ledger.queries import Totals
from paretune.lm.passing import messages_in, options_in, reply_text
from paretune.terminal import plain
from paretune.wording import compact, shortened

__all__ = ["HEAD", "aligned", "call_lines", "sum_lines", "table_row"]

HEAD = ("KEY", "TIME", "MODEL", "TOKENS", "COST", "LATENCY", "TRIES", "VALID", "ASKED BY")
_MODEL, _ASKED_BY = HEAD.index("MODEL"), HEAD.index("ASKED BY")
#: What a narrow terminal does without, in this order.
_DISPENSABLE = tuple(map(HEAD.index, ("TRIES", "LATENCY", "TOKENS")))


def table_row(row: Mapping[str, Any], callers: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A call's cells under ``HEAD``; ``callers`` are those who asked for it."""
    valid = "" if not callers else "yes" if all(caller["valid"] for caller in callers) else "no"
    more = f" +{len(callers) - 1}" if len(callers) > 1 else ""
    return (
        row["key"][:10],
        _time(row["created_at"]),
        row["model"],
        "-" if row["prompt_tokens"] is None else f"{row['prompt_tokens']}+{row['completion_tokens']}",
        _dollars(row["cost_usd"]),
        _seconds(row["latency_s"]),
        str(row["attempts"]),
        valid,
        _caller(callers[0], short=True) + more if callers else "",
    )


def aligned(table: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Lines of equal columns. Where they are too wide, the model's name and who asked are cut, and columns left out."""
    sizes = {place: max(len(plain(row[place])) for row in table) for place in range(len(HEAD))}

    def excess(widest: int) -> int:
        """How much too wide the lines are when the two are cut to ``widest``."""
        cut = sum(max(0, sizes[place] - widest) for place in (_MODEL, _ASKED_BY))
        return sum(sizes.values()) + 2 * (len(sizes) - 1) - width - cut

    for place in _DISPENSABLE:
        if excess(12) > 0:
            del sizes[place]
    widest = max((size for size in range(12, 200) if excess(size) <= 0), default=12)
    for place in (_MODEL, _ASKED_BY):
        sizes[place] = min(sizes[place], widest)
    for row in table:
        yield "  ".join(shortened(plain(row[place]), size).ljust(size) for place, size in sizes.items()).rstrip()


def sum_lines(sums: list[Totals], shown: int) -> Iterator[str]:
    """The totals of so many calls shown, and of each model's where there are several."""
    count = sum(one.calls for one in sums)
    if not count:
        yield "no such calls"
        return
    part = f"{shown} of " if shown < count else ""
    yield f"{part}{_sum(plain(sums[0].model) if len(sums) == 1 else 'all models', sums)}"
    if len(sums) > 1:
        yield from (f"  {_sum(plain(one.model), [one])}" for one in sums)


def _sum(name: str, sums: list[Totals]) -> str:
    calls, unpriced = sum(one.calls for one in sums), sum(one.unpriced for one in sums)
    tokens = f"{sum(one.prompt_tokens for one in sums):,}+{sum(one.completion_tokens for one in sums):,} tokens"
    cost = _dollars(math.fsum(one.cost_usd for one in sums)) if unpriced < calls else "cost unknown"
    some = f" ({unpriced:,} of unknown cost)" if 0 < unpriced < calls else ""
    return f"{calls:,} {'call' if calls == 1 else 'calls'}, {tokens}, {cost}{some}: {name}"


def call_lines(call: Mapping[str, Any]) -> Iterator[str]:
    """One call in full."""
    request = dict(call["request"])
    messages, reply = iter(request.pop("messages", [])), call["reply"]
    if (body := request.pop("body", None)) is not None:
        request |= options_in(body)
        messages, reply = messages_in(body), reply_text(reply)
    yield f"key         {call['key']}"
    yield f"time        {_time(call['created_at'], zone=True)}"
    yield f"model       {call['model']}"
    for caller in call["asked_by"]:
        state = f"{'valid' if caller['valid'] else 'invalid'}, {'paid for' if caller['paid'] else 'served'}"
        yield f"asked by    {_caller(caller)} ({state})"
    counts = (call["prompt_tokens"], call["completion_tokens"])
    yield f"tokens      {'unknown' if None in counts else '{:,} prompt, {:,} completion'.format(*counts)}"
    price = call["price"]
    rate = f" (at ${price['prompt']} and ${price['completion']} a million tokens)" if price else ""
    yield f"cost        {_dollars(call['cost_usd'])}{rate}"
    yield f"latency     {_seconds(call['latency_s'])}"
    yield f"attempts    {call['attempts']}"
    yield f"finish      {call['finish_reason'] or '-'}"
    if call["usage"] is not None:
        yield f"usage       {_json(call['usage'])}"
    yield "settings"
    yield from (f"  {name}: {value if isinstance(value, str) else _json(value)}" for name, value in request.items())
    for role, content in messages:
        yield f"\n--- {role}\n{content}"
    if call["reasoning"]:
        yield f"\n--- reasoning\n{call['reasoning']}"
    yield f"\n--- reply\n{reply}"


def _seconds(latency_s: float | None) -> str:
    return "-" if latency_s is None else f"{compact(latency_s)} s"


def _caller(caller: Mapping[str, Any], short: bool = False) -> str:
    search = caller["search"][:8] if short else caller["search"]
    parts = {"search": search, "trial": caller["trial"], "": caller["example"], "by": caller["module"]}
    if short:
        return " ".join(part for part in (search, caller["trial"], caller["example"], caller["module"]) if part)
    return ", ".join(f"{name} {value}".strip() for name, value in parts.items() if value)


def _time(seconds: float, zone: bool = False) -> str:
    there = datetime.fromtimestamp(seconds).astimezone()
    return (there if zone else there.replace(tzinfo=None)).isoformat(timespec="seconds")


def _dollars(value: float | None) -> str:
    return "-" if value is None else f"${compact(value)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
