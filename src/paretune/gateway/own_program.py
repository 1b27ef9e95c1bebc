"""A program of one's own as a module: another process, in any framework, that calls its models at the gateway."""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paretune.errors import InvalidOutputError, TransientError
from paretune.files import canonical_json
from paretune.gateway.environment import client_environment
from paretune.gateway.keys import Run
from paretune.gateway.server import Gateway
from paretune.gateway.worker import EndedError, Worker, Workers, is_object
from paretune.lm.language_model import LanguageModel
from paretune.programs.module import Module
from paretune.prompting.trace import Call, add_call
from paretune.schemas.data_model import DataModel
from paretune.schemas.faults import find_faults, shown
from paretune.schemas.parsing import parse_json

__all__ = ["Host", "OwnProgram"]


class Host:
    """What all programs of a search share on one event loop: the gateway, and the processes.

    ``secrets`` are environment variables that no program gets, beside those that are called like keys of providers;
    ``kept`` are those of both that it gets all the same.
    """

    def __init__(
        self,
        language_model: Callable[[str], LanguageModel],
        names: Sequence[str],
        *,
        workers: int,
        log: Path,
        secrets: Sequence[str] = (),
        kept: Sequence[str] = (),
    ) -> None:
        self.gateway = Gateway(language_model, names)
        self.workers = Workers(workers)
        self._log = log
        self._secrets, self._kept = tuple(secrets), tuple(kept)
        self._starting = asyncio.Lock()

    async def start(self, command: Sequence[str], variables: Mapping[str, str]) -> Worker:
        """A new process, with a key of its own."""
        async with self._starting:
            if not self.gateway.address:
                await self.gateway.start()
        key = self.gateway.keys.issue()
        own = client_environment(self.gateway.address, key.text, secrets=self._secrets, kept=self._kept)
        return await Worker.start(command, {**own, **variables}, key, self._log)

    async def close(self) -> None:
        """End the processes, then the gateway, once what is in flight is stored."""
        await self.workers.close()
        await self.gateway.close()


class OwnProgram(Module):
    """A program that is another process.

    It reads an input record as a JSON line from its standard input and answers with the output record as a JSON line on
    its standard output, flushed; it may loop over its lines, and is started again where it ends. ``values`` are the
    hyperparameters: in the words of the command they take the place of ``{name}``; they are in the environment under
    the names that ``variable`` gives (text as it is, others as JSON), and together in PARETUNE_HYPERPARAMETERS.
    ``models`` are those that it may call, of which the first is OPENAI_MODEL.

    What is no record of ``data_model`` (or ``{"error": "why"}``) is an invalid example, and so is a crash after a
    model has replied. A crash before that, and an answer that takes longer than ``timeout_s`` seconds, are failed ones.
    """

    def __init__(
        self,
        command: Sequence[str],
        values: Mapping[str, Any],
        data_model: type[DataModel],
        models: Sequence[LanguageModel],
        host: Callable[[], Host],
        variable: Callable[[str], str],
        *,
        timeout_s: float = 600.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.command, self.values, self.data_model = _filled(command, values), dict(values), data_model
        self.timeout_s = timeout_s
        self._models = tuple(models)
        self._host, self._variable = host, variable

    @property
    def called_models(self) -> tuple[LanguageModel, ...]:
        return self._models

    def output_models(self, *inputs: type[DataModel]) -> type[DataModel]:
        return self.data_model

    def get_config(self) -> dict[str, Any]:
        return {"command": list(self.command), "values": self.values, "data_model": self.data_model}

    async def call(self, inputs: DataModel) -> DataModel:
        """The record that the process answers with. Raises TransientError, InvalidOutputError, and what its calls of
        language models raised where the answer cannot stand without them."""
        record, run, output = inputs.get_json(), Run(self.name, judged=True), None
        try:
            answer = await self._answer(json.dumps(record, ensure_ascii=False), run)
            output = parse_json(answer, self.data_model)
            if output is None:
                raise InvalidOutputError(f"{self.name}: {_fault(answer, self.data_model)}")
            if run.must_fail:
                raise InvalidOutputError(f"{self.name}: it answered without a reply")
            return output
        except (TransientError, InvalidOutputError) as fault:
            raise run.error or fault from None
        finally:
            for _, reply in run.replies:
                add_call(Call(self.name, record, None, reply))
            run.end(valid=output is not None)

    async def _answer(self, line: str, run: Run) -> str:
        """The line that answers a line."""
        host, kind = self._host(), canonical_json([self.command, self._variables])
        while True:
            async with host.workers.lease(kind, lambda: host.start(self.command, self._variables)) as worker:
                worker.key.run = run
                try:
                    async with asyncio.timeout(self.timeout_s):
                        answer = await worker.answer(line)
                    if not is_object(answer):  # the next line might be the answer to this one
                        raise InvalidOutputError(f"{self.name}: {_fault(answer, self.data_model)}")
                    return answer
                except TimeoutError:
                    raise TransientError(f"{self.name}: no answer within {self.timeout_s:g} s") from None
                except EndedError as ended:
                    if run.answered:  # what it was told was too much for it: another model may have told it otherwise
                        raise InvalidOutputError(f"{self.name}: {ended}") from None
                    if not worker.answered or run.error:
                        raise TransientError(f"{self.name}: {ended}") from None
                    # else it ends after each line, or an earlier one broke it: it may not have seen this one
                finally:
                    worker.key.run = None

    @functools.cached_property
    def _variables(self) -> dict[str, str]:
        texts = {self._variable(name): _text(value) for name, value in self.values.items()}
        together = json.dumps(self.values, ensure_ascii=False)
        own = {"PARETUNE_HYPERPARAMETERS": together, "OPENAI_MODEL": self._models[0].model, "PYTHONUNBUFFERED": "1"}
        return {**texts, **own}


def _filled(command: Sequence[str], values: Mapping[str, Any]) -> tuple[str, ...]:
    """A command with the values of hyperparameters in the place of their names in braces."""

    def value(found: re.Match[str]) -> str:
        return _text(values[found[1]]) if found[1] in values else found[0]

    return tuple(re.sub(r"\{([^{}]+)\}", value, word) for word in command)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _fault(answer: str, model: type[DataModel]) -> str:
    """Why an answer is no record."""
    if not is_object(answer):
        return f"its answer is no JSON object (got {shown(answer, 200)}); what is no answer belongs on stderr"
    fields = json.loads(answer)
    if list(fields) == ["error"]:
        return str(fields["error"])
    try:
        model.model_validate(fields)
    except ValidationError as error:
        return "; ".join(map(str, find_faults(error, model, "field")))
    return f"its answer does not fit (got {shown(answer, 200)})"
