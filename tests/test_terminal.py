"""What others wrote reaches the terminal as text alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import DataError
from paretune.pipeline.run_stage import run_stage
from paretune.terminal import plain
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
