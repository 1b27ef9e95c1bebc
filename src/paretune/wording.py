"""How every number and every metric's name is written, in files and in pictures."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

__all__ = [
    "axis_title", "compact", "displayed", "exact", "label_parts", "metric_words", "one_line",
    "percent", "rounded", "shortened", "with_interval", "words",
]  # fmt: skip

_SIGNIFICANT = 10  # the last digits of a float sum depend on the machine's summation order: they stay out of files
_WORDS = {
    "cost": "cost per 1,000 examples (USD)",
    "cost_usd": "cost (USD)",
    "latency": "seconds per call",
    "tokens_per_request": "tokens per request",
}
_SCALES = {"cost": 1000.0}  # of one example it is a number with many zeros
_BETTER = {"max": "higher is better", "min": "lower is better"}


def exact(value: float | None) -> float | None:
    """A float for a file: 10 significant digits, and None for what JSON cannot hold (NaN, infinities).

    Integers stay integers, and -0.0 becomes 0.0.
    """
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return rounded(number)


def rounded(value: float) -> float:
    """A number to ten significant digits: the last ones of a sum depend on its order, and must decide nothing."""
    return float(f"{value:.{_SIGNIFICANT}g}") + 0.0


def compact(value: float) -> str:
    """A number for people: three significant digits, thousands with a comma (``1,240``, ``0.563``), and no exponent but
    where there would be more than 15 digits (``1e+308``)."""
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    decimals = 2 - math.floor(math.log10(abs(value)))
    if not -13 < decimals < 18:
        return f"{value:.3g}"
    if decimals <= 0:
        return f"{value:,.0f}"
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_interval(value: float, lo: float = math.nan, hi: float = math.nan) -> str:
    """A number with the ends of its interval, in as many digits as its width allows: ``0.66 (0.59–0.72)``."""
    sides = [side for side in (value - lo, hi - value) if side > 1e-15]  # what is narrower nobody can see
    if not (sides and math.isfinite(value) and math.isfinite(lo) and math.isfinite(hi)):
        return compact(value)
    half = min(*sides, (hi - lo) / 2)
    decimals = max(0, -math.floor(math.log10(half / 4.5)))  # the shorter side is 4.5 to 45 units of the last digit
    return f"{value:,.{decimals}f} ({lo:,.{decimals}f}–{hi:,.{decimals}f})"


def percent(share: float) -> str:
    """A share as a percentage: 0.95 -> ``95%``."""
    return f"{compact(share * 100)}%"


def one_line(value: Any) -> str:
    """A value as text on one line, of at most 40 characters."""
    return shortened(" ".join(str(value).split()), 40)


def shortened(text: str, most: int = 60) -> str:
    """A text, or the beginning of a longer one: at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def words(name: str) -> str:
    """An identifier as words: ``few_shot`` -> ``few shot``."""
    return name.replace("_", " ").strip()


def metric_words(name: str) -> str:
    """A metric's name as people say it: ``val_reward`` -> ``reward``, ``val_macro_f1`` -> ``macro F1``."""
    bare = name.removeprefix("val_")
    return _WORDS.get(bare) or " ".join("F1" if word == "f1" else word for word in words(bare).split())


def displayed(name: str, value: float) -> float:
    """A metric's value in the unit that ``metric_words`` names: dollars an example become those of 1,000."""
    return value * _SCALES.get(name.removeprefix("val_"), 1.0)


def axis_title(name: str, direction: str) -> str:
    """A metric's name and which way is better: ``reward (higher is better)``."""
    text = metric_words(name)
    if text.endswith(")"):  # one bracket, not two: cost per 1,000 examples (USD, lower is better)
        return f"{text[:-1]}, {_BETTER[direction]})"
    return f"{text} ({_BETTER[direction]})"


def label_parts(values: Mapping[str, Any], varying: Sequence[str], brief: Container[str] = ()) -> list[str]:
    """The varying hyperparameters of one trial in words: ``["few shot 4", "structured output"]``.

    What is switched off (False) reads ``no <name>``. Hyperparameters that the trial does not have are left out.
    ``brief`` names those whose options stand alone.
    """
    return [_hyperparameter(name, values[name], name in brief) for name in varying if name in values]


def _hyperparameter(name: str, value: Any, brief: bool) -> str:
    if isinstance(value, bool):
        return words(name) if value else f"no {words(name)}"
    if isinstance(value, str):  # a model's name speaks for itself, an option like "native" does not
        return value.rsplit("/", 1)[-1] if brief or name.endswith("model") else f"{value} {words(name)}"
    return f"{words(name)} {compact(value) if isinstance(value, float) else 'none' if value is None else value}"
