"""Searches that are killed (kill -9) at any moment: ``python benchmarks/kills.py [--racing] [TUNER …]``, some minutes.

Each tuner's short search is killed at 30 random moments (three in each of ten searches), and at each write of a record
at each stage of it (before, in the middle of the line, before the fsync, after). Resumed to its end, each search must
have the records and the winner of an uninterrupted one, and may have repeated only the calls that were in flight.
With ``--racing`` the trials race.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))

from odd_numbers import rows
from short_searches import CONCURRENCY, SHORT, STAGES, Searching, calls_in, records_in, run

SEARCHES, KILLS = 10, 3


def check(folder: Path, kills: int, records: list[dict[str, Any]], calls: set[str]) -> int:
    """How many calls a killed search has made twice."""
    made = calls_in(folder)
    repeated = len(made) - len(calls)
    assert records_in(folder) == records, f"{folder}: other records than without kills"
    assert set(made) == calls, f"{folder}: other calls than without kills"
    assert repeated <= kills * CONCURRENCY, f"{folder}: {repeated} calls were made twice after {kills} kills"
    return repeated


def main() -> None:
    """Print one line a tuner."""
    rng = random.Random(7)
    racing = "sound" if "--racing" in sys.argv else "none"
    for kind in [each for each in sys.argv[1:] if each in SHORT] or SHORT:
        with tempfile.TemporaryDirectory() as place, Searching(racing) as searching:

            def folder(name: str, place: str = place) -> Path:
                path = Path(place) / name
                path.mkdir()
                return path

            whole = folder("whole")
            records, calls = rows(run(kind, whole, racing=racing)), set(calls_in(whole))
            kills = repeated = writes = repeated_at_writes = 0
            for number in range(SEARCHES):
                one = folder(f"random-{number}")
                killed = searching.killed_at_random(kind, one, len(calls), KILLS, rng)
                repeated += check(one, killed, records, calls)
                kills += killed
            for stage in STAGES:
                one = folder(stage)
                killed = searching.killed_at_every_write(kind, one, (stage,))
                repeated_at_writes += check(one, killed, records, calls)
                writes += killed
            print(
                f"{kind}: {len(records)} trials, {len(calls)} calls; same records and winner after "
                f"{kills} random kills ({repeated} calls made twice, {kills * CONCURRENCY} could have been in flight) "
                f"and {writes} kills at writes ({repeated_at_writes} calls made twice)",
                flush=True,
            )


if __name__ == "__main__":
    main()
