"""``paretune export``: the winner, or another trial, in a form that works without paretune."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paretune.commands.compose import find_root
from paretune.commands.finished import Finished
from paretune.errors import UsageError
from paretune.eventloop import run_maybe_nested
from paretune.files import open_atomic
from paretune.programs.program import Program
from paretune.schemas.data_model import DataModel
from paretune.schemas.faults import find_faults, shown

__all__ = ["add_arguments", "run"]

_FORMATS = ("messages", "openai", "curl", "python", "prompt", "program")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--trial", metavar="TRIAL", help="a trial (default: the winner)")
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        default="messages",
        help="messages, the body of an OpenAI request, a curl command, a script over the openai package, a page of "
        "Markdown to read, or the program as JSON for `paretune predict`, `paretune serve` and Program.load",
    )
    parser.add_argument(
        "--input", metavar="JSON", help="the input, as JSON by field (default: the first validation example's)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write (default: on screen)")


def run(arguments: argparse.Namespace) -> None:
    """Write the trial's request or program."""
    from paretune.pipeline.finished_program import finished_program, inside
    from paretune.pipeline.sections.base import read_params

    root = find_root(Path.cwd())
    finished = Finished(root)
    trial = finished.record(finished.name_of(arguments.trial) if arguments.trial else finished.winner)
    target = arguments.output and arguments.output.absolute()
    with inside(root):
        program = run_maybe_nested(finished_program(read_params(), trial))
        if arguments.format == "program":
            text = _saved(program)
        else:
            record = _input(program, arguments.input, finished)
            text = run_maybe_nested(_request_text(program, arguments.format, record))
    if target is None:
        print(text.rstrip("\n"))
        return
    with open_atomic(target) as handle:
        handle.write(text if text.endswith("\n") else f"{text}\n")
    print(f"wrote {target}", file=sys.stderr)


def _saved(program: Program) -> str:
    import tempfile

    from paretune.programs.saving import write_program

    with tempfile.TemporaryDirectory() as folder:
        write_program(program, Path(folder) / "program.json")
        return (Path(folder) / "program.json").read_text(encoding="utf-8")


def _input(program: Program, text: str | None, finished: Finished) -> DataModel:
    """The input record. Raises UsageError for one that does not fit."""
    model = program.inputs[0].data_model
    if text is None:
        return model.model_validate(finished.examples[0][0])
    try:
        value: Any = json.loads(text)
        return model.model_validate(value)
    except ValidationError as error:
        faults = "".join(f"\n  {fault}" for fault in find_faults(error, model))
        raise UsageError(f"--input does not fit the task's input:{faults}") from None
    except ValueError as error:
        raise UsageError(
            f'--input must be JSON, such as \'{{"text": "…"}}\' ({error}; got {shown(text, 200)})'
        ) from None


async def _request_text(program: Program, form: str, record: DataModel) -> str:
    from paretune.serving.requests import whole_request
    from paretune.serving.snippets import curl_command, openai_script, prompt_page

    whole = await whole_request(program, record)
    if form == "messages":
        messages = [{"role": role, "content": content} for role, content in whole.request.messages]
        return json.dumps(messages, indent=2, ensure_ascii=False)
    if form == "prompt":
        return prompt_page(whole.request, whole.model.model)
    http = await whole.over_http()
    if form == "openai":
        return json.dumps(http.body, indent=2, ensure_ascii=False)
    return curl_command(http) if form == "curl" else openai_script(http)
