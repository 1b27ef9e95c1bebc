"""The number after ``####``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.datasets import gsm8k
from paretune.errors import DataError


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so 2+2=4\n#### 4", 4.0),
        ("####4", 4.0),
        ("#### 1,234", 1234.0),
        ("#### 1,234,567.50", 1234567.5),
        ("#### $5", 5.0),
        ("#### -3", -3.0),
        ("#### -$3", -3.0),
        ("#### $-3", -3.0),
        ("#### $ 1,000.", 1000.0),
        ("#### \u22123", -3.0),
        ("#### 3.5%", 3.5),
        ("#### .5", 0.5),
        ("#### 5 apples", 5.0),
        ("#### 12 m2", 12.0),
        ("#### about 7 days", 7.0),
        ("#### 60km", 60.0),
        ("#### 1e3", 1000.0),
        ("#### 0", 0.0),
        ("#### 1 was a guess\n#### 2", 2.0),
    ],
)
def test_answers_by_hand(text: str, answer: float) -> None:
    """Commas, currency, units, signs and decimals; the last mark counts."""
    assert gsm8k.parse_answer(text) == answer


@pytest.mark.parametrize(
    "text",
    ["", "42", "#### ", "#### none", "#### 1/2", "#### 1 / 2", "#### 3 or 4", "#### 5-6", "#### 1e999"],
)
def test_no_answer_is_an_error(text: str) -> None:
    """A row without exactly one number is an error, never 0.0."""
    with pytest.raises(DataError, match="####"):
        gsm8k.parse_answer(text)


@given(
    cents=st.integers(-(10**12), 10**12),
    commas=st.booleans(),
    currency=st.sampled_from(["", "$", "€", "$ "]),
    decimals=st.booleans(),
    unit=st.sampled_from(["", " apples", "%", "."]),
)
def test_any_formatted_number_is_read(cents: int, commas: bool, currency: str, decimals: bool, unit: str) -> None:
    """However a number is written, its value comes back."""
    size = abs(cents) / 100 if decimals else abs(cents)
    body = f"{size:{',' if commas else ''}.{2 if decimals else 0}f}"
    sign = "-" if cents < 0 else ""
    expected = float(f"{sign}{body.replace(',', '')}")
    assert gsm8k.parse_answer(f"reasoning with 7 numbers\n#### {sign}{currency}{body}{unit}") == expected


def test_load_data_from_a_folder(tmp_path: Path) -> None:
    """Both splits of a local folder come as arrays of data models, cut by their limits."""
    for split, count in (("train", 3), ("test", 2)):
        rows = [{"question": f"{split} {i}?", "answer": f"<<1>> so\n#### {i}"} for i in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (x_train, y_train), (x_test, y_test) = gsm8k.load_data(str(tmp_path), train_limit=2)
    assert [x.question for x in x_train] == ["train 0?", "train 1?"]
    assert [y.answer for y in y_train] == [0.0, 1.0]
    assert (x_test.shape, y_test.shape) == ((2,), (2,))
    assert isinstance(x_test[0], gsm8k.get_input_data_model())


def test_load_data_refuses_a_row_without_an_answer(tmp_path: Path) -> None:
    """The row is named, so that it can be found and mended."""
    for split in ("train", "test"):
        rows: list[dict[str, Any]] = [
            {"question": "a", "answer": "#### 1"},
            {"question": "b", "answer": "one"},
        ]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"row 1 \(counted from 0\), output template"):
        gsm8k.load_data(str(tmp_path))


def test_the_output_has_no_reasoning_field() -> None:
    """Only the number is asked for, so that a chain of thought makes a difference."""
    assert list(gsm8k.get_output_data_model().model_fields) == ["answer"]
