"""`paretune check`: this checkout's winner against a revision's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from paretune.commands.main import main
from paretune.stats import agresti_min
from paretune.stats.formulas import detectable_difference


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
    """The same rewards and metrics pass, with --strict too, however often the test was looked at."""
    numbers = json.loads((project / "reports/metrics.json").read_text())
    numbers["test"] |= {"looks": 5, "reward_lo": 0.1}
    (project / "reports/metrics.json").write_text(json.dumps(numbers))
    code, shown = checked(capsys, "--strict", "--markdown", "new/check.md")
    assert code == 0 and shown.startswith("nothing has changed against HEAD, on 40 test examples")
    assert (project / "new/check.md").read_text().startswith("### ✅ Nothing has changed")


def test_no_difference(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another winner with the same rewards passes; with --strict too few examples cannot exclude a loss, until one is
    accepted. What they could show is told for programs that differ on a tenth of them, where they show anything."""
    write(project, [1.0] * 30 + [0.0] * 10, tokens=90)
    code, shown = checked(capsys)
    lo, hi = agresti_min(0, 0, 40)
    assert code == 0 and f"reward +0 points ({100 * lo:.2f} to +{100 * hi:.2f}) against HEAD, on 40 shared" in shown
    assert "a loss is neither shown nor excluded" in shown and "40 examples are too few to show any loss" in shown
    assert checked(capsys, "--strict")[0] == 1
    assert checked(capsys, "--strict", "--tolerance", "0.1")[0] == 0
    write(project, [1.0, 0.0] * 100)
    git(project, "commit", "-qam", "second")
    write(project, [1.0, 0.0] * 100, tokens=90)
    power = 100 * detectable_difference(200, 0.1)
    assert f"a true loss of {power:.2f} points would be shown in 8 of 10 cases" in checked(capsys)[1]


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


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        *(
            ("test_rewards.jsonl", content, "test_rewards.jsonl of this checkout, line 1: no reward of an example")
            for content in ('{"a": 1}', "[1]", "1", '{"example": "a", "winner": "x"}', "nonsense", "[" * 5000)
        ),
        ("test_rewards.jsonl", '{"example": "e0", "winner": null}', "no test example is scored both here and at HEAD"),
        ("test_rewards.jsonl", "", "no test example is shared with HEAD"),
        ("test_rewards.jsonl", "\udcff", "test_rewards.jsonl is no text in UTF-8"),
        *(
            ("metrics.json", content, "metrics.json of this checkout: no numbers of a test; run dvc repro")
            for content in ("{}", "[]", "x", '{"test": 1}', '{"test": {"reward": "high"}}', "[" * 5000)
        ),
    ],
)
def test_broken_reports(file: str, content: str, told: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Here or at the revision: a line says which file it is."""
    path = project / "reports" / file
    path.write_text(content, errors="surrogateescape")
    code, shown = checked(capsys)
    assert code == 1 and shown.startswith("error: ") and told in shown and shown.count("\n") == 1
    git(project, "commit", "-qam", "broken")
    git(project, "checkout", "-q", "HEAD~1", "--", ".")
    code, shown = checked(capsys)
    assert code == 1 and shown.startswith("error: ") and shown.count("\n") == 1


def test_what_is_missing_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A revision that is none, one without the files, a run that is none, a tolerance that is none."""
    assert "error: reports/test_rewards.jsonl cannot be read at 'nosuch'" in checked(capsys, "--against", "nosuch")[1]
    assert "--tolerance is a loss of reward" in checked(capsys, "--tolerance", "2")[1]
    assert "cannot be read at ''" in checked(capsys, "--against", "")[1]
    (project / "reports/metrics.json").unlink()
    assert "metrics.json is missing; run dvc repro" in checked(capsys)[1]
    (project / "reports/test_rewards.jsonl").unlink()
    assert "test_rewards.jsonl is missing; run dvc repro" in checked(capsys)[1]
    git(project, "commit", "-qam", "without")
    code, shown = checked(capsys)
    assert code == 1 and "name a revision that has it" in shown
