"""Random configurations and overrides: each is built or refused in a few lines, and none ends in a traceback.

    python benchmarks/fuzz_overrides.py [--params 10000] [--overrides 500] [--seed 0]

``--params`` changes the composed params.yaml directly and runs the checks on it, and builds what passes them;
``--overrides`` goes through Hydra as `paretune compose` does, then through the same.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from odd_params import composed_and_judged, judged, mutations, overrides  # noqa: E402

from paretune.pipeline.sections.base import read_params  # noqa: E402


def run(what: str, count: int, number: int, strategy: st.SearchStrategy[object], judge: Callable[..., str]) -> None:
    """Judge ``count`` random values; any exception that is no ParetuneError ends the run with its smallest example."""
    verdicts: Counter[str] = Counter()
    slowest = 0.0

    @seed(number)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def each(value: object) -> None:
        nonlocal slowest
        started = time.perf_counter()
        verdicts[judge(value)] += 1
        slowest = max(slowest, time.perf_counter() - started)

    started = time.perf_counter()
    each()
    numbers = ", ".join(f"{total} {verdict}" for verdict, total in sorted(verdicts.items()))
    print(f"{what}: {numbers}; {time.perf_counter() - started:.0f} s, the slowest {slowest:.2f} s")


def main() -> None:
    """Both runs, one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=int, default=10_000)
    parser.add_argument("--overrides", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    os.chdir(ROOT)
    params = read_params()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["PARETUNE_HOME"] = scratch
        print(f"seed {arguments.seed}")
        run("params.yaml", arguments.params, arguments.seed, mutations(params), judged)
        output = Path(scratch) / "params.yaml"
        run(
            "overrides",
            arguments.overrides,
            arguments.seed,
            overrides(params),
            lambda one: composed_and_judged(one, ROOT, output),
        )


if __name__ == "__main__":
    main()
