"""What a search shows while it runs: a live line on a terminal, a line a trial elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest
from odd_numbers import fit_arguments, make_builder, mostly_right

from paretune import ScriptedLanguageModel
from paretune.trials.record import TrialRecord
from paretune.tuners import GridSearch
from paretune.tuners.progress import Progress, values_line

SEARCH = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from odd_numbers import fit_arguments, make_builder, mostly_right
from paretune import ScriptedLanguageModel
from paretune.lm.types import Price
from paretune.tuners import GridSearch

build = make_builder(ScriptedLanguageModel(mostly_right, latency_s=0.05, price=Price(1000.0, 1000.0)))

async def talking(hp):
    print("said by the builder")
    return await build(hp)

tuner = GridSearch(talking, ["val_reward", "val_cost"], directory=sys.argv[2], parallel_trials=2)
verbose = {} if sys.argv[3] == "" else {"verbose": sys.argv[3]}
tuner.search(**fit_arguments(**verbose, epochs=2))
"""


def on_a_terminal(tmp_path, verbose: str, columns: int = 200) -> tuple[str, str]:
    """What a search prints to a file on stdout, and what it shows on the terminal that is its stderr."""
    ours, theirs = pty.openpty()
    path = ":".join([os.path.dirname(__file__), *(name for name in sys.path if name)])
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "PYTHONPATH": path}
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCH, path, str(tmp_path), verbose],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=environment,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.stdout is not None
    printed = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 0, shown.decode()
    return printed, shown.decode()


def test_a_live_line_on_a_terminal(tmp_path):
    """Trials of how many, calls, dollars, the best so far, the frontier and the time left; what the user's code prints
    goes where it went."""
    printed, shown = on_a_terminal(tmp_path, "")
    assert set(printed.splitlines()) == {"said by the builder"}
    assert "said by" not in shown
    for part in ("of 6 trials (running 1, 2)", "paid, $", "best trial", "on the frontier", " left", "trial 6/6"):
        assert part in shown, part


def test_the_live_line_fits_a_narrow_terminal(tmp_path):
    """Its end is cut, and never breaks into a second line; a finished trial's line may."""
    _, shown = on_a_terminal(tmp_path, "", columns=80)
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line).strip("\r") for line in re.split(r"[\r\n]+", shown)]
    live = [line for line in lines if "paid, $" in line]
    assert live and all(len(line) <= 80 for line in live)
    assert any("left" in line and line.endswith("…") for line in live)


def test_many_running_trials_are_not_all_listed():
    """Of 20 at once the first ones and the last one."""
    search = FakeSearch(30)
    for number in range(1, 21):
        search.begin(number, 10)
    assert "0 of 30 trials (running 1, 2, 3, 4 … 20)" in search.progress.line()


def test_epochs_are_told_in_lines_of_their_own(tmp_path):
    """Within a search there is no second live line."""
    _, shown = on_a_terminal(tmp_path, "auto")
    assert "epoch 2/2" in shown and "of 6 trials" in shown


def test_a_line_a_trial_elsewhere(tmp_path, capsys):
    """Each finished trial has one line on stderr, and stdout stays empty."""
    model = ScriptedLanguageModel(mostly_right)
    GridSearch(make_builder(model), "val_reward", directory=tmp_path).search(**fit_arguments())
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[0] == "search: 6 trials"
    assert [line.split("  ")[0] for line in lines[1:]] == [f"trial {number}/6" for number in range(1, 7)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "a=0.5"), ("Be brief.\nAnswer.", "a=Be brief. Answer."), ("x" * 50, "a=" + "x" * 39 + "…")],
)
def test_values_take_one_line(value, shown):
    """Long texts and texts of several lines are shortened."""
    assert values_line({"a": value, "b": True}) == f"{shown}  b=True"


