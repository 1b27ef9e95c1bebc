"""What a trial asked and what was answered, from the file that the search writes beside its trials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from paretune.errors import DataError
from paretune.trials.replies import read_replies

__all__ = ["Exchange", "exchanges"]


class Exchange(NamedTuple):
    """One call: the number of its prompt and the prompt (module, model, messages before the question), the question
    (role, text), and the reply with its finish reason."""

    number: int
    prompt: dict[str, Any]
    question: list[str]
    reply: str
    finish_reason: str | None


def exchanges(path: Path, run: str) -> Iterator[list[Exchange]]:
    """The calls of a run (a trial's number, with ``-1`` … for further replicates) for each example, in data order; the
    file is read as far as is asked for. Raises DataError for a file that is none."""
    prompts: list[Any] = []
    try:
        for row in read_replies(path):
            prompts += row.prompts
            yield [
                Exchange(prompt, prompts[prompt], row.questions[question], *row.replies[reply])
                for prompt, question, reply in row.calls.get(run, ())
            ]
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{str(path)!r} holds no replies ({error}); run dvc repro") from None
