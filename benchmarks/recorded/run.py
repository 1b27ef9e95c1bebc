"""Statistics, racing and tuners on recorded results of real models: no language model is called.

    python benchmarks/recorded/run.py --data FOLDER [--runs 100]

FOLDER has tables ``*.csv`` or ``*.csv.xz``, a row a configuration and item, with the columns ``configuration``,
``item``, ``score`` (0 to 1), and perhaps ``out_chars``. What a whole table says is the truth; a search sees some of its
items.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import certainty
import races
import searches
import simulated_searches as simulated
from tables import Table, read

from paretune.errors import ParetuneError

SIZES = certainty.SIZES
#: The most configurations of a search, and at most two thirds of the table's, so that searches differ.
TRIALS = 20
#: How many items a search for a rule's winner, or of a tuner, sees.
ITEMS = 200
#: A title with the table's heading, and the rows as functions without arguments.
Section = tuple[str, list[partial[str]]]


def frontier(table: Table, k: int, n: int, runs: int) -> str:
    """A row of frontier probabilities."""
    label = f"{table.name}, {k} trials, n = {n}"
    return simulated.frontier_row(label, table.searches(0, "spread", k, n, runs), certainty.AXES[table.unit])


def winner(table: Table, kind: str, k: int, n: int, runs: int) -> str:
    """A row of winners and their scores."""
    return simulated.winner_row(f"{table.name}, {kind}, {k} trials, n = {n}", table.searches(0, kind, k, n, runs))


def rule(table: Table, k: int, n: int, runs: int) -> str:
    """A row of the rules of choice."""
    return certainty.rule_row(f"{table.name}, {k} trials, n = {n}", table.searches(0, "spread", k, n, runs))


def trials(table: Table) -> int:
    """How many configurations a search on a table has."""
    return min(TRIALS, 2 * table.size // 3)


def sections(tables: list[Table], runs: int) -> Iterator[Section]:
    """Everything that is printed."""
    raced = [table for table in tables if table.size > 3]
    priced = [found for table in tables if (found := table.priced)]
    few, many = max(2, runs // 2), 3 * runs
    yield (
        "The tables; rewards and costs by configuration; how alike the answers of two configurations to an item are "
        "(correlation: mean of all pairs, 10 to 90 % of them, and of neighbours by reward):\n\n"
        "| table | configurations x items | rewards | costs | alike | neighbours |\n" + "|---" * 6 + "|",
        [partial(certainty.alike, table) for table in tables],
    )  # fmt: skip
    yield (
        f"Coverage of 95 % intervals, {few} samples a configuration or pair (lowest of these, mean width):\n\n"
        "| number | " + " | ".join(f"n = {n}" for n in SIZES) + " |\n" + "|---" * 5 + "|",
        [
            partial(certainty.coverage_row, f"{table.name}, {kind}", table, kind, few)
            for kind in certainty.KINDS
            for table in (tables if kind != "mean length" else priced)
            if kind != "mean length" or table.unit == "tokens"
        ],
    )
    yield (
        f"Of trials given a probability of the frontier, the share truly on it (mean given), {runs} searches;\n"
        "hypervolume: coverage, bias (of the measured one); expected and real number of wrong trials; settled:\n\n"
        + simulated.frontier_heading(),
        [partial(frontier, table, trials(table), n, runs) for table in priced for n in SIZES],
    )
    yield (
        f"The winner by reward, {many} searches: bias in points, coverage, raw and corrected; the set of the best:\n\n"
        + simulated.winner_heading(),
        [
            partial(winner, table, kind, min(8, k) if kind == "near" else k, n, many)
            for table in raced
            for k in [trials(table)]
            for kind, n in [*(("spread", n) for n in SIZES), ("near", ITEMS)]
        ],
    )
    yield (
        f"By rule, {many} searches: regret in points, cost of the winner against that of the truly best, share of\n"
        "searches more than two points worse than the best; bias raw and corrected, coverage:\n\n| search | "
        + " | ".join(f"{name} | its score" for name in certainty.RULES)
        + " |\n"
        + "|---" * (1 + 2 * len(certainty.RULES))
        + "|",
        [partial(rule, table, trials(table), ITEMS, many) for table in priced],
    )
    heading = " | ".join(f"{name} saves | drops {{0}} | {{1}}" for name in races.RULES) + " |\n" + "|---" * 7 + "|"
    yield (
        f"Racing for the winner, {runs} orders of items; regret of the race, of all calls, and of as many calls on "
        "fewer items:\n\n| table | " + heading.format("the best", "regret"),
        [partial(races.winner_row, table, n, runs) for table in raced for n in SIZES[1:]],
    )
    yield (
        "Racing for the frontier: share of its members that a test drops, searches in which it drops one; share of the "
        "members on the measured frontier of the race, of all calls, and of as many calls on fewer items:\n\n| table | "
        + heading.format("members", "members found"),
        [partial(races.frontier_row, table, n, runs) for table in priced for n in SIZES[1:]],
    )
    columns = [f"{share:.0%}" for share in searches.BUDGETS] + ["25%, to random", "50%, to random"]
    for title, goals in (
        ("Tuners: regret in points", searches.REWARD),
        ("Tuners: what the measured frontier lacks of the true one's hypervolume, in percent", searches.BOTH),
    ):
        yield (
            f"{title}, by calls as a share of the full grid's; {few} searches of {ITEMS} items:\n\n"
            f"| space | tuner | {' | '.join(columns)} |\n" + "|---" * 8 + "|",
            [
                partial(searches.tuner_row, table, kind, tuner, goals, ITEMS, few)
                for table in priced
                for kind in (("models", "cascades") if table.unit == "tokens" else ("models",))
                for tuner in searches.TUNERS
            ],
        )


def _call(row: Any) -> str:
    found: str = row()
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the recorded tables")
    parser.add_argument(
        "--runs",
        type=int,
        default=100,
        help="searches a row; half as many of a tuner, three times as many for a winner",
    )
    arguments = parser.parse_args()
    if arguments.data is None:
        raise SystemExit("name a folder of recorded results: --data FOLDER (docs/benchmarks.md says what is in it)")
    try:
        tables = read(arguments.data)
    except ParetuneError as error:
        raise SystemExit(str(error)) from None
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = [(title, [pool.submit(_call, row) for row in rows]) for title, rows in sections(tables, arguments.runs)]
        for title, rows in found:
            print(f"\n{title}", flush=True)
            for row in rows:
                print(row.result(), flush=True)


if __name__ == "__main__":
    main()
