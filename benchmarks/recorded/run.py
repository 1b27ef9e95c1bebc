"""Statistics, racing and tuners on recorded results of real models: no language model is called.

    python benchmarks/recorded/run.py --data FOLDER [--runs 50] [--part tuners]

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

sys.path.insert(0, str(Path(__file__).parent.parent))

import certainty
import races
import searches
import simulated_searches as simulated
from tables import Table, read

from paretune.errors import ParetuneError

#: How many items a search sees, and a race.
SIZES, RACED = (50, 200), (200, 500)
#: The most configurations of a search, and at most two thirds of the table's, so that searches differ.
TRIALS = 20
#: The same of a search among near-equals, by a rule, and by a tuner.
ITEMS = 200
#: A title, the table's heading, and the rows as functions without arguments.
Section = tuple[str, str, list[partial[str]]]


def heading(*columns: str) -> str:
    """The two lines that begin a table."""
    return f"| {' | '.join(columns)} |\n" + "|---" * len(columns) + "|"


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


def statistics(tables: list[Table], runs: int) -> Iterator[Section]:
    """Whether intervals and probabilities hold."""
    compared = [table for table in tables if table.size > 3]
    priced = [found for table in tables if (found := table.priced)]
    few, many = max(2, runs // 2), 3 * runs
    yield (
        "The tables; rewards and costs by configuration; how alike the answers of two configurations to an item are "
        "(correlation: mean of all pairs, 10 to 90 % of them, and of neighbours by reward):",
        heading("table", "configurations x items", "rewards", "costs", "alike", "neighbours"),
        [partial(certainty.alike, table) for table in tables],
    )
    yield (
        f"Coverage of 95 % intervals, {few} samples a configuration or pair (lowest of these, mean width):",
        heading("number", *(f"n = {n}" for n in certainty.SIZES)),
        [
            partial(certainty.coverage_row, f"{table.name}, {kind}", table, kind, few)
            for kind in certainty.KINDS
            for table in (tables if kind != "mean length" else priced)
            if kind != "mean length" or table.unit == "tokens"
        ],
    )
    yield (
        f"Of trials given a probability of the frontier, the share truly on it (mean given), {runs} searches; "
        "hypervolume: coverage, bias (of the measured one); expected and real number of wrong trials; settled:",
        simulated.frontier_heading(),
        [partial(frontier, table, trials(table), n, runs) for table in priced for n in SIZES],
    )
    yield (
        f"The winner by reward, {many} searches: bias in points, coverage, raw and corrected; the set of the best:",
        simulated.winner_heading(),
        [
            partial(winner, table, kind, min(8, k) if kind == "near" else k, n, many)
            for table in compared
            for k in [trials(table)]
            for kind, n in [*(("spread", n) for n in SIZES), ("near", ITEMS)]
        ],
    )
    yield (
        f"By rule, {many} searches: regret in points, share of searches more than two points worse than the best, "
        "cost of the winner against that of the truly best; bias raw and corrected, coverage:",
        heading("search", *(cell for name in certainty.RULES for cell in (name, "its score"))),
        [partial(rule, table, trials(table), ITEMS, many) for table in priced],
    )


def racing(tables: list[Table], runs: int) -> Iterator[Section]:
    """What racing saves and loses."""

    def columns(what: str, found: str) -> list[str]:
        return [cell for name in races.RULES for cell in (f"{name} saves", f"drops {what}", found)]

    yield (
        f"Racing for the winner, {runs} samples; regret of the race, of all calls, and of as many on fewer items:",
        heading("table", *columns("the best", "regret")),
        [partial(races.winner_row, table, n, runs) for table in tables if table.size > 3 for n in RACED],
    )
    yield (
        f"Racing for the frontier, {runs} samples: share of its members that a test drops, races that drop one; "
        "share of the members on the measured frontier of the race, of all calls, and of as many on fewer items:",
        heading("table (configurations, members)", *columns("members", "members found")),
        [partial(races.frontier_row, found, n, runs) for table in tables if (found := table.priced) for n in RACED],
    )


def tuners(tables: list[Table], runs: int) -> Iterator[Section]:
    """What each tuner finds for equal calls."""
    seeds = max(2, runs // 2)
    for what, goals in (
        ("regret in points", searches.REWARD),
        ("percent of the true frontier's hypervolume that the measured one lacks", searches.BOTH),
    ):
        yield (
            f"Tuners, {seeds} searches of {ITEMS} items: {what}, of random draws; the difference of others to them:",
            heading("table, space, validations", *searches.TUNERS),
            [
                partial(searches.tuner_rows, found, kind, goals, ITEMS, seeds)
                for table in tables
                if (found := table.priced)
                for kind in (("models", "cascades") if found.unit == "tokens" else ("models",))
            ],
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FOLDER", required=True, help="the recorded tables")
    parser.add_argument(
        "--runs",
        type=int,
        default=50,
        help="searches a row; half as many of a tuner, three times as many for a winner (default: %(default)s)",
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given several times")
    arguments = parser.parse_args()
    try:
        tables = read(arguments.data)
    except ParetuneError as error:
        raise SystemExit(f"error: {error}") from None
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = [
            (title, columns, [pool.submit(row) for row in rows])
            for part in arguments.part or PARTS
            for title, columns, rows in PARTS[part](tables, arguments.runs)
        ]
        for title, columns, rows in found:
            print(f"\n{title}\n\n{columns}", flush=True)
            for row in rows:
                print(row.result(), flush=True)


PARTS = {part.__name__: part for part in (statistics, racing, tuners)}

if __name__ == "__main__":
    main()
