"""Ctrl-C in a search: it ends soon, says how to go on, leaves an account of what it paid, and the next run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project_copy import ROOT, copy_project

from paretune.commands.compose import compose
from paretune.stages import materialize, split

#: A hypermodel whose second trial takes longer than anybody waits.
BUILDER = """
import os
from typing import Literal
from paretune import DataModel, Generator, Input, Program, ScriptedLanguageModel
from paretune.lm.types import Price

class Tweet(DataModel):
    text: str

class Emotion(DataModel):
    label: Literal["joy", "anger"]

SLOW_S = float(os.environ["SLOW_S"])
usd = float(os.environ["USD"])
models = [
    ScriptedLanguageModel(lambda request: '{"label": "joy"}', name=str(n), latency_s=wait, price=Price(usd, usd))
    for n, wait in enumerate([0.0, SLOW_S])
]

async def build_program(hp):
    inputs = Input(Tweet)
    program = Program(inputs, await Generator(Emotion, models[hp.Choice("model", [0, 1])])(inputs))
    program.compile()
    return program
"""
OWN = ["program.builder=slowly:build_program", "program.source=slowly.py", "~search.space", "evaluate.baseline=null"]
SMALL = ["data.splits.train.limit=20", "data.splits.test.limit=5", "objective=reward"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this project's configuration and sample data, split."""
    root = tmp_path / "project"
    copy_project(root)
    (root / "slowly.py").write_text(BUILDER)
    monkeypatch.chdir(root)
    compose(root, [*OWN, *SMALL])
    for part in ("train", "test"):
        monkeypatch.setattr(sys, "argv", ["materialize", part])
        materialize.main()
    split.main()
    return root


def search(project: Path, usd: float, slow_s: float, interrupt: bool) -> tuple[int, list[str], float]:
    """Run the stage; with ``interrupt`` press Ctrl-C when its second trial is under way. Its exit code, its lines on
    stderr, and the seconds that it took from then on."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{project}", "USD": str(usd), "SLOW_S": str(slow_s)}
    environment["PARETUNE_HOME"] = str(project / ".paretune")
    process = subprocess.Popen(
        [sys.executable, "-m", "paretune.stages.search"],
        cwd=project,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = []
    while interrupt and not (lines and lines[-1].startswith("trial 1/")):
        lines.append(process.stderr.readline())
        assert lines[-1], "".join(lines)
    pressed = time.monotonic()
    if interrupt:
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
    lines += process.communicate(timeout=60)[1].splitlines(keepends=True)
    return process.returncode, lines, time.monotonic() - pressed


@pytest.mark.parametrize(("usd", "slow_s"), [(0.0, 30.0), (1.0, 2.0)])
def test_ctrl_c(project: Path, usd: float, slow_s: float) -> None:
    """Free calls are dropped at once, paid ones are waited for; of the 14 validation examples nothing is paid twice."""
    code, lines, seconds = search(project, usd, slow_s, interrupt=True)
    assert (code, lines[-1]) == (130, "interrupted; go on with: dvc repro\n")
    assert any("interrupted: what is answered is kept" in line for line in lines)
    assert any("waiting for" in line for line in lines) == bool(usd)
    assert seconds < 15
    account = json.loads((project / "reports" / "run.json").read_text())
    assert (account["lm_calls_paid"], account["finished"]) == (28 if usd else 14, False)
    assert not (project / "data" / "search" / "best.json").exists()
    code, lines, _ = search(project, usd, 0.0, interrupt=False)
    account = json.loads((project / "reports" / "run.json").read_text())
    assert (code, account["lm_calls_paid"], account["finished"]) == (0, 0 if usd else 14, True)
