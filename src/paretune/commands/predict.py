"""``paretune predict``: the winner's answers to new rows."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from paretune.errors import BudgetError, UsageError
from paretune.eventloop import run_maybe_nested
from paretune.files import open_atomic

if TYPE_CHECKING:
    from paretune.serving.answers import Serving

__all__ = ["add_arguments", "add_program_arguments", "opened_serving", "run"]


def add_program_arguments(parser: argparse.ArgumentParser) -> None:
    """Which program is meant."""
    parser.add_argument(
        "program",
        nargs="?",
        type=Path,
        metavar="PROGRAM",
        help="a file of Program.save (default: the project's winner)",
    )
    parser.add_argument("--trial", metavar="TRIAL", help="another trial of the project than the winner")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_program_arguments(parser)
    parser.add_argument("--input", required=True, metavar="FILE", help="rows in any format that is read; -: JSON lines")
    parser.add_argument("--output", default="-", metavar="FILE", help=".jsonl or .csv; -: JSON lines (default)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first so many rows")
    parser.add_argument("--max-calls", type=int, metavar="N", help="end before more calls are paid for")
    parser.add_argument("--max-usd", type=float, metavar="USD", help="end before more dollars are spent")
    parser.add_argument("--no-ledger", action="store_true", help="keep no reply, and take none from the ledger")


def run(arguments: argparse.Namespace) -> None:
    """Answer every row; exit 1 where one has no answer."""
    if arguments.limit is not None and arguments.limit < 1:
        raise UsageError(f"--limit must be at least 1 (got {arguments.limit})")
    ending = Path(arguments.output).suffix.lower() if arguments.output != "-" else ".jsonl"
    if ending not in (".jsonl", ".csv"):
        raise UsageError(f"--output must end with .jsonl or .csv (got {arguments.output!r})")
    source, target = _absolute(arguments.input), _absolute(arguments.output)
    with _source(source) as path, opened_serving(arguments) as serving, _written(target) as handle:
        rows, failed = run_maybe_nested(_predict(serving, path, handle, ending, arguments))
    print(f"{rows:,} rows, {failed:,} without an answer", file=sys.stderr)
    if failed:
        sys.exit(1)


@contextlib.contextmanager
def opened_serving(arguments: argparse.Namespace, *, ledger: bool = True) -> Iterator[Serving]:
    """The program of a file, or of the project that the current folder is in; its folder is the current one then."""
    from paretune.commands.compose import find_root
    from paretune.commands.finished import Finished
    from paretune.lm.ledger.default import SWITCH
    from paretune.pipeline.finished_program import finished_serving, inside
    from paretune.pipeline.sections.base import read_params
    from paretune.serving.answers import load_serving

    if not ledger or getattr(arguments, "no_ledger", False):
        os.environ[SWITCH] = "off"
    if arguments.program is not None:
        if arguments.trial is not None:
            raise UsageError("--trial is of a project; a file holds one program: leave one of the two out")
        yield load_serving(arguments.program)
        return
    root = find_root(Path.cwd())
    finished = Finished(root)
    trial = finished.record(finished.name_of(arguments.trial) if arguments.trial else finished.winner)
    with inside(root):
        serving = run_maybe_nested(finished_serving(read_params(), trial))
        try:
            yield serving
        finally:
            run_maybe_nested(serving.close())


async def _predict(
    serving: Serving, path: Path, handle: TextIO, ending: str, arguments: argparse.Namespace
) -> tuple[int, int]:
    """How many rows there were, and how many of them have no answer."""
    from paretune.datasets.huggingface import read_rows
    from paretune.lm.ledger.attribution import attributed_to
    from paretune.lm.ledger.budget import Budget
    from paretune.reporting.csv_text import guarded
    from paretune.serving.prediction import csv_writer, json_lines_writer, predictions

    fields = serving.output_model.model_fields
    write = csv_writer(handle, fields, guarded) if ending == ".csv" else json_lines_writer(handle)
    budget = Budget(usd=arguments.max_usd, calls=arguments.max_calls, account=f"predict {uuid.uuid4()}")
    rows = itertools.islice(read_rows(path), arguments.limit)
    done = failed = 0
    with budget.charging(), attributed_to(search="predict"):
        try:
            async for row, answered in predictions(serving, rows):
                write(row, answered)
                done, failed = done + 1, failed + (answered.output is None)
                if sys.stderr.isatty() and done % 20 == 0:
                    print(f"\r{done:,} rows, {failed:,} without an answer", end="\r", file=sys.stderr)
        except BudgetError:
            raise BudgetError(_capped(arguments, done)) from None
    return done, failed


def _capped(arguments: argparse.Namespace, done: int) -> str:
    caps = {"--max-calls": arguments.max_calls, "--max-usd": arguments.max_usd}
    given = " ".join(f"{name} {cap:g}" for name, cap in caps.items() if cap is not None)
    kept = (
        "--no-ledger kept none of them"
        if arguments.no_ledger
        else "they are in the ledger: with a higher cap or none, only the others are paid for"
    )
    return f"{given} allows no further call; rows answered: {done:,}; {kept}"


def _absolute(name: str) -> Path | None:
    return None if name == "-" else Path(name).absolute()


@contextlib.contextmanager
def _source(path: Path | None) -> Iterator[Path]:
    """The file of the rows; what comes by standard input is put into one."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="paretune-") as folder:
        file = Path(folder) / "input.jsonl"
        file.write_bytes(sys.stdin.buffer.read())
        yield file


@contextlib.contextmanager
def _written(path: Path | None) -> Iterator[Any]:
    """Where the answers go: a file that is there when it is whole, or the screen."""
    if path is None:
        yield sys.stdout
        return
    with open_atomic(path) as handle:
        yield handle
