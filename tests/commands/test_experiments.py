"""`paretune experiments`: a row an experiment of DVC."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from finished_project import FORMULA, parsed, printed, write_project

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project with an experiment that chose another winner by another rule."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@b")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    write_project(root)
    (root / "dvc.yaml").write_text("params: [params.yaml]\nmetrics: [reports/metrics.json]\n")
    run("git", "init", "-q", "-b", "main")
    run(sys.executable, "-m", "dvc", "init", "-q")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "first")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["winner"]["epsilon"] = 0.5
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    numbers = json.loads((root / "reports/detail.json").read_text())
    numbers["winner"] |= {"trial": 3, "hyperparameters": {"few_shot": 6, "model": FORMULA}}
    numbers["test"]["reward"] = 0.4
    (root / "reports/detail.json").write_text(json.dumps(numbers))
    run(sys.executable, "-m", "dvc", "exp", "save", "-n", "generous")
    run("git", "checkout", "-q", ".")
    return root


def run(*command: str) -> None:
    """Run a command in the current folder."""
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.slow
def test_experiments_are_listed(project: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit and its experiment: changed params alone, reward with its interval, frontier, dollars, the winner."""
    monkeypatch.setenv("COLUMNS", "120")
    code, text = printed(capsys, "experiments")
    head, *rows = text.splitlines()
    assert code == 0 and " ".join(head.split()) == "experiment epsilon reward tokens $/1,000 frontier search $ winner"
    assert " ".join(rows[0].split()) == "main 0.02 0.80 (0.58–0.92) 202 0.01 2 of 5 0.0006 few_shot 6, openai/small"
    assert rows[1].split()[:3] == ["generous", "0.5", "0.40"] and rows[1].endswith("few_shot 6, =cmd|'/C calc'!A0")
    first, second = parsed(capsys, "experiments")
    assert first["params"] == {"winner.epsilon": 0.02} and first["state"] is None
    assert second["experiment"] == "generous" and second["winner"]["trial"] == 3


def test_what_dvc_cannot_list_is_told(tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without DVC is one line."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/config.yaml").write_text("a: 1\n")
    monkeypatch.chdir(tmp_path)
    code, text = printed(capsys, "experiments")
    assert code == 1 and text.startswith("error: DVC cannot list the experiments: ") and text.count("\n") == 1
