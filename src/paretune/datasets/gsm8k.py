"""GSM8K: word problems from grade school whose worked answer ends in ``#### <number>``.

Templates know ``parse_answer`` as the filter ``gsm8k_answer``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from paretune.datasets.huggingface import load_split
from paretune.datasets.local import is_local
from paretune.datasets.templates import add_filter
from paretune.errors import DataError
from paretune.schemas.data_model import DataModel, Field
from paretune.schemas.spelling import read_number

__all__ = ["get_input_data_model", "get_output_data_model", "load_data", "parse_answer"]

INPUT_TEMPLATE = '{"question": {{ question | tojson }}}'
OUTPUT_TEMPLATE = '{"answer": {{ answer | gsm8k_answer | tojson }}}'

_MARK = "####"


class MathQuestion(DataModel):
    """A word problem."""

    question: str = Field(description="A math word problem")


class NumericalAnswer(DataModel):
    """The number that solves it."""

    answer: float = Field(description="The final number")


def get_input_data_model() -> type[DataModel]:
    """The data model of a problem: ``{question: str}``."""
    return MathQuestion


def get_output_data_model() -> type[DataModel]:
    """The data model of an answer: ``{answer: float}``, with no field for the reasoning."""
    return NumericalAnswer


def parse_answer(text: str) -> float:
    """The number after the last ``####`` of a worked answer.

    Signs, ``$``, commas between digits, decimals and a unit behind the number are understood; a percentage is
    its number (``50%`` is 50.0). Raises DataError where there is no number, more than one, or a fraction: a
    gold answer is never guessed.
    """
    if not isinstance(text, str):
        raise DataError(f"a gsm8k answer must be text (got {text!r})")
    _, mark, tail = text.rpartition(_MARK)
    if not mark:
        raise DataError(f"no {_MARK!r} in the answer {_end(text)!r}")
    number = read_number(tail)
    if isinstance(number, str):
        raise DataError(f"there must be exactly one number after {_MARK!r} (got {_end(tail.strip())!r})")
    return float(number)


add_filter("gsm8k_answer", parse_answer)


def load_data(
    path: str = "openai/gsm8k",
    *,
    name: str | None = None,
    revision: str | None = None,
    train_limit: int | None = None,
    test_limit: int | None = None,
) -> tuple[tuple[npt.NDArray[Any], npt.NDArray[Any]], tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """GSM8K as ``((x_train, y_train), (x_test, y_test))``: object arrays of data models, shape (n,) each.

    ``path`` is the dataset on the hub, or a local folder with a train and a test file (``train.jsonl``,
    ``gsm8k_test.parquet``, …). The limits take the first so many rows. Raises DataError for a row without an
    answer.
    """

    def load(split: str, limit: int | None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        x, y = load_split(
            path,
            name=name if name or is_local(path) else "main",
            split=split,
            revision=revision,
            input_data_model=MathQuestion,
            input_template=INPUT_TEMPLATE,
            output_data_model=NumericalAnswer,
            output_template=OUTPUT_TEMPLATE,
            limit=limit,
        )
        return np.asarray(x), np.asarray(y)

    return load("train", train_limit), load("test", test_limit)


def _end(text: str) -> str:
    return text if len(text) <= 60 else "…" + text[-59:]
