"""Progress of a search: a live line on a terminal, one line a trial elsewhere. Everything goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from paretune.terminal import plain
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord

__all__ = ["Progress", "summary_line", "values_line"]

#: The most characters that are shown of a value.
_LONGEST = 40


class Progress:
    """Tells the trial, the best score so far, calls made of calls planned, what is spent and the time left.

    ``counters`` gives (calls answered so far, calls paid for, US dollars spent); time left is judged from the rate at
    which calls were answered in this run.
    """

    def __init__(self, counters: Callable[[], tuple[int, int, float]], *, verbose: bool = True) -> None:
        self.counters = counters
        self.verbose = verbose
        self.total_trials = 0
        self.planned: dict[str, int] = {}
        self.done: dict[str, TrialRecord] = {}
        self.standing = ""
        self._started = time.monotonic()
        self._live: Any = None

    def start(self, total_trials: int, resumed: int) -> None:
        """Begin a search of so many trials, some of which an earlier run has finished."""
        self.total_trials = total_trials
        if self.verbose and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live
            from rich.text import Text

            self._live = Live(
                get_renderable=lambda: Text(self._line()),
                console=Console(stderr=True),
                refresh_per_second=4,
                redirect_stdout=sys.stdout.isatty(),  # else what is printed would go to stderr
            )
            self._live.start()
        self._print(f"search: {total_trials} trials" + (f", {resumed} of them finished before" if resumed else ""))

    def trial_started(self, number: str, calls: int) -> None:
        """A trial begins that will make so many calls."""
        self.planned[number] = calls

    def trial_ended(self, record: TrialRecord, summary: str, standing: Callable[[], str]) -> None:
        """A trial ended; ``summary`` tells its objectives. ``standing`` tells how the search stands, by all its trials:
        it is only asked where that is shown."""
        self.done[record.trial] = record
        if not self.verbose:
            return
        if self._live is not None:
            self.standing = standing()
        if record.trial not in self.planned:  # an earlier run has told of it
            return
        number = f"{int(record.trial)}/{self.total_trials}"
        parts = [f"trial {number}", values_line(record.values), summary, f"{record.calls} calls"]
        if left := self._left():
            parts.append(f"{left} left")
        self._print("  ".join(parts))

    def note(self, text: str) -> None:
        """Say something about the search as a whole."""
        self._print(f"note: {text}")

    def draining(self, calls: int) -> None:
        """The search ends, and waits for some calls."""
        self.note(f"waiting for {calls} calls in flight, whose replies are paid for (Ctrl-C: drop them)")

    def stop(self) -> None:
        """End the display; what was printed stays."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, text: str) -> None:
        if not self.verbose:
            return
        text = plain(text, lines=True)
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _line(self) -> str:
        answered, paid, spent = self.counters()
        running = ", ".join(str(int(number)) for number in list(self.planned) if number not in self.done)
        parts = [
            f"{len(self.done)} of {self.total_trials} trials" + (f" (running {running})" if running else ""),
            f"{answered} calls ({paid} paid, ${spent:.4f})",
        ]
        if self.standing:
            parts.append(self.standing)
        if left := self._left():
            parts.append(f"{left} left")
        return "  ".join(parts)

    def _left(self) -> str:
        answered, _, _ = self.counters()
        elapsed = time.monotonic() - self._started
        if not answered or not self.planned or len(self.done) == self.total_trials:
            return ""
        per_trial = sum(self.planned.values()) / len(self.planned)
        started = len(self.planned)
        resumed = len([number for number in self.done if number not in self.planned])
        total = sum(self.planned.values()) + per_trial * max(0, self.total_trials - started - resumed)
        seconds = max(0.0, total - answered) * elapsed / answered
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def values_line(values: Mapping[str, Any]) -> str:
    """Hyperparameters in one line; long texts are cut."""
    return "  ".join(f"{name}={_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def summary_line(record: TrialRecord, goals: Goals) -> str:
    """A trial's objectives, with the standard errors over its replicates, and whether it breaks a constraint or was
    dropped; or why it failed."""
    if record.failed:
        return f"FAILED: {record.error}"
    parts = []
    for name in (objective.name for objective in goals.objectives):
        spread = f" ±{record.standard_errors[name]:.2g}" if name in record.standard_errors else ""
        parts.append(f"{name.removeprefix('val_')} {record.metrics[name]:.3g}{spread}")
    if not goals.feasible(record.metrics):
        parts.append("breaks a constraint")
    if (dropped := record.dropped) is not None:
        parts.append(f"dropped after {len(dropped.examples)} examples (trial {int(dropped.by)}: {dropped.why})")
    return "  ".join(parts)
