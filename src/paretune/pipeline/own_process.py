"""From section ``program`` to programs that are other processes, and the gateway that these call."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from paretune.files import state_root
from paretune.gateway.own_program import Host, OwnProgram
from paretune.lm.language_model import LanguageModel
from paretune.pipeline.scoring import Scoring
from paretune.pipeline.sections.lm import LmParams
from paretune.pipeline.sections.models import served_models
from paretune.pipeline.sections.program import ProgramParams, variable
from paretune.pipeline.sections.space import SpaceParams
from paretune.programs.module import Input
from paretune.programs.program import Program

__all__ = ["OwnProcesses"]

#: How a Python function becomes a process.
_CALLER = "paretune.gateway.call_function"


class OwnProcesses:
    """The programs of one configuration, and what they share: the processes, and the gateway that they call."""

    def __init__(
        self,
        program: ProgramParams,
        lm: LmParams,
        space: Mapping[str, SpaceParams],
        scoring: Scoring,
        language_model: Callable[[str], LanguageModel],
    ) -> None:
        self._program, self._lm, self._scoring = program, lm, scoring
        self._language_model = language_model
        self.models = served_models(lm, space)
        self._hosts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Host] = weakref.WeakKeyDictionary()

    async def program(self, values: Mapping[str, Any]) -> Program:
        """The program of a trial's hyperparameters, compiled."""
        scoring = self._scoring
        usual = values.get("model", self._lm.model)
        others = [value for value in values.values() if value in self.models and value != usual]
        models = [self._language_model(name) for name in dict.fromkeys([str(usual), *others])]
        timeout = {"timeout_s": self._program.timeout_s}
        module = OwnProgram(
            self._command(), values, scoring.output_model, models, self._host, variable, name="program", **timeout
        )
        inputs = Input(scoring.input_model)
        program = Program(inputs, await module(inputs), name=scoring.task.name)
        program.compile(reward=scoring.reward, metrics=scoring.metrics)
        return program

    async def close(self) -> None:
        """End the processes and the gateway of this event loop."""
        host = self._hosts.pop(asyncio.get_running_loop(), None)
        if host is not None:
            await host.close()

    def _host(self) -> Host:
        loop = asyncio.get_running_loop()
        if loop not in self._hosts:
            self._hosts[loop] = Host(
                self._language_model,
                self.models,
                workers=self._program.workers or self._lm.concurrency,
                log=state_root() / "program.log",
                secrets=self._lm.secrets,
                kept=self._program.keep_environment,
            )
        return self._hosts[loop]

    def _command(self) -> tuple[str, ...]:
        if self._program.function is not None:
            return sys.executable, "-m", _CALLER, self._program.function
        return self._program.command or ()
