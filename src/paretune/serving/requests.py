"""What a program asks for an input, as it goes to its language model, without asking it."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from paretune.errors import UsageError
from paretune.estimating.recording import RecordingModel
from paretune.lm.language_model import LanguageModel
from paretune.lm.types import HTTPRequest, Request
from paretune.programs.generator import Generator
from paretune.programs.program import Program
from paretune.schemas.data_model import DataModel

__all__ = ["WholeRequest", "whole_request"]

_OTHERWISE = "`paretune export --format program` writes the whole program, which `paretune predict` and `serve` run"


@dataclass(frozen=True)
class WholeRequest:
    """The one request that a program makes for an input, its key in the ledger, and the model that it goes to."""

    request: Request
    key: str
    model: LanguageModel

    async def over_http(self) -> HTTPRequest:
        """The request as it goes over HTTP. Raises UsageError for a model that has no address of its own."""
        composed = getattr(self.model.backend, "composed", None)
        if composed is None:
            raise UsageError(
                f"{self.model.model} is called inside paretune alone, so that no other program can send its requests; "
                f"{_OTHERWISE}"
            )
        found: HTTPRequest = await composed(self.request)
        return found


async def whole_request(program: Program, record: DataModel) -> WholeRequest:
    """The request of a program that makes one call. Raises UsageError for any other program."""
    steps = [node.module for node in program.graph.nodes]
    if len(steps) != 1 or not isinstance(steps[0], Generator) or steps[0].samples != 1:
        calls = program.calls_per_run
        raise UsageError(
            f"the program makes {calls} calls for an input, some of which depend on the replies to others, and is no "
            f"single request; {_OTHERWISE}"
            if calls > 1
            else f"the program does more than ask a language model once, and is no single request; {_OTHERWISE}"
        )
    recording = copy.copy(steps[0])
    model = steps[0].language_model
    recording.language_model = recorder = RecordingModel(model, model.capabilities)
    await Generator.call(recording, record)
    return WholeRequest(*recorder.requests[0], model)
