"""What detail.json tells, in words: the test, the gain and the looks, the same for the console and the summary."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from paretune.wording import compact, displayed, metric_words, with_interval

__all__ = ["gain_sentence", "looks_sentence", "p_text", "points", "tested_rows"]

Numbers = Mapping[str, Any]
#: The sections that are set beside each other, and how they are called.
_SIDES = {
    "test": "winner (test)",
    "baseline": "baseline (test)",
    "majority": "most common answer (test)",
    "val": "winner (validation)",
}
_NO_METRICS = {"n", "failures", "looks", "corrected"}


def tested_rows(numbers: Numbers) -> list[list[str]]:
    """A head, then a row a metric that is not 0 everywhere, with the value and interval of the winner, the baseline and
    the most common answer, those that there are; the number of examples last."""
    sides = [name for name in _SIDES if name in numbers]
    found = [["", *(_SIDES[name] for name in sides)]]
    for metric in _metrics(numbers.get("test", {})):
        if any(numbers[side].get(metric) for side in sides):
            found.append([metric_words(metric), *(_measured(numbers[side], metric) for side in sides)])
    return [*found, ["examples", *(compact(numbers[side]["n"]) if "n" in numbers[side] else "" for side in sides)]]


def gain_sentence(numbers: Numbers) -> str:
    """What the winner gains over the baseline; empty where none was tested."""
    gain = numbers.get("gain", {})
    if "reward" not in gain:
        return ""
    p_value = gain.get("p_holm", gain.get("p_mcnemar", math.nan))
    change = points(gain["reward"], gain.get("reward_lo", math.nan), gain.get("reward_hi", math.nan))
    return f"Over the baseline the winner gains {change} of reward on {gain['n']} test examples{p_text(p_value)}."


def looks_sentence(numbers: Numbers) -> str:
    """How many configurations were tested on the test examples; empty where that was not counted."""
    looks = numbers.get("test", {}).get("looks")
    if looks is None:
        return ""
    if looks == 1:
        return "No other configuration was tested on these examples."
    return f"{looks} configurations were tested on these examples by now; the intervals of the test allow for that."


def points(change: float, lo: float, hi: float) -> str:
    """A change of a share in points, with its interval: ``+46 points (+38 to +53)``."""
    ends = "" if math.isnan(lo) or math.isnan(hi) else f" ({_signed(lo)} to {_signed(hi)})"
    return f"{_signed(change)} points{ends}"


def p_text(p_value: float) -> str:
    """McNemar's p in brackets; empty where there is none."""
    if math.isnan(p_value):
        return ""
    return f" (McNemar's mid-p {'below 0.0001' if p_value < 0.0001 else compact(p_value)})"


def _metrics(section: Numbers) -> Iterator[str]:
    return (name for name in section if name not in _NO_METRICS and not name.endswith(("_lo", "_hi")))


def _measured(section: Numbers, metric: str) -> str:
    ends = (section.get(f"{metric}{end}", math.nan) for end in ("", "_lo", "_hi"))
    return with_interval(*(displayed(metric, each) for each in ends)) if metric in section else ""


def _signed(share: float) -> str:
    return "?" if math.isnan(share) else f"{'-' if share < 0 else '+'}{compact(abs(100 * share))}"
