"""``paretune.report(tuner, folder)``: the reports of a search of the library."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from odd_numbers import fit_arguments, make_builder, mostly_right, numbers

import paretune
from paretune import ScriptedLanguageModel
from paretune.errors import SearchError, UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.tuners import GridSearch


def tuner_in(folder: Path) -> GridSearch:
    """A tuner with two objectives in a folder."""
    model = ScriptedLanguageModel(mostly_right, ledger=Ledger(folder / "ledger.sqlite"))
    objectives = ["val_reward", "val_tokens_per_request"]
    return GridSearch(make_builder(model), objectives, directory=folder, project_name="parity", verbose=False)


def part(page: Path, name: str) -> Any:
    """One part of the page."""
    (text,) = re.findall(rf'id="{name}">([^<]*)<', page.read_text())
    return json.loads(zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS))


def test_a_search_is_reported(tmp_path: Path) -> None:
    """All four files, with the validation examples, prompts and replies of the search; a new process needs the
    examples, and then writes the same bytes."""
    tuner = tuner_in(tmp_path)
    tuner.search(**fit_arguments())
    paths = paretune.report(tuner, tmp_path / "reports", resamples=200)
    assert [path.name for path in paths] == ["trials.csv", "pareto.json", "pareto.png", "report.md", "report.html"]
    facts, block = part(paths[-1], "facts"), part(paths[-1], "example-1")
    assert facts["title"] == "parity" and facts["numbers"] is None and len(facts["trials"]) == 6
    assert facts["winner"]["trial"] == tuner.choose().record.trial
    assert block["x"] == {"n": 101} and block["y"] == {"parity": "odd"}
    assert all(runs[0][2] for runs in block["runs"].values())
    later = tuner_in(tmp_path)
    with pytest.raises(UsageError, match="validation_data"):
        paretune.report(later, tmp_path / "later")
    again = paretune.report(later, tmp_path / "later", validation_data=numbers(4, start=100), resamples=200)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def test_a_running_search_is_drawn(tmp_path: Path) -> None:
    """While the search runs the page says so and has no test; at its end it is that of ``report``."""
    page, seen = tmp_path / "reports" / "report.html", [""]

    def script(request: Request) -> str:
        text = page.read_text() if page.exists() else ""
        if 'id="live"' in text or "The search is running" in text:
            seen.append(text)
        return mostly_right(request)

    model = ScriptedLanguageModel(script, ledger=Ledger(tmp_path / "ledger.sqlite"), latency_s=0.05, concurrency=2)
    tuner = GridSearch(make_builder(model), "val_reward", directory=tmp_path, project_name="parity", verbose=False)
    with paretune.watch(tuner, tmp_path / "reports", every=0.05, resamples=100) as path:
        tuner.search(**fit_arguments())
        assert tuner.status is None
    last = tmp_path / "last.html"
    last.write_text(seen[-1])
    live = part(last, "live")
    assert live["sentences"][0].startswith("The search is running: ") and "no test result yet" in live["sentences"][-1]
    assert path == page and 'id="live"' not in page.read_text() and len(part(page, "facts")["trials"]) == 6


def test_a_share_of_the_examples_is_known_as_validation(tmp_path: Path) -> None:
    """With validation_split the last examples are shown."""
    x, y = numbers(10)
    tuner = tuner_in(tmp_path)
    tuner.search(x=x, y=y, validation_split=0.3)
    page = paretune.report(tuner, tmp_path / "reports", resamples=200)[-1]
    assert [part(page, f"example-{place}")["x"]["n"] for place in range(3)] == [7, 8, 9]


def test_a_race_is_reported(tmp_path: Path) -> None:
    """Dropped trials are in the page with the examples that they ran."""
    model = ScriptedLanguageModel(mostly_right, ledger=Ledger(tmp_path / "ledger.sqlite"), concurrency=16)
    tuner = GridSearch(make_builder(model), "val_reward", directory=tmp_path, racing="fast", verbose=False)
    tuner.search(**fit_arguments(validation_data=numbers(100, start=100)))
    page = paretune.report(tuner, tmp_path / "reports", resamples=200)[-1]
    dropped = [record for record in tuner.trial_records() if record.dropped is not None]
    states = part(page, "matrix")["states"]
    assert dropped
    for record in dropped:
        assert record.dropped is not None
        ran = [place for place, code in enumerate(states[record.trial]) if code != "-"]
        assert ran == sorted(record.dropped.examples)


def test_what_cannot_be_reported(tmp_path: Path) -> None:
    """Without a search there is no winner; with other examples than the search had, nothing is shown wrongly."""
    with pytest.raises(SearchError, match="no trial was completed"):
        paretune.report(tuner_in(tmp_path), tmp_path)
    tuner = tuner_in(tmp_path)
    tuner.search(**fit_arguments())
    with pytest.raises(UsageError, match="3 examples, it had 4"):
        paretune.report(tuner, tmp_path, validation_data=numbers(3))
