"""What a search shows while it runs: a live line on a terminal, a line a trial elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from odd_numbers import fit_arguments, make_builder, mostly_right

from paretune import ScriptedLanguageModel
from paretune.tuners import GridSearch
from paretune.tuners.progress import values_line

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


def on_a_terminal(tmp_path, verbose: str) -> tuple[str, str]:
    """What a search prints to a file on stdout, and what it shows on the terminal that is its stderr."""
    ours, theirs = pty.openpty()
    path = ":".join([os.path.dirname(__file__), *(name for name in sys.path if name)])
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "PYTHONPATH": path}
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