class FakeSearch:
    """A search whose clock and calls a test moves on; ``left`` are the seconds that its live line shows."""

    def __init__(self, trials: int, resumed: int = 0) -> None:
        self.now, self.answered = 1000.0, 0
        self.progress = Progress(lambda: (self.answered, 0, 0.0), verbose=False, clock=lambda: self.now)
        self.progress.start(trials, resumed)

    def calls(self, count: int, seconds_each: float) -> list[float | None]:
        """So many answers, one after the other; the time left that is shown at each fourth of a second meanwhile."""
        shown = []
        for _ in range(count):
            until = self.now + seconds_each
            while self.now + 0.25 < until:
                self.now += 0.25
                shown.append(self.left)
            self.now, self.answered = until, self.answered + 1
            shown += [] if seconds_each < 0.25 else [self.left]
        return shown

    def begin(self, number: int, calls: int) -> None:
        self.progress.trial_started(f"{number:04d}", calls)

    def end(self, number: int, calls: int) -> None:
        record = TrialRecord(f"{number:04d}", "COMPLETED", {}, calls=calls)
        self.progress.trial_ended(record, "", lambda: "")

    @property
    def left(self) -> float | None:
        found = re.search(r"(\d+):(\d\d) left", self.progress.line())
        return None if found is None else 60.0 * int(found[1]) + int(found[2])


def test_time_left_of_an_even_search():
    """Trials alike, at an even pace: what is left is what will pass."""
    search = FakeSearch(3)
    assert search.left is None
    for number in (1, 2, 3):
        search.begin(number, 40)
        for done in range(40):
            search.calls(1, 1.0)
            left = 120 - 40 * (number - 1) - done - 1
            assert search.left is None or left - 1 <= search.left <= left + 1
        search.end(number, 40)
    assert search.left is None


def test_time_left_after_what_the_ledger_served():
    """A thousand calls of a rerun take no time; the hundred that follow take two seconds each, and so the line says
    from the first of them on, without standing still."""
    search = FakeSearch(11)
    for number in range(1, 11):
        search.begin(number, 100)
        search.calls(100, 0.0)
        search.end(number, 100)
    search.begin(11, 100)
    assert search.left == 0
    search.calls(1, 2.0)
    shown = [search.left]
    for _ in range(98):
        search.calls(1, 2.0)
        shown.append(search.left)
    assert all(abs(left - 2 * (99 - passed)) <= 2 for passed, left in enumerate(shown))


def test_time_left_of_a_slow_last_trial():
    """After 50 calls of the new pace it is right; it never shows less than a call while one is under way."""
    search = FakeSearch(3)
    for number in (1, 2):
        search.begin(number, 140)
        search.calls(140, 0.1)
        search.end(number, 140)
    search.begin(3, 140)
    search.calls(60, 1.0)
    assert abs(search.left - 80) <= 1
    assert min(search.calls(79, 1.0)[:-1]) >= 1


def test_time_left_while_no_answer_comes():
    """It grows with the wait; a clock that stands at two seconds for a minute says nothing."""
    search = FakeSearch(1)
    search.begin(1, 12)
    search.calls(10, 1.0)
    assert search.left == 2
    waiting = search.calls(1, 60.0)
    assert waiting[-2] >= 12 and waiting == sorted(waiting[:-1]) + waiting[-1:]


def test_time_left_of_trials_that_are_not_as_planned():
    """A trial that failed early, one that an earlier run has finished, and one that makes more calls than planned."""
    search = FakeSearch(4, resumed=1)
    search.end(1, 500)
    search.begin(2, 100)
    search.calls(10, 1.0)
    search.end(2, 10)
    search.begin(3, 20)
    search.calls(20, 1.0)
    assert 14 <= search.left <= 17  # at least one call of trial 3, and the mean of trials 2 and 3
    search.calls(10, 1.0)
    assert search.left >= 15


def test_time_left_of_trials_side_by_side(capsys):
    """Their calls come together; the line of a trial that ended shows it too."""
    search = FakeSearch(4)
    search.progress.verbose = True
    for number in (1, 2):
        search.begin(number, 10)
    search.calls(20, 0.5)
    search.end(1, 10)
    assert capsys.readouterr().err.endswith("10 calls  0:10 left\n")
