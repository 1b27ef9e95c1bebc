"""What a trial costs the search's machinery as trials pile up: ``python benchmarks/scaling.py [TUNER …]``.

For each tuner a search of 1,000 trials, with a language model that answers at once and two validation examples. Printed
is the CPU time a trial takes around trial 100 and around trial 1,000, and the ratio of the two. The grid and the random
search nearly exhaust their space of 1,001 points.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import paretune
from paretune.lm.ledger.ledger import Ledger

TRIALS, WINDOW = 1_000, 100
SEARCHES: dict[str, dict[str, Any]] = {
    "GridSearch": {"max_trials": TRIALS},
    "RandomSearch": {"max_trials": TRIALS},
    "Hyperband": {"max_epochs": 9, "hyperband_iterations": 44},  # 1,012 trials
    "ParetoSearch": {"max_trials": TRIALS},
}


class Question(paretune.DataModel):
    """The input."""

    text: str


class Answer(paretune.DataModel):
    """The output."""

    label: Literal["yes", "no"]


def trial_times(kind: str, folder: Path) -> list[float]:
    """The CPU seconds at which each trial's program was built."""
    model = paretune.ScriptedLanguageModel(
        lambda request: '{"label": "yes"}', ledger=Ledger(folder / "ledger.sqlite"), concurrency=4
    )
    times = []

    async def build_program(hp: Any) -> paretune.Program:
        times.append(time.process_time())
        inputs = paretune.Input(data_model=Question)
        temperature = hp.Float("temperature", 0.0, 1.0, step=0.001 if kind in ("GridSearch", "RandomSearch") else None)
        generator = paretune.Generator(data_model=Answer, language_model=model, temperature=temperature)
        program = paretune.Program(inputs=inputs, outputs=await generator(inputs))
        program.compile()
        return program

    x, y = [Question(text="a"), Question(text="b")], [Answer(label="yes"), Answer(label="no")]
    tuner = getattr(paretune.tuners, kind)(
        build_program,
        ["val_reward", "val_latency"],
        directory=folder,
        parallel_trials=2,
        verbose=False,
        **SEARCHES[kind],
    )
    tuner.search(x, y, validation_data=(x, y))
    return times[1:]  # the first one is built to learn the space


def main() -> None:
    """Print one line a tuner."""
    for kind in sys.argv[1:] or SEARCHES:
        with tempfile.TemporaryDirectory() as folder:
            times = trial_times(kind, Path(folder))
        early = (times[100 + WINDOW // 2] - times[100 - WINDOW // 2]) / WINDOW
        late = (times[TRIALS - 1] - times[TRIALS - 1 - WINDOW]) / WINDOW
        print(
            f"{kind}: {1e3 * early:.2f} ms a trial at 100 trials, {1e3 * late:.2f} ms at {TRIALS:,}: "
            f"{late / early:.2f} times",
            flush=True,
        )


if __name__ == "__main__":
    main()
