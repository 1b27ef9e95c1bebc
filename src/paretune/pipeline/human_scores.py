"""Scores that people gave to answers: rows of predictions.jsonl with a number ``human`` from 0 to 1.

A score belongs to an answer, not to an example: it counts where the same input got the same output.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from paretune.errors import DataError
from paretune.files import canonical_json, read_jsonl

__all__ = ["human_scores"]


def human_scores(path: str | Path, answers: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """The score of each answer (rows with ``x`` and ``output``), None where there is none; the mean of several.

    Rows without ``human``, or with null, are passed over; how many scores are those of other answers is told on stderr.
    Raises DataError for a row without an answer, and for a score that is no number from 0 to 1.
    """
    scores: dict[str, list[float]] = {}
    for number, row in enumerate(read_jsonl(path), start=1):
        if not isinstance(row, Mapping) or not {"x", "output"} <= set(row):
            raise DataError(f"{str(path)!r}, line {number}: must be a row of predictions.jsonl, with x and output")
        score = row.get("human")
        if score is None:
            continue
        if not isinstance(score, int | float) or not 0 <= score <= 1:  # true and false are 1 and 0
            raise DataError(
                f"{str(path)!r}, line {number}: human must be a number from 0 to 1, or null (got {score!r})"
            )
        scores.setdefault(_key(row), []).append(float(score))
    found = [scores.get(_key(row)) for row in answers]
    if others := set(scores) - set(map(_key, answers)):
        print(f"{path}: {len(others)} of {len(scores)} scored answers are not the winner's on test", file=sys.stderr)
    return [None if one is None else fmean(one) for one in found]


def _key(row: Mapping[str, Any]) -> str:
    return canonical_json([row["x"], row["output"]])
