"""``paretune best``: the winner, why it is that one, and what the held-out test says."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from paretune.commands.compose import find_root
from paretune.commands.finished import Finished
from paretune.commands.text_table import Column, table_lines, width
from paretune.reporting.sentences import gain_sentence, looks_sentence, tested_rows
from paretune.terminal import plain

__all__ = ["add_arguments", "given", "run", "value_lines"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--json", action="store_true", help="print detail.json")


def run(arguments: argparse.Namespace) -> None:
    """Print the winner."""
    finished = Finished(find_root(Path.cwd()))
    if arguments.json:
        print(json.dumps(finished.numbers, indent=2))
        return
    print(*(plain(line) for line in _lines(finished)), sep="\n")
    print(*value_lines(given(finished.numbers["winner"]["hyperparameters"])), sep="\n", end="\n\n")
    head, *rows = tested_rows(finished.numbers)
    columns = [Column(head[0]), *(Column(name, right=True, rank=rank) for rank, name in enumerate(head[1:]))]
    print(*table_lines(columns, rows, width()), sep="\n", end="\n\n")
    print(*(line for line in (gain_sentence(finished.numbers), looks_sentence(finished.numbers)) if line), sep="\n")


def given(values: dict[str, object]) -> dict[str, object]:
    """Without those that a trial does not have."""
    return {name: value for name, value in values.items() if value is not None}


def value_lines(values: dict[str, object]) -> Iterator[str]:
    """Hyperparameters, one a line."""
    rows = [[f"  {name}", str(value)] for name, value in values.items()]
    return (line for place, line in enumerate(table_lines([Column(""), Column("", least=20)], rows, width())) if place)


def _lines(finished: Finished) -> Iterator[str]:
    winner = finished.numbers["winner"]
    yield f"trial {finished.winner} wins by the rule {winner['rule']}"
    yield winner["why"]
    yield winner["doubt"]
