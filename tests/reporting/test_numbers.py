"""How numbers and names are written."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.wording import axis_title, compact, displayed, exact, label_parts, metric_words, percent


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (0.5625, "0.562"), (0.5, "0.5"), (1240.4, "1,240"), (212.49, "212"), (0.000412, "0.000412"),
        (-0.25, "-0.25"), (100, "100"), (12.34, "12.3"), (math.nan, "-"), (math.inf, "-"),
        (1e308, "1e+308"), (-2.5e15, "-2.5e+15"), (999_000_000_000_000, "999,000,000,000,000"), (1.5e-200, "1.5e-200"),
    ],
)  # fmt: skip
def test_numbers_for_people(number: float, text: str) -> None:
    """Three significant digits, no trailing zeros, an exponent in the place of many; a dash for what is unknown."""
    assert compact(number) == text


def test_numbers_for_files() -> None:
    """Ten significant digits, whole counts untouched, nothing that JSON cannot hold."""
    assert exact(0.1 + 0.2) == 0.3
    assert exact(12345678901234) == 12345678901234
    assert str(exact(-0.0)) == "0.0"
    assert exact(math.nan) is exact(math.inf) is exact(None) is None


@given(st.floats(-1e300, 1e300).filter(lambda number: number == 0 or abs(number) > 1e-300))
def test_rounding_for_files_is_stable(number: float) -> None:
    """Rounding twice is rounding once, and moves a number by less than one part in a thousand million."""
    rounded = exact(number)
    assert rounded is not None
    assert exact(rounded) == rounded
    assert rounded == pytest.approx(number, rel=1e-9)


def test_metric_names_in_words() -> None:
    """Titles name the unit and which way is better."""
    assert axis_title("val_reward", "max") == "reward (higher is better)"
    assert axis_title("val_tokens_per_request", "min") == "tokens per request (lower is better)"
    assert axis_title("val_cost", "min") == "cost per 1,000 examples (USD, lower is better)"
    assert metric_words("val_macro_f1") == "macro F1"
    assert percent(0.95) == "95%"


def test_costs_are_read_by_the_thousand() -> None:
    """A number with four zeros is none to compare; other metrics stay as they are."""
    assert compact(displayed("val_cost", 1.98e-05)) == "0.0198"
    assert displayed("cost", 0.002) == 2 and displayed("val_reward", 0.5) == 0.5
    assert displayed("val_tokens_per_request", 187.0) == 187


@given(st.dictionaries(st.sampled_from("abc"), st.booleans() | st.integers(0, 3), min_size=1), st.data())
def test_configurations_that_differ_have_labels_that_differ(values: dict[str, Any], data: st.DataObject) -> None:
    """Whatever one of two configurations has switched on or off."""
    other = {
        name: data.draw(st.booleans() if isinstance(each, bool) else st.integers(0, 3)) for name, each in values.items()
    }
    same = label_parts(values, list(values)) == label_parts(other, list(values))
    assert same == (values == other)


def test_hyperparameters_in_words() -> None:
    """Options carry their hyperparameter's name, models do not, and what is off is told too."""
    values = {"few_shot": 4, "structured": True, "thinking": False, "lm_model": "openai/gpt-4o", "form": "chat"}
    assert label_parts(values, list(values)) == [
        "few shot 4", "structured", "no thinking", "gpt-4o", "chat form",
    ]  # fmt: skip
    assert label_parts(values, ["thinking", "missing"]) == ["no thinking"]
    assert label_parts({"temperature": 0.7, "seed": None}, ["temperature", "seed"]) == [
        "temperature 0.7",
        "seed none",
    ]
