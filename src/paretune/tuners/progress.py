"""Progress of a search: a live line on a terminal, one line a trial elsewhere. Everything goes to stderr."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from paretune.metrics.invalid import invalid_line
from paretune.terminal import plain
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord
from paretune.wording import displayed, one_line

__all__ = ["Progress", "summary_line", "values_line"]

#: So many of the latest calls tell the pace.
_LATEST = 50
#: So many running trials are listed.
_LISTED = 4


class Progress:
    """Tells the trial, the best score so far, calls made of calls planned, what is spent and the time left.

    ``counters`` gives (calls answered so far, calls paid for, US dollars spent), ``clock`` seconds. Time left is judged
    from the pace of the latest calls: those that the ledger served, and those of other trials, say little of the ones
    to come.
    """

    def __init__(
        self,
        counters: Callable[[], tuple[int, int, float]],
        *,
        verbose: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = counters
        self._clock = clock
        self.verbose = verbose
        self.total_trials = 0
        self.planned: dict[str, int] = {}
        self.done: dict[str, TrialRecord] = {}
        self.standing = ""
        self._standing_due = -math.inf
        #: The latest looks at the clock and at the calls answered, the oldest first.
        self._looks = deque([(clock(), 0)])
        self._live: Any = None

    def start(self, total_trials: int, resumed: int) -> None:
        """Begin a search of so many trials, some of which an earlier run has finished."""
        self.total_trials = total_trials
        if self.verbose and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live
            from rich.text import Text

            self._live = Live(
                # A line that breaks would push up what is above it at each change of its length
                get_renderable=lambda: Text(self.line(), no_wrap=True, overflow="ellipsis"),
                console=Console(stderr=True),
                refresh_per_second=4,
                redirect_stdout=sys.stdout.isatty(),  # else what is printed would go to stderr
            )
            self._live.start()
        self._print(f"search: {total_trials} trials" + (f", {resumed} of them finished before" if resumed else ""))

    def trial_started(self, number: str, calls: int) -> None:
        """A trial begins that will make so many calls."""
        self.planned[number] = calls

    def trial_arrived(self, number: str, values: Mapping[str, Any], reward: float, ran: int, n: int) -> None:
        """A trial of a race has run its first examples."""
        parts = [f"trial {int(number)}/{self.total_trials}", values_line(values), f"reward {reward:.3g}"]
        self._print("  ".join([*parts, f"on the first {ran} of {n} examples"]))

    def trial_ended(self, record: TrialRecord, summary: str, standing: Callable[[], str]) -> None:
        """A trial ended; ``summary`` tells its objectives. ``standing`` tells how the search stands, by all its trials:
        it is asked where that is shown, for a tenth of the time at most."""
        self.done[record.trial] = record
        if not self.verbose:
            return
        if self._live is not None and self._clock() >= self._standing_due:
            began = self._clock()
            self.standing = standing()
            self._standing_due = self._clock() + 9 * (self._clock() - began)  # of thousands of trials it takes a while
        if record.trial not in self.planned:  # an earlier run has told of it
            return
        number = f"{int(record.trial)}/{self.total_trials}"
        parts = [f"trial {number}", values_line(record.values), summary, f"{record.calls} calls"]
        if record.seconds is not None:
            parts.append(f"{record.seconds:.1f} s")
        if left := self._left():
            parts.append(f"{left} left")
        self._print("  ".join(parts))

    def note(self, text: str) -> None:
        """Say something about the search as a whole."""
        self._print(f"note: {text}")

    def draining(self, calls: int) -> None:
        """The search ends, and waits for some calls."""
        self.note(f"waiting for {calls} calls in flight, so that none is paid for twice (Ctrl-C: drop them)")

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

    def line(self) -> str:
        """How the search stands at this moment; what matters most comes first, for a narrow terminal cuts the end."""
        answered, paid, spent = self.counters()
        running = [str(int(number)) for number in list(self.planned) if number not in self.done]
        listed = ", ".join(running[:_LISTED]) + (f" … {running[-1]}" if len(running) > _LISTED else "")
        parts = [
            f"{len(self.done)} of {self.total_trials} trials" + (f" (running {listed})" if running else ""),
            f"{answered} calls ({paid} paid, ${spent:.4f})",
        ]
        if left := self._left():
            parts.append(f"{left} left")
        if self.standing:
            parts.append(self.standing)
        return plain("  ".join(parts))

    def _left(self) -> str:
        pace = self._seconds_a_call()
        if pace is None or not self.planned or len(self.done) == self.total_trials:
            return ""
        running = [number for number in self.planned if number not in self.done]
        ended = [record.calls for number, record in self.done.items() if number in self.planned]
        begun = sum(self.planned[number] for number in running)
        answered = self.counters()[0] - sum(ended)
        later = self.total_trials - len(self.done) - len(running)
        calls = later * (begun + sum(ended)) / len(self.planned) + max(len(running), begun - answered)
        seconds = calls * pace
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}"

    def _seconds_a_call(self) -> float | None:
        """The pace of the latest calls, the slower the longer no answer comes; None before the first answer."""
        now, answered = self._clock(), self.counters()[0]
        if not answered:
            return None
        while len(self._looks) > 1 and self._looks[0][1] < answered - _LATEST:
            self._looks.popleft()
        since, before = self._looks[0]
        if answered > self._looks[-1][1]:
            self._looks.append((now, answered))
        return (now - since) / max(1, answered - before)


def values_line(values: Mapping[str, Any]) -> str:
    """Hyperparameters in one line; long texts are cut."""
    return "  ".join(f"{name}={one_line(value)}" for name, value in values.items())


def summary_line(record: TrialRecord, goals: Goals) -> str:
    """A trial's objectives, with the standard errors over its replicates, whether it breaks a constraint, what was
    invalid, and whether it was dropped; or why it failed."""
    if record.failed:
        return f"FAILED: {record.error}"
    parts = []
    for name in (objective.name for objective in goals.objectives):
        value, error = (displayed(name, each.get(name, math.nan)) for each in (record.metrics, record.standard_errors))
        spread = "" if math.isnan(error) else f" ±{error:.2g}"
        unit = " USD per 1,000" if name == "val_cost" else ""
        parts.append(f"{name.removeprefix('val_')} {value:.3g}{spread}{unit}")
    if not goals.feasible(record.metrics):
        parts.append("breaks a constraint")
    parts += filter(None, [invalid_line(record.outcomes)])
    if (dropped := record.dropped) is not None:
        parts.append(f"dropped after {len(dropped.examples)} examples (trial {int(dropped.by)}: {dropped.why})")
    return "  ".join(parts)
