"""The command `paretune estimate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paretune.commands.main import main

ROOT = Path(__file__).resolve().parents[2]


def test_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_state: Path) -> None:
    """One line a subject on stdout, from any folder of the project; params.yaml stays as it is."""
    monkeypatch.chdir(ROOT / "conf")
    before = (ROOT / "params.yaml").read_bytes()
    main(["estimate", "search.max_trials=2", "data.splits.train.limit=10"])
    lines = capsys.readouterr().out.splitlines()
    subjects = [line.split()[0] for line in lines]
    assert subjects == ["trials", "calls", "tokens", "dollars", "time", "test:", "test:", "test:"]
    assert len({line.index(text) for line, text in zip(lines, ("2 in", "17"), strict=False)}) == 1
    assert max(map(len, lines)) <= 80
    assert (ROOT / "params.yaml").read_bytes() == before and not own_state.exists()


def test_for_machines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the numbers: a grid of 2, 3 training and 7 validation examples."""
    monkeypatch.chdir(ROOT)
    main(["estimate", "--json", "search.max_trials=2", "data.splits.train.limit=10"])
    assert json.loads(capsys.readouterr().out)["search"]["calls"] == {"low": 17, "high": 17}


@pytest.mark.parametrize(
    ("examples", "told"),
    [
        (20, "no gain: too few (20 examples"),
        (60, "at best a gain of 19.4 points"),
        (200, "a gain of 6.23 – 10.8 points"),
    ],
)
def test_what_the_test_can_show(
    examples: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gains that so many examples show, where there are such; in JSON null for what they cannot show."""
    monkeypatch.chdir(ROOT)
    small = ["search.max_trials=2", "data.splits.train.limit=10", f"data.splits.test.limit={examples}"]
    main(["estimate", *small])
    assert told in capsys.readouterr().out.splitlines()[-1]
    main(["estimate", "--json", *small])
    shown = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))["test_shows"]
    assert [value is None for value in shown["difference"].values()] == [examples < 200, examples < 60]


def test_mistakes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong override is told in a line, without a traceback."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as caught:
        main(["estimate", "serach.max_trials=2"])
    assert caught.value.code == 1 and capsys.readouterr().err.startswith("error: cannot compose conf/: 'serach")
