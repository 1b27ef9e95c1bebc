"""The examples in the page: a compressed block each, which is decoded when it is opened, within a budget of bytes."""

from __future__ import annotations

import base64
import itertools
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretune.metrics.outcome import Outcome
from paretune.schemas.comparing import ACCEPTED
from paretune.trials.record import TrialRecord
from paretune.trials.replies import ExampleReplies, ReplyRows

__all__ = ["ExampleData", "example_blocks", "matrix", "packed", "prompt_block", "texts_within"]

_EXCERPT = 140  # characters of an input in the list of examples
_LABELS = 40  # more classes than this are none: free texts, or a sum of powers of two that JavaScript cannot hold
_SAMPLE = 24  # examples from which the size of all is estimated
_CODES = {"cut_off": "c", "refused": "r", "filtered": "f", "empty": "e", "malformed": "m"}


@dataclass(frozen=True)
class ExampleData:
    """The n validation examples: inputs and gold outputs (JSON values), and what was asked and answered (None where it
    was not kept)."""

    x: Sequence[Any]
    y: Sequence[Mapping[str, Any]]
    replies: ReplyRows | None = None


def packed(value: Any) -> str:
    """JSON, deflated, as base64: no ``<`` and no quote is in it, whatever the texts are."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return base64.b64encode(deflate.compress(text.encode("utf-8", "replace")) + deflate.flush()).decode()


def matrix(records: Sequence[TrialRecord], data: ExampleData) -> dict[str, Any]:
    """Of all trials and examples, what lists and comparisons need: rewards, what became of them, and classes.

    By trial, one number (or letter) an example and replicate, the examples of a replicate in data order; ``None`` and
    ``-`` where it did not run one.
    """
    classes, n = _Classes.of(data.y), len(data.y)
    placed = {
        record.trial: [each for replicate in _in_data_order(record, n) for each in replicate] for record in records
    }
    return {
        "excerpts": [_excerpt(each) for each in data.x],
        "rewards": {trial: list(map(_reward, outcomes)) for trial, outcomes in placed.items()},
        "states": {trial: "".join(map(_code, outcomes)) for trial, outcomes in placed.items()},
        "classes": None if classes is None else classes.table(placed, data.y),
    }


def _in_data_order(record: TrialRecord, n: int) -> list[list[Outcome | None]]:
    """The outcomes of each replicate on the n examples; None on those that a trial did not run before it ended."""
    found = []
    for replicate in record.replicates:
        ran = range(n) if record.dropped is None else record.dropped.examples
        if len(ran) == len(replicate.examples):  # else it failed halfway, and nobody knows where
            by_place = dict(zip(ran, replicate.examples, strict=True))
            found.append([by_place.get(place) for place in range(n)])
    return found


def example_blocks(
    records: Sequence[TrialRecord], data: ExampleData, texts: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The blocks in data order: the example, every trial's answer, and what the trials in ``texts`` asked and got."""
    kept, placed = set(texts), _placed(records, data)
    rows: Iterator[ExampleReplies | None] = itertools.chain(data.replies or (), itertools.repeat(None))
    for place, row in zip(range(len(data.x)), rows, strict=False):
        yield place, _block(place, placed, data, row, kept)


def prompt_block(data: ExampleData, texts: Sequence[str]) -> list[Any]:
    """The parts of prompts that are shared, by their numbers; None for those of trials whose texts are left out."""
    prompts: list[Any] = []
    used: set[int] = set()
    kept = set(texts)
    for row in data.replies or ():
        prompts += row.prompts
        for run, calls in row.calls.items():
            if run.split("-")[0] in kept:
                used.update(call[0] for call in calls)
    return [prompt if number in used else None for number, prompt in enumerate(prompts)]


