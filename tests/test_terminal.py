"""What others wrote reaches the terminal as text alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_numbers import fit_arguments, make_builder, mostly_right

from paretune import ScriptedLanguageModel
from paretune.errors import DataError
from paretune.pipeline.run_stage import run_stage
from paretune.terminal import plain
from paretune.tuners import GridSearch
from paretune.tuners.progress import Progress

ODD = "a\x1b[31mb\x07c\x9bd\u202ee\u2066f\rg"


@given(st.text())
def test_only_printable_characters_are_left(text: str) -> None:
    """Printable text stays as it is; line ends and tabs only where lines are shown."""
    assert plain(text).isprintable()
    assert plain(text, lines=True).replace("\n", "").replace("\t", "").isprintable()
    if text.isprintable():
        assert plain(text) == plain(text, lines=True) == text


def test_errors_and_progress_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """ESC, BEL, C1, changes of direction and carriage returns are escaped in both."""

    def fail() -> None:
        raise DataError(f"first: {ODD}\n  second")

    with pytest.raises(SystemExit):
        run_stage(fail)
    Progress(lambda: (0, 0, 0.0))._print(ODD)
    first, second, third = capsys.readouterr().err.splitlines()
    shown = r"a\x1b[31mb\x07c\x9bd\u202ee\u2066f\rg"
    assert (first, second, third) == (f"error: first: {shown}", "  second", shown)


def test_live_lines_and_summaries_are_plain(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """So are the line that tells how a search stands, the results, and the space."""
    progress = Progress(lambda: (0, 0, 0.0), verbose=False)
    progress.standing = ODD
    assert progress.line().isprintable()
    model = ScriptedLanguageModel(mostly_right)

    def build(hp: Any) -> Any:
        hp.Choice("word", [ODD, "a"])
        return make_builder(model, [0.0])(hp)

    tuner = GridSearch(build, "val_reward", directory=tmp_path, verbose=False)
    tuner.search(**fit_arguments())
    tuner.results_summary()
    tuner.search_space_summary()
    assert capsys.readouterr().out.replace("\n", "").isprintable()
