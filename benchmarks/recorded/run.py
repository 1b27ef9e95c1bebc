"""Statistics, racing and tuners on recorded results: ``python benchmarks/recorded/run.py --data FOLDER``.

No language model takes part. docs/benchmarks.md says which files FOLDER has, whence they are, and what came out.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each process has a core of its own
sys.path.insert(0, str(Path(__file__).parent.parent))

import certainty
import races
import searches
import simulated_searches
from tables import Table, read

from paretune.errors import ParetuneError

PARTS = ("statistics", "racing", "tuners")
#: A table: what it shows, its heading, and its rows: each is made when it is called.
Block = tuple[str, str, list[Callable[[], str]]]


def heading(*columns: str) -> str:
    """Two lines that begin a table."""
    return f"| {' | '.join(columns)} |\n" + "|---" * len(columns) + "|"


def statistics(tables: Sequence[Table], runs: int) -> Iterator[Block]:
    """Whether intervals and probabilities hold on real results."""
    row = functools.partial
    yield (
        "The tables",
        heading("table", "configurations x items", "rewards", "costs", "correlation of two (80 %)", "of neighbours"),
        [row(certainty.alike, table) for table in tables],
    )
    big = [table for table in tables if table.size > 3]
    long = [table for table in tables if table.unit == "tokens"]
    kinds = [(kind, table) for kind in ("reward", "gain", "optimism") for table in tables]
    kinds += [(kind, table) for kind in certainty.KINDS if "length" in kind for table in long]
    yield (
        "Coverage of 95 % intervals (lowest of the configurations, mean width; of lengths, as a share of the true one)",
        heading("number", *(f"n = {n}" for n in certainty.SIZES)),
        [row(certainty.coverage_row, f"{kind}, {table.name}", table, kind, runs) for kind, table in kinds],
    )
    gaps = [f"{low:g}-{high:g}" for low, high in zip(certainty.GAPS, certainty.GAPS[1:], strict=False)]
    yield (
        "Differences shown between two configurations",
        heading("table", "no difference", "its p < .05", "wrong way", *gaps, "said: 8 of 10"),
        [row(certainty.compare_row, table, n, 20 * runs) for table in tables for n in (50, 200)],
    )
    sizes = [("spread", 8, 140), ("spread", 20, 50), ("spread", 20, 200), ("near", 20, 200), ("spread", 20, 500)]
    kinds = [(table, *size) for table in big for size in sizes if size[1] <= table.size]

    def label(table: Table, kind: str, k: int, n: int) -> str:
        return f"{table.name}, {kind}, {k} trials, n = {n}"

    yield (
        "The frontier: see simulated_searches",
        simulated_searches.frontier_heading(),
        [
            row(_frontier, label(*each), each, 2 * runs)
            for each in [*kinds, *((table, "spread", table.size, 200) for table in big)]
            if each[0].costs is not None
        ],
    )
    yield (
        "The winner by reward: see simulated_searches",
        simulated_searches.winner_heading(),
        [row(_winner, label(*each), each, 2 * runs) for each in kinds],
    )
    yield (
        "Rules: the winner's regret in points, how often it is above 2, its true cost against the best one's; "
        "bias of its score, raw and corrected, and coverage of the corrected interval",
        heading("search", *(name for rule in certainty.RULES for name in (rule, "bias, corrected, coverage"))),
        [row(_rules, label(*each), each, runs) for each in kinds if each[0].costs is not None],
    )


def _frontier(label: str, kind: tuple[Table, str, int, int], runs: int) -> str:
    table, *search = kind
    return simulated_searches.frontier_row(label, table.searches(0, *search, runs), certainty.AXES[table.unit])


def _winner(label: str, kind: tuple[Table, str, int, int], runs: int) -> str:
    table, *search = kind
    return simulated_searches.winner_row(label, table.searches(1, *search, runs))


def _rules(label: str, kind: tuple[Table, str, int, int], runs: int) -> str:
    table, *search = kind
    return certainty.rule_row(label, table.searches(2, *search, runs))


def racing(tables: Sequence[Table], runs: int) -> Iterator[Block]:
    """What racing saves and loses."""
    names = ("saved", "best dropped", "regret: race, all, fewer")
    yield (
        "Races for the winner: sound, then fast",
        heading("table", *names, *names),
        [
            functools.partial(races.winner_row, table, n, margin, 5 * runs)
            for table in tables
            for n, margin in ((140, 0.0), (300, 0.0), (300, 0.02), (1000, 0.0))
        ],
    )
    names = ("saved", "members dropped, races", "members found: race, all, fewer")
    yield (
        "Races for the frontier: sound, then fast",
        heading("table (configurations, members)", *names, *names),
        [
            functools.partial(races.frontier_row, table, n, runs)
            for table in tables
            if table.costs is not None
            for n in (140, 300, 1000)
        ],
    )


def tuners(tables: Sequence[Table], runs: int) -> Iterator[Block]:
    """What each tuner finds for equal calls."""
    n, seeds = 200, max(2, runs // 5)
    for cascades in (False, True):
        rows: list[Callable[[], str]] = []
        budgets = (15, 30, 60, 100) if cascades else (0.1, 0.25, 0.5, 1.0)
        for table in tables:
            if table.size < 20 or (cascades and table.unit != "tokens"):
                continue
            for goals in (searches.REWARD, searches.BOTH):
                if not goals.listed or table.unit == "tokens":
                    search = functools.partial(searches.tuner_rows, table, cascades, goals, n, budgets)
                    rows.append(functools.partial(_joined, search, seeds * (1 if cascades else 3)))
        names = [f"{budget} trials" if cascades else f"{100 * budget:g} %" for budget in budgets]
        yield (
            f"{'Cascades of two models' if cascades else 'Models'}: what is missed (points of reward, or % of the true"
            " frontier's hypervolume), then the difference to random draws",
            heading("space", "tuner", *names, *(f"{name}, to random" for name in names[1:-1])),
            rows,
        )


def _joined(rows: Callable[[int], Iterator[str]], seeds: int) -> str:
    return "\n".join(rows(seeds))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of recorded results")
    parser.add_argument("--runs", type=int, default=40, help="how many of each (default: %(default)s)")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given several times")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        tables = read(arguments.data)
    except ParetuneError as error:
        sys.exit(f"error: {error}")
    started = time.perf_counter()
    with ProcessPoolExecutor(arguments.workers) as pool:
        blocks = [block for part in arguments.part or PARTS for block in globals()[part](tables, arguments.runs)]
        made = [(title, columns, [pool.submit(row) for row in rows]) for title, columns, rows in blocks]
        for title, columns, rows in made:
            if rows:
                print(f"\n{title}:\n\n{columns}", flush=True)
                for row in rows:
                    print(row.result(), flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
