"""``paretune import FILE``: results of other programs as trials, with the whole report; nothing is called."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from paretune.errors import UsageError
from paretune.terminal import note, plain

if TYPE_CHECKING:
    from paretune.importing.trials import Imported
    from paretune.stats.measure import Direction

__all__ = ["add_arguments", "run"]

#: What each named column holds.
_COLUMNS = {
    "configuration": "of the hyperparameters, or of the configuration's name (more than once: one each)",
    "item": "that says which example it was",
    "score": "of the reward; of inspect's logs: a scorer",
    "cost": "of US dollars a call",
    "latency": "of seconds a call",
    "prompt_tokens": "of the tokens of the prompt",
    "completion_tokens": "of the tokens of the reply",
    "input": "of the example's text",
    "answer": "of what was answered",
    "target": "of the right answer",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = (
        "Trials with the whole report from results of other programs: a table with one row a configuration and item "
        "(csv, jsonl, parquet …, also .gz and .xz), logs of inspect (.eval, .json; one a configuration), or the JSON "
        "output of promptfoo. Columns are found by their usual names where they are not named."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a table, or one or more logs")
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/imported"), help="default: reports/imported")
    for kind, text in _COLUMNS.items():
        option = f"--{kind.replace('_', '-')}"
        parser.add_argument(option, action="append", metavar="COLUMN", help=f"the column {text}")
    parser.add_argument(
        "--metric", action="append", default=[], metavar="COLUMN[:max|min]", help="a further number of each row"
    )
    parser.add_argument(
        "--objective",
        action="append",
        default=[],
        metavar="NAME[:max|min]",
        help="such as val_reward or val_cost, in their order (default: the reward, and cost, tokens or latency)",
    )
    parser.add_argument("--rule", default="epsilon", help="by which the winner is chosen (default: epsilon)")
    parser.add_argument("--epsilon", type=float, default=0.02, help="of the first objective (default: 0.02)")
    parser.add_argument(
        "--max-failures",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of a configuration's items, failed or missing (default: 0.1)",
    )
    parser.add_argument("--max-mb", type=float, default=20.0, help="of report.html (default: 20)")
    parser.add_argument(
        "--by-file", action="store_true", help="each file is a configuration, also where nothing else tells them apart"
    )
    parser.add_argument("--delimiter", help="of a csv file")
    parser.add_argument("--title", help="of the page (default: the file's name)")


def run(arguments: argparse.Namespace) -> None:
    """Read, write the reports, and say who won."""
    from paretune.importing.report import read_cells, write_imported
    from paretune.importing.tables import Columns
    from paretune.importing.trials import imported
    from paretune.trials.goals import Objective
    from paretune.trials.rules import Rule

    named = {kind: getattr(arguments, kind) for kind in _COLUMNS if getattr(arguments, kind)}
    metrics = {name: direction or "max" for name, direction in map(_directed, arguments.metric)}
    score = named["score"][0] if "score" in named else None
    cells = read_cells(
        arguments.files,
        Columns(named, list(metrics)),
        score=score,
        delimiter=arguments.delimiter,
        by_file=arguments.by_file,
    )
    found = imported(cells, metrics, arguments.max_failures)
    known = {measure.name: measure.direction for group in found.measures.values() for measure in group} | metrics
    objectives = [
        Objective(name, direction or known.get(name.removeprefix("val_"), "max"))
        for name, direction in map(_directed, arguments.objective)
    ]
    goals = found.goals(objectives)
    _tell(found, arguments.max_failures)
    first, *others = arguments.files
    title = arguments.title or f"{first.name}{f' and {len(others)} more' if others else ''}"
    best, paths = write_imported(
        found,
        goals,
        Rule(arguments.rule, arguments.epsilon),
        arguments.output,
        title=title,
        max_mb=arguments.max_mb,
    )
    print(f"wrote {', '.join(map(str, paths))}", file=sys.stderr)
    print(f"{len(found.records):,} configurations on {len(found.examples.x):,} items, 0 calls")
    print(plain(f"{best.why} {best.doubt}"))
    print(plain(f"  {best.values}"))


def _tell(found: Imported, max_failures: float) -> None:
    """What became of cells and configurations that do not count in full."""
    completed = [record for record in found.records if record.completed]
    if found.missing or found.failed:
        note(
            f"of {found.cells:,} cells {found.missing:,} are missing and {found.failed:,} failed: means are over the "
            "others, and pairs with one of these are dropped"
        )
    if gone := len(found.records) - len(completed):
        note(f"{gone:,} configurations have more than {max_failures:.0%} of these, and are not ranked")
    if replicated := sum(len(record.replicates) > 1 for record in completed):
        note(f"{replicated:,} configurations have several results an item, which are replicates (else: --by-file)")


def _directed(text: str) -> tuple[str, Direction | None]:
    """A name with its direction, where it has one behind a colon."""
    name, colon, direction = text.rpartition(":")
    if not colon:
        return text, None
    if direction not in ("max", "min"):
        raise UsageError(f"{text!r}: behind the colon stands max or min (got {direction!r})")
    return name, cast("Direction", direction)
