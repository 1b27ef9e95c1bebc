"""Random replies, configurations, overrides and CSV files: no traceback, no wrong cell, nothing lost, no hang.

    python benchmarks/fuzz.py [replies|params|overrides|csv …] [--count 1000] [--seed 0]

``replies``    what a server sends, from the wire through the ledger to the outcome of an example
``params``     changes of params.yaml, through the checks, and built where they pass
``overrides``  through Hydra as in `paretune compose`, then the same
``csv``        files against Python's csv, in order and by position, packed and not

Each prints what was tried and what became of it. A finding ends with its smallest example, and with status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from odd_params import composed_and_judged, judged, mutations, overrides  # noqa: E402
from odd_replies import judged_reply, replies  # noqa: E402
from odd_tables import Table, files, judged_file, round_trip, tables  # noqa: E402
from openai_server import openai_server  # noqa: E402

from paretune.lm.ledger.ledger import Ledger  # noqa: E402
from paretune.pipeline.sections.base import read_params  # noqa: E402

#: Seconds that a single case may take.
LONGEST_S = 60

Judge = Callable[[Any], str]


class Hang(BaseException):
    """A case took too long; no part of what is tried may catch it."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise Hang inside of a block that takes too long."""

    def stop(*_: Any) -> None:
        raise Hang(f"longer than {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def judge_of_replies(folder: Path) -> Iterator[tuple[st.SearchStrategy[Any], Judge]]:
    """All go to one server and one ledger."""
    ledger = Ledger(folder / "ledger.sqlite")
    with openai_server() as server:
        yield replies(), lambda sent: judged_reply(sent, server, ledger)
    ledger.close()


@contextlib.contextmanager
def judge_of_params(folder: Path) -> Iterator[tuple[st.SearchStrategy[Any], Judge]]:
    """From those of this project."""
    yield mutations(read_params(ROOT / "params.yaml")), judged


@contextlib.contextmanager
def judge_of_overrides(folder: Path) -> Iterator[tuple[st.SearchStrategy[Any], Judge]]:
    """Of this project's conf/."""
    yield overrides(ROOT), lambda given: composed_and_judged(given, ROOT, folder / "params.yaml")


@contextlib.contextmanager
def judge_of_csv(folder: Path) -> Iterator[tuple[st.SearchStrategy[Any], Judge]]:
    """Tables that must come back, and files that may be none."""

    def judge(given: Any) -> str:
        return round_trip(given, folder) if isinstance(given, Table) else judged_file(*given, folder)

    yield tables() | files(), judge


KINDS = {
    "replies": judge_of_replies,
    "params": judge_of_params,
    "overrides": judge_of_overrides,
    "csv": judge_of_csv,
}


def tried(kind: str, count: int, number: int) -> bool:
    """Judge ``count`` random values of a kind and print what became of them; whether there was no finding."""
    verdicts: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PARETUNE_HOME"] = folder
        with KINDS[kind](Path(folder)) as (strategy, judge):

            @seed(number)
            @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(strategy)
            def each(value: Any) -> None:
                nonlocal slowest
                started = time.perf_counter()
                with limited():
                    verdicts[judge(value)] += 1
                slowest = max(slowest, time.perf_counter() - started)

            started = time.perf_counter()
            try:
                each()
            except (Exception, Hang):
                traceback.print_exc()
                print(f"{kind}: a finding after {sum(verdicts.values())} cases (seed {number})")
                return False
    numbers = ", ".join(f"{total:,} {verdict}" for verdict, total in sorted(verdicts.items()))
    seconds = time.perf_counter() - started
    print(f"{kind}: {sum(verdicts.values()):,} cases, no finding: {numbers}; {seconds:.0f} s, slowest {slowest:.2f} s")
    return True


def main() -> int:
    """Every kind that is asked for, one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"{', '.join(KINDS)} (all)")
    parser.add_argument("--count", type=int, default=1_000, help="cases of each kind (1,000)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    if unknown := set(arguments.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))} (there are {', '.join(KINDS)})")
    os.chdir(ROOT)
    warnings.simplefilter("ignore")
    print(f"seed {arguments.seed}", flush=True)
    results = [tried(kind, arguments.count, arguments.seed) for kind in arguments.kinds or KINDS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
