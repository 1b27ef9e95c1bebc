"""A program at work: what it answers to an input, or in a sentence why it does not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paretune.errors import DataError, InvalidOutputError, RefusedInputError, TransientError, UsageError
from paretune.programs.program import Program
from paretune.programs.running import why_invalid
from paretune.prompting.trace import Call, tracing
from paretune.schemas.data_model import DataModel

__all__ = ["Answered", "Serving", "answer", "load_serving"]

_WHY = {
    "empty": "the reply is empty",
    "malformed": "the reply has not the form that was asked for",
    "cut_off": "the reply ended at the limit of tokens: raise max_tokens",
    "filtered": "the provider's filter held the reply back",
    "refused": "the model refused to answer",
}


@dataclass(frozen=True)
class Answered:
    """What became of an input: the output (JSON values), or ``error``; and the calls that it took."""

    output: dict[str, Any] | None
    error: str | None
    calls: tuple[Call, ...]
    #: The input cannot be answered as it is; a later try of another error may end otherwise.
    final: bool = False


async def _nothing() -> None:
    """A program that only calls language models has nothing to end."""


@dataclass(frozen=True)
class Serving:
    """A program with one input and one output, and how a row becomes its input."""

    program: Program
    read: Callable[[Mapping[str, Any], int], DataModel]
    #: Ends what the program has begun on this event loop: processes of one's own, and the gateway that they call.
    close: Callable[[], Coroutine[Any, Any, None]] = _nothing

    @property
    def input_model(self) -> type[DataModel]:
        """What it takes."""
        return self.program.inputs[0].data_model

    @property
    def output_model(self) -> type[DataModel]:
        """What it gives."""
        return self.program.outputs[0].data_model


def load_serving(path: str | Path) -> Serving:
    """The program of a file that ``Program.save`` or ``paretune export --format program`` wrote; rows have its fields.

    Raises DataError for another file, and UsageError for a program with several inputs or outputs.
    """
    program = Program.load(path)
    _check(program)
    return Serving(program, lambda row, number: _by_fields(program.inputs[0].data_model, row, number))


def _check(program: Program) -> None:
    if len(program.inputs) != 1 or len(program.outputs) != 1:
        raise UsageError(
            f"{program.name} has {len(program.inputs)} inputs and {len(program.outputs)} outputs: only a program with "
            "one of each can be served"
        )


def _by_fields(model: type[DataModel], row: Mapping[str, Any], number: int) -> DataModel:
    """A record of the columns that have its fields' names. Raises DataError where one is missing or does not fit."""
    from pydantic import ValidationError

    from paretune.schemas.faults import find_faults

    try:
        return model.model_validate({name: row[name] for name in model.model_fields if name in row})
    except ValidationError as error:
        faults = "; ".join(str(fault) for fault in find_faults(error, model))
        raise DataError(f"row {number}: {faults} (columns: {', '.join(map(str, row))})") from None


async def answer(program: Program, record: DataModel) -> Answered:
    """Run a program on one input. Raises FatalError, after which no call can succeed."""
    with tracing() as calls:
        try:
            output = await program(record)
        except RefusedInputError as error:
            return Answered(None, str(error), tuple(calls), final=True)
        except (InvalidOutputError, TransientError) as error:
            return Answered(None, str(error), tuple(calls))
    if output is None:
        kind, words = why_invalid(calls)
        return Answered(None, f"{_WHY[kind]}{f': {words}' if words else ''}", tuple(calls))
    return Answered(output.get_json(), None, tuple(calls))
