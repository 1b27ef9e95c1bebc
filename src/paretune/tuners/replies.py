"""What a search asked and what was answered, from the ledgers of its language models."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from paretune.lm.ledger import queries
from paretune.lm.ledger.queries import Question
from paretune.lm.passing import messages_in, options_in, reply_text
from paretune.trials.record import TrialRecord
from paretune.trials.replies import Asked, Prompt

__all__ = ["asked_by_example", "split_messages"]

#: What tells one question of a module from the next, and what is nobody's business.
_OWN = {"messages", "replicate", "epoch", "draw", "endpoint", "model"}


class _Placed(NamedTuple):
    """A call and where it belongs."""

    example: int
    run: str
    order: tuple[int, str, float]
    asked: Asked


def asked_by_example(
    search: str, records: Sequence[TrialRecord], ledgers: Sequence[Path], n: int
) -> Iterator[list[Asked]]:
    """For each of the n validation examples, the calls for it by the trials, in their order.

    ``search`` is the search's name in the ledgers. Of a replicate it is the epoch that its record is of; the calls of
    the reward (a judge's) are among them. What a ledger no longer has is left out.
    """
    known = {record.trial: record for record in records}
    placed = heapq.merge(*(_placed(path, search, known) for path in ledgers), key=lambda one: one[:3])
    groups = itertools.groupby(placed, key=lambda one: one.example)
    found: tuple[int, Iterator[_Placed]] | None = next(groups, None)
    for example in range(n):
        if found is None or found[0] != example:
            yield []
            continue
        yield [one.asked for one in found[1]]
        found = next(groups, None)


def _placed(path: Path, search: str, known: Mapping[str, TrialRecord]) -> Iterator[_Placed]:
    with queries.opened(path) as connection:
        found = queries.questions(connection, search, "val")
        for _, group in itertools.groupby(found, key=lambda question: question.example):
            calls = (_call(question, known.get(question.trial)) for question in group)
            yield from sorted((call for call in calls if call is not None), key=lambda one: one[:3])


def _call(question: Question, record: TrialRecord | None) -> _Placed | None:
    """A call in its place; None where the record is not of it."""
    if record is None or question.replicate >= len(record.replicates):
        return None
    replicate, request = record.replicates[question.replicate], json.loads(question.request)
    if request.get("epoch", 0) != replicate.epoch or not {"messages", "body"} & set(request):
        return None
    body, reply, order = request.pop("body", None), question.reply, float(request.get("draw", 0))
    if body is not None:  # one of several that another process made, one after the other
        request |= {**options_in(body), "messages": list(messages_in(body))}
        reply, order = reply_text(reply), question.created_at
    shared, last = split_messages(request["messages"])
    prompt = Prompt(
        question.module,
        question.model,
        shared,
        {name: value for name, value in request.items() if name not in _OWN},
    )
    run = record.trial if question.replicate == 0 else f"{record.trial}-{question.replicate}"
    modules = list(replicate.state.get("modules", ()))
    place = modules.index(question.module) if question.module in modules else len(modules)
    asked = Asked(run, prompt, last, reply, question.finish_reason)
    return _Placed(question.example, run, (place, question.module, order), asked)


def split_messages(messages: list[Any]) -> tuple[list[list[str]], tuple[str, str]]:
    """The messages before the question, and the question. Of a text to be continued that is its last paragraph."""
    *before, (role, text) = messages
    if before:
        return before, (role, text)
    head, line, tail = text.rpartition("\n\n")
    return [[role, head + line]], ("", tail)
