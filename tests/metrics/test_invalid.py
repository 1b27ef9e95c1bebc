"""Invalid outputs in words."""

from __future__ import annotations

from typing import Any

import pytest

from paretune.metrics.invalid import invalid_kinds, invalid_line, invalid_shares, invalid_warning
from paretune.metrics.measures import measures_of
from paretune.metrics.outcome import InvalidKind, Outcome
from paretune.programs.running import Evaluation
from paretune.reporting.metrics_json import evaluation_summary


def outcome(status: Any, kind: InvalidKind | None = None) -> Outcome:
    reward = {"ok": 1.0, "invalid": 0.0, "failed": None}[status]
    return Outcome(status, {"label": "joy"} if status == "ok" else None, reward, 1, 9, 1, 0.0, 0.1, kind=kind)


SOME = [
    outcome("ok"),
    outcome("ok"),
    outcome("invalid", "empty"),
    outcome("invalid", "cut_off"),
    outcome("invalid", "cut_off"),
    outcome("failed"),
]


def test_shares_add_up_to_the_invalid_rate() -> None:
    """Of five replies two were cut off and one was empty; what failed is none of them."""
    assert invalid_kinds(SOME) == ["cut_off", "empty"]
    assert invalid_shares(SOME) == {"cut_off": 0.4, "empty": 0.2}
    (rate,) = (one.value for one in measures_of(SOME, [{"label": "joy"}] * 6, ()) if one.name == "invalid_rate")
    assert rate == pytest.approx(0.6)
    assert invalid_line(SOME) == "invalid: 40% cut off, 20% empty"


def test_metrics_json_has_the_kinds_that_occur() -> None:
    """A share each, and none where all is valid."""
    summary = evaluation_summary(Evaluation(tuple(SOME), ()))
    assert {name for name in summary if name.startswith("invalid_")} == {"invalid_cut_off", "invalid_empty"}
    assert summary["invalid_cut_off"] == 0.4
    assert evaluation_summary(Evaluation((outcome("ok"),), ())) == {"n": 0, "failures": 0}


def test_a_winner_that_hardly_answers_is_warned_of() -> None:
    """From half of the examples on: how many, each kind, and its cure."""
    warning = invalid_warning(SOME, "test examples") or ""
    assert "for 3 of 6 test examples" in warning
    assert "  40% cut off: replies ended at the limit of tokens: raise max_tokens" in warning
    assert len(warning.splitlines()) == 3
    assert invalid_warning(SOME[:4], "test examples") is not None
    assert invalid_warning(SOME[:3], "test examples") is None


@pytest.mark.parametrize("outcomes", [[], [outcome("ok")], [outcome("failed")]])
def test_nothing_to_tell(outcomes: list[Outcome]) -> None:
    """Without an invalid output there is no line and no warning."""
    assert (invalid_line(outcomes), invalid_warning(outcomes, "test examples")) == ("", None)