def texts_within(budget: int, order: Sequence[str], records: Sequence[TrialRecord], data: ExampleData) -> list[str]:
    """The first trials of ``order`` whose texts fit into so many bytes, estimated from a sample of the examples.

    Rewards and answers of all trials are in the blocks anyway, and count."""
    step, placed = max(1, len(data.x) // _SAMPLE), _placed(records, data)
    rows = [(place, row) for place, row in enumerate(data.replies or ()) if place % step == 0]
    if not rows:
        return []
    low, high = 0, len(order)
    while low < high:  # the largest number that fits
        count = (low + high + 1) // 2
        kept = set(order[:count])
        size = sum(len(packed(_block(place, placed, data, row, kept))) for place, row in rows)
        low, high = (count, high) if size * len(data.x) / len(rows) <= budget else (low, count - 1)
    return list(order[:low])


_Placed = Mapping[str, Sequence[Sequence[Outcome | None]]]


def _placed(records: Sequence[TrialRecord], data: ExampleData) -> _Placed:
    return {record.trial: _in_data_order(record, len(data.x)) for record in records}


def _block(
    place: int, placed: _Placed, data: ExampleData, row: ExampleReplies | None, kept: set[str]
) -> dict[str, Any]:
    answers, errors, questions, replies = _Numbers(), _Numbers(), _Numbers(), _Numbers()
    runs: dict[str, list[Any]] = {}
    for trial, replicates in placed.items():
        for replicate, outcomes in enumerate(replicates):
            outcome = outcomes[place]
            if outcome is None:
                continue
            run = trial if replicate == 0 else f"{trial}-{replicate}"
            calls = row.calls.get(run, ()) if row is not None and trial in kept else ()
            asked = [
                (prompt, questions.of(row.questions[question]), replies.of(row.replies[reply]))
                for prompt, question, reply in calls
                if row is not None
            ]
            error = None if outcome.error is None else errors.of(outcome.error)
            runs.setdefault(trial, []).append([answers.of(outcome.output), error, asked])
    return {
        "x": data.x[place],
        "y": data.y[place],
        "answers": answers.found,
        "errors": errors.found,
        "questions": questions.found,
        "replies": replies.found,
        "runs": runs,
    }


class _Numbers:
    """Distinct values, each with the number of its first appearance."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self._places: dict[str, int] = {}

    def of(self, value: Any) -> int:
        place = self._places.setdefault(json.dumps(value, sort_keys=True), len(self.found))
        if place == len(self.found):
            self.found.append(value)
        return place


@dataclass(frozen=True)
class _Classes:
    """Which fields of the output are classes: one text of a few (``label``), or a yes or no each (``flags``), which
    may also be a list of labels."""

    kind: str
    fields: Sequence[str]
    labels: Sequence[str]

    @classmethod
    def of(cls, gold: Sequence[Mapping[str, Any]]) -> _Classes | None:
        if not gold:
            return None
        flags = [name for name in gold[0] if all(_is_flag(row.get(name)) for row in gold)]
        if 1 < len(flags) <= _LABELS:
            return cls("flags", flags, flags)
        for name in gold[0]:
            values = {row.get(name) for row in gold if isinstance(row.get(name), str)}
            complete = all(isinstance(row.get(name), str) for row in gold)
            if complete and 2 <= len(values) <= min(_LABELS, len(gold) // 2):
                return cls("label", [name], sorted(map(str, values)))
        for name in (name for name in gold[0] if not name.endswith(ACCEPTED)):
            lists = [row.get(name) for row in gold]
            listed = {item for one in lists if isinstance(one, list) for item in one if isinstance(item, str)}
            if all(_is_labels(one) for one in lists) and 2 <= len(listed) <= min(_LABELS, len(gold) // 2):
                return cls("flags", [name], sorted(listed))
        return None

    def table(
        self, placed: Mapping[str, Sequence[Outcome | None]], gold: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Gold and answers as numbers: of a label its place among ``labels`` (-1: another, or none), of flags the sum
        of 2^place of those that are yes (-1: none)."""
        labels = list(self.labels)
        if self.kind == "label":  # answers may be classes that no gold output has
            outputs = (each.output for outcomes in placed.values() for each in outcomes if each and each.output)
            given = {output.get(self.fields[0]) for output in outputs}
            more = sorted(each for each in given if isinstance(each, str) and each not in labels)
            labels += more if len(labels) + len(more) <= _LABELS else []
        return {
            "kind": self.kind,
            "labels": labels,
            "gold": [self._number(row, labels) for row in gold],
            "answers": {
                trial: [self._number(None if each is None else each.output, labels) for each in outcomes]
                for trial, outcomes in placed.items()
            },
        }

    def _number(self, row: Mapping[str, Any] | None, labels: Sequence[str]) -> int:
        if row is None:
            return -1
        if self.kind == "flags":
            listed = None if self.fields == self.labels else row.get(self.fields[0]) or ()
            chosen = [float(row.get(name) or 0) > 0.5 if listed is None else name in listed for name in self.labels]
            return sum(2**place for place, yes in enumerate(chosen) if yes)
        value = row.get(self.fields[0])
        return labels.index(value) if value in labels else -1


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, float) and 0 <= value <= 1)


def _is_labels(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _reward(outcome: Outcome | None) -> float | int | None:
    value = None if outcome is None else outcome.reward
    return None if value is None else int(value) if value in (0, 1) else round(value, 6)


def _code(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    if outcome.status == "invalid":
        return _CODES[outcome.kind or "malformed"]
    return "o" if outcome.status == "ok" else "x"


def _excerpt(x: Any) -> str:
    """The beginning of an input: the text of its longest field."""
    parts = x.values() if isinstance(x, Mapping) else [x]
    texts = [part if isinstance(part, str) else json.dumps(part, ensure_ascii=False) for part in parts]
    return " ".join(max(texts, key=len, default="").split())[:_EXCERPT]
