"""What was asked and answered for each example: the file that a report shows prompts and replies from.

One JSON line an example, in data order, so that the replies of all trials to it stand together. A prompt has a part
that all examples of a trial share and a question of its own; each text stands once, where it first occurs, and is a
number from there on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from paretune.files import read_jsonl, write_jsonl

__all__ = ["Asked", "ExampleReplies", "Prompt", "ReplyRows", "read_replies", "reply_rows", "write_replies"]


class Prompt(NamedTuple):
    """What the questions of a module to a model have in common: the ``messages`` before them, (role, text) pairs, and
    the other parts of the ``request`` (schema, temperature …)."""

    module: str
    model: str
    messages: Sequence[Sequence[str]]
    request: Mapping[str, Any]


class Asked(NamedTuple):
    """One call for an example by a trial (``run``: the trial's number, with ``-1`` … for further replicates): the
    prompt, the last message (role, text; without a role it continues the one before it), and the reply."""

    run: str
    prompt: Prompt
    question: tuple[str, str]
    reply: str
    finish_reason: str | None


@dataclass(frozen=True)
class ExampleReplies:
    """The calls for one example: ``calls`` has by run the numbers of the prompt (in all prompts so far, this line's
    included), the question and the reply of each call; ``prompts`` are those that are new here."""

    prompts: list[Any]
    questions: list[Any]
    replies: list[Any]
    calls: dict[str, list[tuple[int, int, int]]]


class ReplyRows:
    """The examples' replies, to be read more than once."""

    def __init__(self, source: Path | Sequence[Mapping[str, Any]]) -> None:
        self._source = source

    def __iter__(self) -> Iterator[ExampleReplies]:
        rows = read_jsonl(self._source) if isinstance(self._source, Path) else iter(self._source)
        return (ExampleReplies(**row) for row in rows)


def reply_rows(examples: Iterable[Iterable[Asked]]) -> Iterator[dict[str, Any]]:
    """The rows of the file, of each example's calls (in the order in which a run made them)."""
    prompts: dict[str, int] = {}
    for asked in examples:
        before, row = len(prompts), ExampleReplies([], [], [], {})
        questions: dict[Any, int] = {}
        replies: dict[Any, int] = {}
        for call in asked:
            number = prompts.setdefault(repr(call.prompt), len(prompts))
            if number == before + len(row.prompts):
                row.prompts.append(call.prompt._asdict())
            question = questions.setdefault(call.question, len(questions))
            reply = replies.setdefault((call.reply, call.finish_reason), len(replies))
            row.calls.setdefault(call.run, []).append((number, question, reply))
        row.questions.extend(questions)
        row.replies.extend(replies)
        yield vars(row)


def write_replies(path: str | Path, examples: Iterable[Iterable[Asked]]) -> None:
    """Write the file."""
    write_jsonl(path, reply_rows(examples))


def read_replies(path: str | Path) -> ReplyRows:
    """The file, read as it is gone through. Raises DataError when there is none."""
    return ReplyRows(Path(path))
