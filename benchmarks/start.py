"""What a search takes beside its calls: ``python benchmarks/start.py``, a minute.

For each tuner, in fresh processes: the CPU seconds and the peak memory of importing it; and of a finished search of 180
calls that is estimated and run again, so that everything comes from its record and nothing is called. Beside them what
Python needs for NumPy and pydantic alone, which no search does without.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 7
#: The tuners, and the arguments that are their own.
TUNERS = {
    "GridSearch": {},
    "RandomSearch": {"max_trials": 9},
    "Hyperband": {"max_epochs": 3},
    "BayesianOptimization": {"max_trials": 9, "num_initial_points": 8},
    "ParetoSearch": {"max_trials": 9, "num_initial_points": 8},
}
SEARCH = """
import paretune


class Tweet(paretune.DataModel):
    text: str


class Label(paretune.DataModel):
    label: str


async def build_program(hp):
    model = paretune.ScriptedLanguageModel(lambda request: '{"label": "joy"}', name=hp.Choice("model", ["a", "b", "c"]))
    hp.Choice("few_shot", [0, 1, 2])
    inputs = paretune.Input(data_model=Tweet)
    program = paretune.Program(inputs, await paretune.Generator(data_model=Label, language_model=model)(inputs))
    program.compile(reward=paretune.rewards.ExactMatch())
    return program


x, y = [Tweet(text=f"text {number}") for number in range(20)], [Label(label="joy")] * 20
tuner = getattr(paretune.tuners, kind)(build_program, "val_reward", directory=".", verbose=False, **options)
str(paretune.estimate(tuner, x, y, validation_data=(x, y)))
tuner.search(x, y, validation_data=(x, y))
"""
IMPORT = "import paretune\ngetattr(paretune.tuners, kind)\n"
YARDSTICK = "import numpy, pydantic\n"
MEASURED = "import resource\nused = resource.getrusage(resource.RUSAGE_SELF)\n"
MEASURED += "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)\n"


def measure(code: str, folder: Path, kind: str = "GridSearch") -> tuple[float, float]:
    """CPU seconds and MiB of some code in a new process, each the median of several after a first one."""
    settings = f"kind, options = {kind!r}, {json.dumps(TUNERS[kind])}\n"
    command = [sys.executable, "-c", settings + code + MEASURED]
    printed = [
        subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout for _ in range(1 + RUNS)
    ]
    seconds, memory = zip(*(map(float, line.split()) for line in printed[1:]), strict=True)
    return statistics.median(seconds), statistics.median(memory)


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yardstick, memory = measure(YARDSTICK, folder)
        print(f"{'':<22}{'import':>8}{'':>9}{'search, again':>19}")
        print(f"{'numpy, pydantic':<22}{yardstick:>6.2f} s{memory:>5.0f} MiB")
        for kind in TUNERS:
            (folder / kind).mkdir()
            imported, again = measure(IMPORT, folder / kind, kind), measure(SEARCH, folder / kind, kind)
            cells = [f"{seconds:>6.2f} s{size:>5.0f} MiB" for seconds, size in (imported, again)]
            print(f"{kind:<22}{cells[0]}   {cells[1]}   {again[0] / yardstick:.1f} times")


if __name__ == "__main__":
    main()
