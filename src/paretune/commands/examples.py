"""Validation examples with what trials made of them, as lines of text and as JSON values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from paretune.commands.text_table import cut
from paretune.errors import DataError
from paretune.metrics.outcome import Outcome
from paretune.terminal import plain
from paretune.trials.record import TrialRecord
from paretune.wording import compact

__all__ = ["Tried", "answer_text", "field_lines", "record_text", "reward_text", "tried"]


@dataclass(frozen=True)
class Tried:
    """An example (``number`` from 1, in data order) and the outcome of each replicate of a trial."""

    number: int
    input: Any
    gold: Any
    outcomes: tuple[Outcome, ...]

    @property
    def reward(self) -> float:
        """The mean of the replicates that were scored; NaN where none was."""
        rewards = [outcome.reward for outcome in self.outcomes if outcome.reward is not None]
        return math.fsum(rewards) / len(rewards) if rewards else math.nan

    @property
    def wrong(self) -> bool:
        """Whether a replicate earned less than the whole reward, or failed."""
        return any(outcome.reward is None or outcome.reward < 1 for outcome in self.outcomes)

    def row(self) -> dict[str, Any]:
        """As JSON values."""
        outcomes = [outcome.row() for outcome in self.outcomes]
        reward = None if math.isnan(self.reward) else self.reward
        return {"example": self.number, "x": self.input, "y": self.gold, "reward": reward, "outcomes": outcomes}


def tried(record: TrialRecord, examples: Sequence[tuple[Any, Any]]) -> list[Tried]:
    """The examples that a trial ran: all, or of a trial that a race has ended, some."""
    n = max((len(each.examples) for each in record.replicates), default=0)
    places = range(n) if record.dropped is None else record.dropped.examples
    if len(places) != n or (n and max(places) >= len(examples)):
        raise DataError(
            f"trial {record.trial} has {n} examples that are not those of data/splits/val.jsonl ({len(examples)}); "
            "run dvc repro"
        )
    return [
        Tried(place + 1, *examples[place], tuple(each.examples[index] for each in record.replicates))
        for index, place in enumerate(places)
    ]


def record_text(record: Any) -> str:
    """A record in one line: a single field as its value, several with their names."""
    if isinstance(record, dict) and len(record) == 1:
        (record,) = record.values()
    if isinstance(record, dict):
        return ", ".join(f"{name}: {record_text(value)}" for name, value in record.items())
    return record if isinstance(record, str) else json.dumps(record, ensure_ascii=False)


def answer_text(outcome: Outcome) -> str:
    """What was answered, or why there is no answer."""
    error = f": {outcome.error}" if outcome.error else ""
    if outcome.status == "failed":
        return f"(failed{error})"
    if outcome.status == "invalid":
        return f"(invalid, {(outcome.kind or 'malformed').replace('_', ' ')}{error})"
    return record_text(outcome.output)


def field_lines(fields: Sequence[tuple[str, str]], limit: int, full: bool) -> Iterator[str]:
    """Named texts, each on one line of at most ``limit`` columns; ``full``: with all their lines."""
    wide = max((len(name) for name, _ in fields), default=0)
    for name, text in fields:
        if full:
            yield f"  {name:{wide}}  " + plain(text, lines=True).replace("\n", f"\n{' ' * (wide + 4)}")
        else:
            yield cut(f"  {name:{wide}}  {plain(text)}", limit)


def reward_text(reward: float) -> str:
    """A reward; ``not scored`` where there is none."""
    return "not scored" if math.isnan(reward) else compact(reward)
