"""`paretune check`: this checkout's winner against a revision's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from paretune.commands.main import main
from paretune.stats import agresti_min


def git(root: Path, *command: str) -> None:
    """Run Git in a folder."""
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], cwd=root, check=True)


def write(root: Path, rewards: Sequence[float | None], names: Sequence[str] | None = None, tokens: float = 100) -> None:
    """The reports of a winner with these rewards."""
    names = names or [f"e{number}" for number in range(len(rewards))]
    rows = [{"example": name, "winner": reward} for name, reward in zip(names, rewards, strict=True)]
    (root / "reports").mkdir(exist_ok=True)
    (root / "reports/test_rewards.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scored = [reward for reward in rewards if reward is not None]
    numbers = {"reward": sum(scored) / len(scored), "tokens_per_request": tokens, "f1": 0.5}
    (root / "reports/metrics.json").write_text(json.dumps({"test": numbers}))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose committed winner has 30 of 40 examples right."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/config.yaml").write_text("a: 1\n")
    write(tmp_path, [1.0] * 30 + [0.0] * 10)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """The exit code and the output."""
    code = 0
    try:
        main(["check", *options])
    except SystemExit as end:
        code = int(str(end.code))
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_nothing_changed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same winner passes; with --strict too few examples cannot exclude a loss, until one is accepted."""
    code, shown = checked(capsys)
    lo, hi = agresti_min(0, 0, 40)
    assert code == 0 and f"reward +0 points ({100 * lo:.2f} to +{100 * hi:.2f}) against HEAD, on 40 shared" in shown
    assert "a loss is neither shown nor excluded" in shown and "would be shown in 8 of 10 cases" in shown
    assert checked(capsys, "--strict")[0] == 1
    assert checked(capsys, "--strict", "--tolerance", "0.1")[0] == 0


def test_a_regression(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten of thirty lost and none won is shown, and exits 1; a tolerance of 20 points accepts it, one of 5 does not."""
    write(project, [1.0] * 20 + [0.0] * 20, tokens=80)
    code, shown = checked(capsys, "--markdown", "check.md")
    assert code == 1 and shown.startswith("a loss is shown: reward -25 points (")
    assert "tokens_per_request: 100 -> 80" in shown
    text = (project / "check.md").read_text()
    assert text.startswith("### ❌ A loss is shown: reward -25 points")
    assert "| tokens_per_request | 100 | 80 |" in text
    assert checked(capsys, "--tolerance", "0.2")[0] == 0
    assert checked(capsys, "--tolerance", "0.05")[0] == 1


def test_the_examples_are_paired(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By their digests, whatever their order; those of one side alone are left out, and told; those that failed too."""
    names = [f"e{number}" for number in reversed(range(40))]
    write(project, [0.0] * 10 + [1.0] * 29 + [None], names)
    code, shown = checked(capsys)
    assert code == 0 and "reward +0 points" in shown and "on 39 shared test examples" in shown
    write(project, [1.0] * 30, [f"e{number}" for number in range(20)] + [f"new{number}" for number in range(10)])
    shown = checked(capsys)[1]
    assert "on 20 shared" in shown and "30 examples of one test split alone are left out" in shown
    write(project, [1.0, 0.0, 1.0], ["e0", "e0", "e0"])
    assert "on 1 shared" in checked(capsys)[1]
    write(project, [1.0], ["other"])
    assert "error: no test example is shared with HEAD" in checked(capsys)[1]


def test_what_is_missing_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A revision that is none, one without the files, a run that is none, a tolerance that is none."""
    assert "error: reports/test_rewards.jsonl cannot be read at 'nosuch'" in checked(capsys, "--against", "nosuch")[1]
    assert "--tolerance is a loss of reward" in checked(capsys, "--tolerance", "2")[1]
    (project / "reports/test_rewards.jsonl").unlink()
    assert "run dvc repro" in checked(capsys)[1]
    git(project, "commit", "-qam", "without")
    code, shown = checked(capsys)
    assert code == 1 and "name a revision that has it" in shown
